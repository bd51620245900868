"""Regularising layers that Keras lacks: one file a layer."""

from keras_affect.layers.drop_connect import DropConnect
from keras_affect.layers.fixup import ScalarAffine
from keras_affect.layers.fractional_pooling import (
    FractionalAveragePooling2D,
    FractionalMaxPooling2D,
)
from keras_affect.layers.stochastic_depth import StochasticDepth, stochastic_depth_rates

__all__ = [
    "DropConnect",
    "FractionalAveragePooling2D",
    "FractionalMaxPooling2D",
    "ScalarAffine",
    "StochasticDepth",
    "stochastic_depth_rates",
]
