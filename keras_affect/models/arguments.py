"""What the arguments of a model's class may be."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras

from keras_affect._arguments import invalid

__all__ = [
    "check_activation",
    "check_choice",
    "check_coefficient",
    "check_initializer",
    "check_shape",
    "check_width",
]


def check_shape(input_shape: Sequence[int], least: int) -> tuple[int, int, int]:
    """`(height, width, channels)` as integers, with sides of at least `least`."""
    try:
        height, width, channels = (int(side) for side in input_shape)
        if min(height, width) < least or channels < 1:
            raise ValueError
    except (TypeError, ValueError):
        raise ValueError(
            "Invalid value for argument `input_shape`. Expected (height, width, channels) with "
            f"sides of at least {least}. Received: input_shape={input_shape!r}"
        ) from None
    return height, width, channels


def check_width(width: float) -> float:
    """A factor on channels, in [0.1, 8]."""
    if not _is_number(width) or not 0.1 <= width <= 8:
        raise invalid("width", "a number in [0.1, 8]", width)
    return width


def check_coefficient(name: str, coefficient: float) -> float:
    """A finite number of 0 or more."""
    if not _is_number(coefficient) or not 0 <= coefficient < math.inf:
        raise invalid(name, "a finite number of 0 or more", coefficient)
    return coefficient


def check_choice(name: str, value: Any, choices: Sequence[Any]) -> Any:
    """One of a few values."""
    if value not in choices:
        raise invalid(name, f"one of {', '.join(map(repr, choices))}", value)
    return value


def check_activation(activation: Any) -> Any:
    """A function of Keras by its name or configuration, or any function of one tensor.

    A layer is none: it would be shared by all places of the network, its weights too.
    """
    try:
        if activation is None or isinstance(activation, keras.layers.Layer):
            raise ValueError
        return keras.activations.get(activation)
    except (TypeError, ValueError):
        raise invalid(
            "activation", "the name of an activation of Keras, or a function", activation
        ) from None


def check_initializer(initializer: Any) -> Any:
    """What Keras takes as an initializer; a name stays a name."""
    try:
        if initializer is None:
            raise ValueError
        made = keras.initializers.get(initializer)
    except (TypeError, ValueError):
        raise invalid(
            "kernel_initializer", "the name of an initializer of Keras, or an initializer",
            initializer,
        ) from None  # fmt: skip
    return initializer if isinstance(initializer, str) else made


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
