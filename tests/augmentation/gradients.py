"""Gradients by the backend's own means, and by finite differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops


def gradient(function: Callable[[Any], Any], inputs: np.ndarray, upstream: np.ndarray) -> Any:
    """Of `sum(function(inputs) * upstream)` by the inputs, by the backend."""
    tensor, weights = ops.convert_to_tensor(inputs), ops.convert_to_tensor(upstream)
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(tensor)
            total = ops.sum(function(tensor) * weights)
        return tape.gradient(total, tensor).numpy()
    if backend == "jax":
        import jax

        return np.asarray(jax.grad(lambda x: ops.sum(function(x) * weights))(tensor))
    tensor = tensor.clone().requires_grad_(True)
    ops.sum(function(tensor) * weights).backward()
    return tensor.grad.cpu().numpy()


def differences(
    function: Callable[[Any], Any], inputs: np.ndarray, upstream: np.ndarray, step: float
) -> np.ndarray:
    """The same by central differences, one number of the inputs at a time."""
    result = np.zeros(inputs.shape)
    for place in np.ndindex(inputs.shape):
        for sign in (1, -1):
            moved = inputs.copy()
            moved[place] += sign * step
            outputs = ops.convert_to_numpy(function(ops.convert_to_tensor(moved)))
            result[place] += sign * (outputs.astype("float64") * upstream).sum() / (2 * step)
    return result
