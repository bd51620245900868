"""What the tests of stochastic depth share: its draws, found without the layer."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

BACKEND = keras.backend.backend()
on_tensorflow = pytest.mark.skipif(BACKEND != "tensorflow", reason="TensorFlow's own")
# PyTorch's compiler is not XLA, and takes half a minute a network.
JIT = [False, True] if BACKEND != "torch" else [False]


def numbers(tensor: Any) -> np.ndarray:
    return np.array(ops.convert_to_numpy(ops.cast(tensor, "float32")))


def draws(
    seed: int, rate: float, calls: int, shape: tuple[int, ...] = (), jit_compile: bool = False
) -> list[np.ndarray]:
    """What a layer with this seed keeps, call by call.

    On TensorFlow, the same seed gives other numbers where XLA compiles
    `tf.random.stateless_uniform` than where TensorFlow's own kernel runs.
    """
    generator = keras.random.SeedGenerator(seed)

    def uniform() -> Any:
        return keras.random.uniform(shape, dtype="float32", seed=generator)

    if jit_compile and BACKEND == "tensorflow":
        import tensorflow as tf

        uniform = tf.function(uniform, jit_compile=True)
    return [ops.convert_to_numpy(uniform()) >= np.float32(rate) for _ in range(calls)]


def residuals(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(1, 2, shape).astype(np.float32)


def copy(source: Any, target: Any) -> None:
    """Gives a layer or a model the state of another, seeds included."""
    for to, variable in zip(target.variables, source.variables, strict=True):
        to.assign(ops.convert_to_numpy(variable.value))
