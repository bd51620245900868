"""Keras's layers in NumPy: inputs and weights, in the order of `get_weights()`, to outputs."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view


def conv2d(
    inputs: np.ndarray, kernel: np.ndarray, bias: np.ndarray, strides: int = 1, groups: int = 1
) -> np.ndarray:
    """`(batch, height, width, channels)`, without padding."""
    windows = sliding_window_view(inputs, kernel.shape[:2], axis=(1, 2))[:, ::strides, ::strides]
    parts = zip(np.split(windows, groups, axis=3), np.split(kernel, groups, axis=-1), strict=True)
    return np.concatenate([np.einsum("bhwcij,ijcf->bhwf", *part) for part in parts], -1) + bias


def causal_conv1d(inputs: np.ndarray, kernel: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """`(batch, steps, channels)`, no step seeing a later one."""
    padded = np.pad(inputs, ((0, 0), (len(kernel) - 1, 0), (0, 0)))
    return conv2d(padded[:, :, None], kernel[:, None], bias)[:, :, 0]


def depthwise_conv2d(inputs: np.ndarray, kernel: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """`(batch, height, width, channels)`, of the size of the input."""
    height, width = kernel.shape[0] // 2, kernel.shape[1] // 2
    padded = np.pad(inputs, ((0, 0), (height, height), (width, width), (0, 0)))
    windows = sliding_window_view(padded, kernel.shape[:2], axis=(1, 2))
    outputs = np.einsum("bhwcij,ijcm->bhwcm", windows, kernel)
    return outputs.reshape(*outputs.shape[:3], -1) + bias


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def lstm(
    inputs: np.ndarray, kernel: np.ndarray, recurrent: np.ndarray, bias: np.ndarray
) -> list[np.ndarray]:
    """Each step's `(..., batch, units)`, for recurrent kernels `(..., units, 4 units)`."""
    state = output = np.zeros((*recurrent.shape[:-2], len(inputs), recurrent.shape[-2]))
    outputs = []
    for step in range(inputs.shape[1]):
        gates = inputs[:, step] @ kernel + bias + output @ recurrent
        let_in, keep, new, out = np.split(gates, 4, axis=-1)
        state = sigmoid(keep) * state + sigmoid(let_in) * np.tanh(new)
        output = sigmoid(out) * np.tanh(state)
        outputs.append(output)
    return outputs


def gru(
    inputs: np.ndarray,
    kernel: np.ndarray,
    recurrent: np.ndarray,
    bias: np.ndarray,
    reset_after: bool = True,
) -> list[np.ndarray]:
    """Each step's `(..., batch, units)`, for recurrent kernels `(..., units, 3 units)`."""
    of_inputs, of_states = bias if reset_after else (bias, np.zeros_like(bias))
    update_kernel, reset_kernel, new_kernel = np.split(recurrent, 3, axis=-1)
    update_bias, reset_bias, new_bias = np.split(of_states, 3)
    output = np.zeros((*recurrent.shape[:-2], len(inputs), recurrent.shape[-2]))
    outputs = []
    for step in range(inputs.shape[1]):
        update, reset, new = np.split(inputs[:, step] @ kernel + of_inputs, 3, axis=-1)
        update = sigmoid(update + output @ update_kernel + update_bias)
        reset = sigmoid(reset + output @ reset_kernel + reset_bias)
        if reset_after:
            new = np.tanh(new + reset * (output @ new_kernel + new_bias))
        else:
            new = np.tanh(new + (reset * output) @ new_kernel)
        output = update * output + (1 - update) * new
        outputs.append(output)
    return outputs
