"""What a Dense with dropped weights gives where no one kernel says it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

__all__ = ["gaussian", "per_sample"]

# Below the variance of any weight that matters: the square root has no gradient at 0.
_SMALLEST_VARIANCE = 1e-30


def per_sample(layer: Any, inputs: Any, drop: Callable[..., Any], drop_bias: bool) -> Any:
    """A Dense's outputs where each sample has a kernel of its own.

    Args:
        layer: The Dense.
        inputs: `(batch, ..., features)`. All positions of a sample share its kernel.
        drop: Called with a variable and the batch's size, gives the variable's value with
            entries dropped, `(batch, *variable.shape)`.
        drop_bias: Whether the bias is dropped likewise.

    Returns:
        `(batch, ..., units)`.
    """
    # Some wrappers, such as TimeDistributed, call without the layer's casts around them.
    dtype = layer.compute_dtype
    shape = ops.shape(inputs)
    flat = ops.reshape(inputs, (shape[0], math.prod(shape[1:-1]), shape[-1]))
    kernel = ops.cast(drop(layer.kernel, shape[0]), dtype)
    outputs = ops.matmul(ops.cast(flat, dtype), kernel)
    if drop_bias:
        outputs = outputs + ops.cast(drop(layer.bias, shape[0]), dtype)[:, None]
    elif layer.bias is not None:
        outputs = outputs + ops.cast(layer.bias, dtype)
    outputs = ops.reshape(outputs, (*shape[:-1], layer.units))
    return keras.activations.get(layer.activation)(outputs)


def gaussian(layer: Any, inputs: Any, rate: float, drop_bias: bool, samples: int, seed: Any) -> Any:
    """A Dense's outputs averaged over masks, by the moment matching of Wan et al. 2013.

    What comes into a unit is a sum over weights that are each dropped or kept. It is taken as
    Gaussian with that sum's mean and variance, and the activation is averaged over draws of it.
    The paper doesn't divide kept weights, and has the mean (1 - rate) v W and the variance
    rate (1 - rate) v^2 W^2; divided by 1 - rate as in training here, they are v W and
    rate / (1 - rate) v^2 W^2.

    Args:
        layer: The Dense.
        inputs: `(batch, ..., features)`.
        rate: Probability of dropping a weight, in [0, 1).
        drop_bias: Whether the bias is dropped likewise.
        samples: How many draws are averaged.
        seed: Where they come from, a `keras.random.SeedGenerator`.

    Returns:
        `(batch, ..., units)`.
    """
    # In float32 at least, whatever the policy: squares of small weights are 0 in float16.
    dtype = keras.backend.result_type(layer.compute_dtype, "float32")
    inputs, kernel = ops.cast(inputs, dtype), ops.cast(layer.kernel, dtype)
    mean = ops.matmul(inputs, kernel)
    variance = ops.matmul(ops.square(inputs), ops.square(kernel))
    if layer.bias is not None:
        bias = ops.cast(layer.bias, dtype)
        mean = mean + bias
        if drop_bias:
            variance = variance + ops.square(bias)
    variance = variance * (rate / (1 - rate))
    deviation = ops.sqrt(ops.maximum(variance, _SMALLEST_VARIANCE))
    noise = keras.random.normal((samples, *ops.shape(mean)), dtype=dtype, seed=seed)
    outputs = keras.activations.get(layer.activation)(mean + deviation * noise)
    return ops.cast(ops.mean(outputs, axis=0), layer.compute_dtype)
