"""AlexNet for 48x48 faces (Krizhevsky et al. 2012)."""

from __future__ import annotations

from typing import Any

import keras

from keras_affect.models.affect_model import AffectModel
from keras_affect.models.blocks import Blocks

__all__ = ["AlexNet"]


@keras.saving.register_keras_serializable(package="keras_affect")
class AlexNet(AffectModel):
    """AlexNet: 24,745,706 parameters, 179.5 million multiply-adds.

    Five convolutions (11x11, 5x5, and three of 3x3), overlapping max-pooling of 3x3 at stride 2,
    and two hidden dense layers of 4096 units with dropout.

    Differences from the paper, whose pictures are 224x224:

    - The first convolution has stride 2 in place of 4, which leaves 2x2 of 48x48 to the dense
      layers.
    - Where the paper has local response normalisation, after the first and the second
      convolution, stands batch normalisation, before the activation: int8 has no kernel for the
      former.
    - Channels are in one group. The paper's two were for its two graphics cards.
    - Kernels start from `kernel_initializer` and biases from 0.

    Reference:
        Krizhevsky, Sutskever and Hinton 2012, "ImageNet Classification with Deep Convolutional
        Neural Networks", NeurIPS.

    Example:
        >>> model = keras_affect.models.AlexNet(classes=["calm", "tense"], drop_connect=0.5)
    """

    default_name = "alexnet"
    least_side = 32
    default_dropout = 0.5
    dropout_place = "after each hidden dense layer"
    has_hidden_dense = True

    @classmethod
    def backbone(cls, x: Any, blocks: Blocks) -> Any:
        """Five convolutions and three poolings."""
        x = blocks.normalized(x, blocks.channels(96), "conv1", kernel=11, strides=2)
        x = blocks.activate(x, "conv1")
        x = blocks.max_pool(x, "pool1", pool=3)
        x = blocks.normalized(x, blocks.channels(256), "conv2", kernel=5)
        x = blocks.activate(x, "conv2")
        x = blocks.max_pool(x, "pool2", pool=3)
        for place, channels in enumerate((384, 384, 256), 3):
            x = blocks.convolution(x, blocks.channels(channels), f"conv{place}")
        return blocks.max_pool(x, "pool5", pool=3)

    @classmethod
    def top(cls, x: Any, blocks: Blocks) -> Any:
        """Two hidden dense layers."""
        x = blocks.flatten(x)
        for place in (1, 2):
            x = blocks.dense(x, blocks.channels(4096), f"hidden{place}", blocks.dropout)
        return x
