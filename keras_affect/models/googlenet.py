"""GoogLeNet for 48x48 faces (Szegedy et al. 2015), with auxiliary heads for its training."""

from __future__ import annotations

from typing import Any

import keras

from keras_affect.models.affect_model import AffectModel
from keras_affect.models.blocks import CHANNELS_LAST, Blocks
from keras_affect.models.heads import emotion_head
from keras_affect.models.mirroring import mean_of_both

__all__ = ["GoogLeNet"]

# Of each module: 1x1; 1x1 before 3x3, 3x3; 1x1 before 5x5, 5x5; 1x1 after pooling (table 1 of the
# paper). None stands for a pooling between modules.
_MODULES: tuple[tuple[str, tuple[int, ...] | None], ...] = (
    ("3a", (64, 96, 128, 16, 32, 32)),
    ("3b", (128, 128, 192, 32, 96, 64)),
    ("pool3", None),
    ("4a", (192, 96, 208, 16, 48, 64)),
    ("4b", (160, 112, 224, 24, 64, 64)),
    ("4c", (128, 128, 256, 24, 64, 64)),
    ("4d", (112, 144, 288, 32, 64, 64)),
    ("4e", (256, 160, 320, 32, 128, 128)),
    ("pool4", None),
    ("5a", (256, 160, 320, 32, 128, 128)),
    ("5b", (384, 192, 384, 48, 128, 128)),
)
# What the auxiliary heads read.
_TAPS = {"aux1": "inception_4a", "aux2": "inception_4d"}
_AUXILIARY_DROPOUT = 0.7


@keras.saving.register_keras_serializable(package="keras_affect")
class GoogLeNet(AffectModel):
    """GoogLeNet: 5,978,298 parameters, 276.1 million multiply-adds.

    A stem of three convolutions and nine inception modules, each of which computes 1x1, 3x3 and
    5x5 convolutions and a pooling side by side; global average pooling. `training_model` adds the
    two auxiliary heads, which are not part of the network that is used.

    Differences from the paper, whose pictures are 224x224:

    - The first convolution has stride 1 in place of 2, so that the last modules still see 3x3 of
      48x48.
    - In place of local response normalisation, which stands after the first pooling and the third
      convolution, those convolutions have batch normalisation before their activation: int8 has
      no kernel for the former.
    - The auxiliary heads' 5x5 pooling at stride 3 pads its 6x6 and leaves 2x2, where the paper's
      leaves 4x4 of 14x14.

    Reference:
        Szegedy et al. 2015, "Going Deeper with Convolutions", CVPR (arXiv:1409.4842).

    Example:
        >>> model = keras_affect.models.GoogLeNet()
        >>> training = model.training_model()
        >>> cross_entropy = "categorical_crossentropy"
        >>> training.compile(
        ...     "sgd",
        ...     loss={
        ...         "emotion": cross_entropy,
        ...         "emotion_aux1": cross_entropy,
        ...         "emotion_aux2": cross_entropy,
        ...         "valence_arousal": "mse",
        ...     },
        ...     loss_weights={
        ...         "emotion": 1.0,
        ...         "emotion_aux1": 0.3,
        ...         "emotion_aux2": 0.3,
        ...         "valence_arousal": 1.0,
        ...     },
        ... )
    """

    default_name = "googlenet"
    least_side = 32
    default_dropout = 0.4

    @classmethod
    def backbone(cls, x: Any, blocks: Blocks) -> Any:
        """Stem and modules; the map has a sixteenth of the input's sides."""
        x = blocks.normalized(x, blocks.channels(64), "stem1", kernel=7)
        x = blocks.activate(x, "stem1")
        x = blocks.max_pool(x, "stem1_pool", pool=3, padding="same")
        x = blocks.convolution(x, blocks.channels(64), "stem2", kernel=1)
        x = blocks.normalized(x, blocks.channels(192), "stem3")
        x = blocks.activate(x, "stem3")
        x = blocks.max_pool(x, "stem3_pool", pool=3, padding="same")
        for name, channels in _MODULES:
            if channels is None:
                x = blocks.max_pool(x, name, pool=3, padding="same")
            else:
                x = _inception(x, blocks, channels, f"inception_{name}")
        return x

    def training_model(self) -> Any:
        """This network with its auxiliary heads, for `fit`.

        Its weights are this model's own: once it is trained, so is this one. The auxiliary heads
        are made anew at each call, and their weights belong to the returned model alone: save
        that one to go on with a training.

        The heads drop out at the paper's rate, 0.7, or not at all where the model's `dropout` is
        0; DropConnect is on their hidden dense layer.

        Returns:
            A `keras.Model` whose outputs are this model's and "emotion_aux1" and "emotion_aux2",
            probabilities `(batch, classes)`. The paper gives their losses a weight of 0.3.

        Raises:
            ValueError: If the model has no top.
        """
        if not self.include_top:
            raise ValueError(
                "Invalid value for argument `include_top`. Expected True: auxiliary heads stand "
                "beside the model's own. Received: include_top=False"
            )
        outputs = dict(self.output)
        for name, module in _TAPS.items():
            features = self.get_layer(f"{module}_concatenate").output
            probabilities = _auxiliary_head(features, self._blocks, len(self.class_names), name)
            if self.mirrored:
                probabilities = mean_of_both(probabilities)
            outputs[f"emotion_{name}"] = probabilities
        model = keras.Model(self.input, outputs, name=f"{self.name}_training")
        model.class_names = self.class_names
        return model


def _inception(x: Any, blocks: Blocks, channels: tuple[int, ...], name: str) -> Any:
    one, before_three, three, before_five, five, pooled = map(blocks.channels, channels)
    parts = [blocks.convolution(x, one, f"{name}_1x1", kernel=1)]
    part = blocks.convolution(x, before_three, f"{name}_3x3_reduce", kernel=1)
    parts.append(blocks.convolution(part, three, f"{name}_3x3", kernel=3))
    part = blocks.convolution(x, before_five, f"{name}_5x5_reduce", kernel=1)
    parts.append(blocks.convolution(part, five, f"{name}_5x5", kernel=5))
    part = blocks.max_pool(x, f"{name}_pool", pool=3, strides=1, padding="same")
    parts.append(blocks.convolution(part, pooled, f"{name}_pool_1x1", kernel=1))
    return blocks.concatenate(parts, f"{name}_concatenate")


def _auxiliary_head(x: Any, blocks: Blocks, classes: int, name: str) -> Any:
    x = blocks.average_pool(x, f"{name}_pool", pool=5, strides=3)
    x = blocks.convolution(x, blocks.channels(128), name, kernel=1)
    x = keras.layers.Flatten(CHANNELS_LAST, dtype=blocks.policy, name=f"{name}_flatten")(x)
    rate = _AUXILIARY_DROPOUT if blocks.dropout else 0.0
    x = blocks.dense(x, blocks.channels(1024), f"{name}_hidden", rate)
    return emotion_head(x, classes, f"emotion_{name}", blocks.kernel_regularizer)
