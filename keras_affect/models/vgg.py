"""VGG networks for faces: VGG13 of the FER+ paper (Barsoum 2016), VGG16 (Simonyan 2015)."""

from __future__ import annotations

from typing import Any

import keras

from keras_affect.models.affect_model import AffectModel
from keras_affect.models.blocks import CHANNELS_LAST, Blocks

__all__ = ["VGG13", "VGG16"]

_SIDE = 64


@keras.saving.register_keras_serializable(package="keras_affect")
class VGG13(AffectModel):
    """VGG13 of the FER+ paper: 8,759,754 parameters, 875.8 million multiply-adds.

    Ten 3x3 convolutions in four groups of 2, 2, 3 and 3 (64, 128, 256 and 256 channels), max-
    pooling after each group, two hidden dense layers of 1024 units. Dropout stands after each
    pooling and after each hidden dense layer, there at twice the rate: 0.25 and 0.5, as in the
    authors' program (github.com/microsoft/FERPlus).

    The paper's network reads pictures of 64x64, to which FER's 48x48 are enlarged. So does this
    one, within: whatever the input's size, it is resized to 64x64 (bilinear).

    Differences from the paper: a second output beside the emotion's, without which the network
    has 8,757,704 parameters; kernels start from `kernel_initializer`, where the authors' program
    has "glorot_uniform".

    Reference:
        Barsoum, Zhang, Canton Ferrer and Zhang 2016, "Training Deep Networks for Facial
        Expression Recognition with Crowd-Sourced Label Distribution", ICMI (arXiv:1608.01041).

    Example:
        >>> model = keras_affect.models.VGG13(kernel_initializer="glorot_uniform")
    """

    default_name = "vgg13"
    default_dropout = 0.5
    dropout_place = "after each hidden dense layer (half of it after each pooling)"
    has_hidden_dense = True

    @classmethod
    def backbone(cls, x: Any, blocks: Blocks) -> Any:
        """Ten convolutions and four poolings; the map is 4x4."""
        if x.shape[1:3] != (_SIDE, _SIDE):
            x = keras.layers.Resizing(
                _SIDE, _SIDE, data_format=CHANNELS_LAST, dtype=blocks.policy, name="resizing"
            )(x)
        for group, (channels, count) in enumerate(((64, 2), (128, 2), (256, 3), (256, 3)), 1):
            x = _group(x, blocks, channels, count, group)
            x = blocks.drop(x, blocks.dropout / 2, f"pool{group}_dropout")
        return x

    @classmethod
    def top(cls, x: Any, blocks: Blocks) -> Any:
        """Two hidden dense layers of 1024 units."""
        return _hidden(x, blocks, 1024)


@keras.saving.register_keras_serializable(package="keras_affect")
class VGG16(AffectModel):
    """VGG16, configuration D: 33,637,066 parameters, 721.0 million multiply-adds.

    Thirteen 3x3 convolutions in five groups of 2, 2, 3, 3 and 3 (64, 128, 256, 512 and 512
    channels), max-pooling after each group, two hidden dense layers of 4096 units with dropout.

    Differences from the paper, whose pictures are 224x224: the fifth pooling leaves 1x1 of 48x48
    to the dense layers in place of 7x7; kernels start from `kernel_initializer`, where the paper
    starts from a shallower network that was trained before.

    Reference:
        Simonyan and Zisserman 2015, "Very Deep Convolutional Networks for Large-Scale Image
        Recognition", ICLR (arXiv:1409.1556).

    Example:
        >>> model = keras_affect.models.VGG16(l2=5e-4)
    """

    default_name = "vgg16"
    least_side = 32
    default_dropout = 0.5
    dropout_place = "after each hidden dense layer"
    has_hidden_dense = True

    @classmethod
    def backbone(cls, x: Any, blocks: Blocks) -> Any:
        """Thirteen convolutions and five poolings."""
        groups = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
        for group, (channels, count) in enumerate(groups, 1):
            x = _group(x, blocks, channels, count, group)
        return x

    @classmethod
    def top(cls, x: Any, blocks: Blocks) -> Any:
        """Two hidden dense layers of 4096 units."""
        return _hidden(x, blocks, 4096)


def _group(x: Any, blocks: Blocks, channels: int, count: int, group: int) -> Any:
    for place in range(1, count + 1):
        x = blocks.convolution(x, blocks.channels(channels), f"conv{group}_{place}")
    return blocks.max_pool(x, f"pool{group}")


def _hidden(x: Any, blocks: Blocks, units: int) -> Any:
    x = blocks.flatten(x)
    for place in (1, 2):
        x = blocks.dense(x, blocks.channels(units), f"hidden{place}", blocks.dropout)
    return x
