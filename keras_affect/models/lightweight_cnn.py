"""A small residual network for 48x48 gray faces, made for 8-bit inference on one core."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from keras_affect._arguments import check_count
from keras_affect.models.affect_model import AffectModel
from keras_affect.models.blocks import Blocks
from keras_affect.models.loading import trained_argument

__all__ = ["LightweightCNN"]

# Channels and residual blocks of each stage. A stage halves the resolution; three stages after
# the stem leave 6x6 of 48x48.
_STAGES = ((32, 2), (64, 2), (88, 2))


@keras.saving.register_keras_serializable(package="keras_affect")
class LightweightCNN(AffectModel):
    """A residual CNN with dense 3x3 convolutions: 438,202 parameters, 50.3 million multiply-adds.

    A stem convolution and three stages of two residual blocks (He et al. 2016,
    arXiv:1512.03385), batch normalisation after each convolution, global average pooling,
    dropout, and one dense layer for each output. A stage halves the resolution by average
    pooling on the shortcut (He et al. 2019, arXiv:1812.01187) and a stride on the branch.
    `stem_convolutions=2` looks closer, at the full resolution: 447,546 parameters, 71.6 million
    multiply-adds; `mirrored=True` takes twice as many. The weights of the default, "ferplus", have
    both; "ferplus_v3" has neither.

    Dense 3x3 convolutions, and not the depthwise-separable ones that most small networks are
    built from, since those gain from 8-bit arithmetic and these do not: see ARCHITECTURE.md for
    what was measured.

    Example:
        >>> model = keras_affect.models.LightweightCNN(weights=None)
        >>> model(np.zeros((1, 48, 48, 1)))["emotion"].shape
        TensorShape([1, 8])
    """

    default_name = "lightweight_cnn"
    default_weights = "ferplus"
    default_dropout = 0.3
    has_residuals = True
    own_arguments = """
    stem_convolutions: How many convolutions stand before the first pooling, where the map is as
        large as the input. None for as many as the weights have, where `weights` is a name that
        ships, else 1."""

    # Written out for the default of `weights`, which is another here, and for the stem.
    def __init__(
        self,
        input_shape: Sequence[int] = (48, 48, 1),
        weights: str | None = "ferplus",
        classes: int | Sequence[str] = 8,
        *,
        include_top: bool = True,
        valence_arousal: bool = True,
        pooling: str | None = None,
        width: float | None = None,
        stem_convolutions: int | None = None,
        mirrored: bool | None = None,
        l1: float = 0.0,
        l2: float = 0.0,
        dropout: float | None = None,
        drop_connect: float = 0.0,
        stochastic_depth: float = 0.0,
        activation: Any = "relu",
        kernel_initializer: Any = "he_normal",
        skip_mismatch: bool = False,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        if stem_convolutions is None:
            cls = type(self)
            stem_convolutions = trained_argument(cls.__name__, weights, "stem_convolutions", 1)
        stem_convolutions = check_count("stem_convolutions", stem_convolutions)
        super().__init__(
            input_shape,
            weights,
            classes,
            include_top=include_top,
            valence_arousal=valence_arousal,
            pooling=pooling,
            width=width,
            mirrored=mirrored,
            l1=l1,
            l2=l2,
            dropout=dropout,
            drop_connect=drop_connect,
            stochastic_depth=stochastic_depth,
            activation=activation,
            kernel_initializer=kernel_initializer,
            skip_mismatch=skip_mismatch,
            name=name,
            dtype=dtype,
            _own={"stem_convolutions": stem_convolutions},
        )
        self.stem_convolutions = stem_convolutions

    @classmethod
    def backbone(cls, x: Any, blocks: Blocks, *, stem_convolutions: int = 1) -> Any:
        """Stem and stages; the map has an eighth of the input's sides."""
        for number in range(1, stem_convolutions + 1):
            name = "stem" if number == 1 else f"stem_{number}"
            x = blocks.normalized(x, blocks.channels(_STAGES[0][0]), name)
            x = blocks.activate(x, name)
        x = blocks.max_pool(x, "stem_pool")
        rates = iter(blocks.depth_rates(sum(count for _, count in _STAGES)))
        for stage, (channels, count) in enumerate(_STAGES, 1):
            for block in range(1, count + 1):
                x = _residual_block(
                    x,
                    blocks,
                    blocks.channels(channels),
                    stride=2 if stage > 1 and block == 1 else 1,
                    rate=next(rates),
                    name=f"stage{stage}_block{block}",
                )
        return x


def _residual_block(
    x: Any, blocks: Blocks, channels: int, stride: int, rate: float, name: str
) -> Any:
    branch = blocks.normalized(x, channels, f"{name}_1", strides=stride)
    branch = blocks.activate(branch, f"{name}_1")
    branch = blocks.normalized(branch, channels, f"{name}_2")
    if stride > 1:
        x = blocks.average_pool(x, f"{name}_shortcut_pool", stride, stride)
    if x.shape[-1] != channels:
        x = blocks.normalized(x, channels, f"{name}_shortcut", kernel=1)
    x = blocks.residual_sum(x, branch, rate, name)
    return blocks.activate(x, name)
