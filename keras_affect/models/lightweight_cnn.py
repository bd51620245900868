"""A small residual network for 48x48 gray faces, made for 8-bit inference on one core."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from keras_affect.models.heads import class_names_of, heads
from keras_affect.models.loading import load_weights_by_name

__all__ = ["LightweightCNN"]

# Channels and residual blocks of each stage. A stage halves the resolution; three stages after
# the stem leave 6x6 of 48x48.
_STAGES = ((32, 2), (64, 2), (88, 2))


@keras.saving.register_keras_serializable(package="keras_affect")
class LightweightCNN(keras.Model):
    """A residual CNN with dense 3x3 convolutions: 438,202 parameters, 50.3 million multiply-adds.

    A stem convolution and three stages of two residual blocks (He et al. 2016,
    arXiv:1512.03385), batch normalisation after each convolution, global average pooling,
    dropout, and one dense layer for each output. A stage halves the resolution by average
    pooling on the shortcut (He et al. 2019, arXiv:1812.01187) and a stride on the branch.

    Dense 3x3 convolutions, and not the depthwise-separable ones that most small networks are
    built from, since those gain from 8-bit arithmetic and these do not: see ARCHITECTURE.md for
    what was measured.

    Args:
        input_shape: `(height, width, channels)`; sides of at least 16.
        weights: "ferplus" for the newest weights that ship, trained on FER+; a versioned name
            as "ferplus_v1"; a path to a ``.weights.h5`` file; or None for random ones. With
            other `classes` than the weights', the backbone is taken and the emotion head stays
            random, with a warning.
        classes: How many, or their names in order. 8 means the eight emotions.
        width: Factor on the channels of every stage, rounded to a multiple of 8.
        dropout: Rate of dropout before the heads, in [0, 1).
        valence_arousal: Whether the model has a second output.
        skip_mismatch: Whether a `weights` path may lack the head for these `classes`.
        name: The model's name.
        dtype: Dtype policy of the layers, as "mixed_bfloat16"; outputs are float32.

    Input shape:
        `(batch, height, width, channels)`, raw pixels in [0, 255].

    Output shape:
        A dict: "emotion" `(batch, classes)`, probabilities; "valence_arousal" `(batch, 2)` in
        [-1, 1].

    Raises:
        ValueError: If an argument is not of the form above, or `weights` names what does not
            ship.

    Example:
        >>> model = keras_affect.models.LightweightCNN(weights=None)
        >>> model(np.zeros((1, 48, 48, 1)))["emotion"].shape
        TensorShape([1, 8])
    """

    def __init__(
        self,
        input_shape: Sequence[int] = (48, 48, 1),
        weights: str | None = "ferplus",
        classes: int | Sequence[str] = 8,
        width: float = 1.0,
        dropout: float = 0.3,
        valence_arousal: bool = True,
        skip_mismatch: bool = False,
        name: str = "lightweight_cnn",
        dtype: Any = None,
    ) -> None:
        class_names = class_names_of(classes)
        shape = _check_shape(input_shape)
        if not _is_number(width) or not 0.1 <= width <= 8:
            raise ValueError(
                "Invalid value for argument `width`. Expected a number in [0.1, 8]. "
                f"Received: width={width!r}"
            )
        if not _is_number(dropout) or not 0 <= dropout < 1:
            raise ValueError(
                "Invalid value for argument `dropout`. Expected a float in [0, 1). "
                f"Received: dropout={dropout!r}"
            )
        policy = keras.dtype_policies.get(dtype or keras.config.dtype_policy())

        # === Functional model ===
        inputs = keras.Input(shape, name="image")
        # A factor alone keeps black at 0, which is what convolutions pad with.
        x = keras.layers.Rescaling(1 / 255, dtype=policy, name="rescaling")(inputs)
        x = _convolution(x, _channels(_STAGES[0][0], width), policy, "stem")
        x = keras.layers.ReLU(dtype=policy, name="stem_relu")(x)
        x = keras.layers.MaxPooling2D(2, dtype=policy, name="stem_pool")(x)
        for stage, (channels, blocks) in enumerate(_STAGES, 1):
            for block in range(1, blocks + 1):
                stride = 2 if stage > 1 and block == 1 else 1
                x = _residual_block(
                    x, _channels(channels, width), stride, policy, f"stage{stage}_block{block}"
                )
        x = keras.layers.GlobalAveragePooling2D(dtype=policy, name="pool")(x)
        x = keras.layers.Dropout(dropout, dtype=policy, name="dropout")(x)
        super().__init__(inputs, heads(x, class_names, valence_arousal), name=name)

        # === Config ===
        self.class_names = class_names
        self.width = width
        self.dropout = dropout
        self.valence_arousal = valence_arousal
        self._policy = policy

        if weights is not None:
            load_weights_by_name(self, weights, skip_mismatch)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this architecture again; weights come from the saved file."""
        return {
            "input_shape": list(self.input_shape[1:]),
            "weights": None,
            "classes": list(self.class_names),
            "width": self.width,
            "dropout": self.dropout,
            "valence_arousal": self.valence_arousal,
            "name": self.name,
            "dtype": keras.dtype_policies.serialize(self._policy),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> LightweightCNN:
        """The model that `get_config` describes, with random weights."""
        return cls(**config)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _check_shape(input_shape: Sequence[int]) -> tuple[int, int, int]:
    try:
        height, width, channels = (int(side) for side in input_shape)
        if min(height, width) < 16 or channels < 1:
            raise ValueError
    except (TypeError, ValueError):
        raise ValueError(
            "Invalid value for argument `input_shape`. Expected (height, width, channels) with "
            f"sides of at least 16. Received: input_shape={input_shape!r}"
        ) from None
    return height, width, channels


def _channels(base: int, width: float) -> int:
    """Channels in multiples of 8, which is how wide int8 kernels work."""
    return max(8, int(base * width / 8 + 0.5) * 8)


def _convolution(
    x: Any, channels: int, policy: Any, name: str, kernel: int = 3, strides: int = 1
) -> Any:
    x = keras.layers.Conv2D(
        channels,
        kernel,
        strides=strides,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        dtype=policy,
        name=f"{name}_conv",
    )(x)
    return keras.layers.BatchNormalization(momentum=0.9, dtype=policy, name=f"{name}_bn")(x)


def _residual_block(x: Any, channels: int, stride: int, policy: Any, name: str) -> Any:
    branch = _convolution(x, channels, policy, f"{name}_1", strides=stride)
    branch = keras.layers.ReLU(dtype=policy, name=f"{name}_1_relu")(branch)
    branch = _convolution(branch, channels, policy, f"{name}_2")
    if stride > 1:
        x = keras.layers.AveragePooling2D(
            stride, padding="same", dtype=policy, name=f"{name}_shortcut_pool"
        )(x)
    if x.shape[-1] != channels:
        x = _convolution(x, channels, policy, f"{name}_shortcut", kernel=1)
    x = keras.layers.Add(dtype=policy, name=f"{name}_add")([x, branch])
    return keras.layers.ReLU(dtype=policy, name=f"{name}_relu")(x)
