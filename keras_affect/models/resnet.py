"""ResNet-18 and ResNet-50 for 48x48 faces (He et al. 2016)."""

from __future__ import annotations

from typing import Any

import keras

from keras_affect.models.affect_model import AffectModel
from keras_affect.models.blocks import Blocks

__all__ = ["ResNet18", "ResNet50"]

_CHANNELS = (64, 128, 256, 512)


@keras.saving.register_keras_serializable(package="keras_affect")
class ResNet18(AffectModel):
    """ResNet-18: 11,184,970 parameters, 318.7 million multiply-adds.

    Four stages of two residual blocks, each of two 3x3 convolutions; batch normalisation after
    each convolution and before the activation; a projection on the shortcut where the shape
    changes; global average pooling.

    Differences from the paper, whose pictures are 224x224: the 7x7 convolution of the stem has
    stride 1 in place of 2, so that the last stage still sees 3x3 of 48x48.

    Reference:
        He et al. 2016, "Deep Residual Learning for Image Recognition", CVPR (arXiv:1512.03385).

    Example:
        >>> model = keras_affect.models.ResNet18(stochastic_depth=0.2)
    """

    default_name = "resnet18"
    has_residuals = True

    @classmethod
    def backbone(cls, x: Any, blocks: Blocks) -> Any:
        """Stem and stages; the map has a sixteenth of the input's sides."""
        return _backbone(x, blocks, (2, 2, 2, 2), _basic_branch, expansion=1)


@keras.saving.register_keras_serializable(package="keras_affect")
class ResNet50(AffectModel):
    """ResNet-50: 23,575,370 parameters, 693.8 million multiply-adds.

    Four stages of 3, 4, 6 and 3 residual blocks, each a bottleneck: 1x1 to a quarter of the
    channels, 3x3, 1x1 back. The rest, and the difference from the paper, as in `ResNet18`. As in
    the paper the first 1x1 convolution of a stage has the stride; some later versions have it in
    the 3x3.

    Reference:
        He et al. 2016, "Deep Residual Learning for Image Recognition", CVPR (arXiv:1512.03385).

    Example:
        >>> model = keras_affect.models.ResNet50(include_top=False, pooling="avg")
    """

    default_name = "resnet50"
    has_residuals = True

    @classmethod
    def backbone(cls, x: Any, blocks: Blocks) -> Any:
        """Stem and stages; the map has a sixteenth of the input's sides."""
        return _backbone(x, blocks, (3, 4, 6, 3), _bottleneck_branch, expansion=4)


def _backbone(x: Any, blocks: Blocks, counts: tuple[int, ...], branch: Any, expansion: int) -> Any:
    x = blocks.normalized(x, blocks.channels(_CHANNELS[0]), "stem", kernel=7)
    x = blocks.activate(x, "stem")
    x = blocks.max_pool(x, "stem_pool", pool=3, padding="same")
    rates = iter(blocks.depth_rates(sum(counts)))
    for stage, (base, count) in enumerate(zip(_CHANNELS, counts, strict=True), 1):
        channels = blocks.channels(base)
        for block in range(1, count + 1):
            stride = 2 if stage > 1 and block == 1 else 1
            name = f"stage{stage}_block{block}"
            residual = branch(x, blocks, channels, stride, name)
            if stride > 1 or x.shape[-1] != expansion * channels:
                x = blocks.normalized(
                    x, expansion * channels, f"{name}_shortcut", kernel=1, strides=stride
                )
            x = blocks.residual_sum(x, residual, next(rates), name)
            x = blocks.activate(x, name)
    return x


def _basic_branch(x: Any, blocks: Blocks, channels: int, stride: int, name: str) -> Any:
    x = blocks.normalized(x, channels, f"{name}_1", strides=stride)
    x = blocks.activate(x, f"{name}_1")
    return blocks.normalized(x, channels, f"{name}_2")


def _bottleneck_branch(x: Any, blocks: Blocks, channels: int, stride: int, name: str) -> Any:
    x = blocks.normalized(x, channels, f"{name}_1", kernel=1, strides=stride)
    x = blocks.activate(x, f"{name}_1")
    x = blocks.normalized(x, channels, f"{name}_2")
    x = blocks.activate(x, f"{name}_2")
    return blocks.normalized(x, 4 * channels, f"{name}_3", kernel=1)
