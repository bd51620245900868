"""Fractional pooling beside `tf.nn.fractional_max_pool` and `tf.nn.fractional_avg_pool`.

Each is a `tf.function` of 128x48x48x64 float32, pseudo-random, drawing regions anew in each call;
ours as a plain graph and compiled by XLA, for which TensorFlow's operators have no kernel.
Forward alone, and forward with backward, which returns the outputs and the gradient.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import tensorflow as tf

from keras_affect.layers import FractionalAveragePooling2D, FractionalMaxPooling2D

SHAPE = (128, 48, 48, 64)
SMALLEST = (1, 6, 6, 1)
RATIO = 1.44
POOLINGS = {
    "max": (FractionalMaxPooling2D, tf.nn.fractional_max_pool),
    "average": (FractionalAveragePooling2D, tf.nn.fractional_avg_pool),
}


@pytest.mark.parametrize("graph", ["plain", "XLA"])
@pytest.mark.parametrize("backward", [False, True], ids=["forward", "forward_backward"])
@pytest.mark.parametrize("overlapping", [False, True], ids=["disjoint", "overlapping"])
@pytest.mark.parametrize("pooling", POOLINGS)
def test_pooling(
    compare: Any, smoke: bool, pooling: str, overlapping: bool, backward: bool, graph: str
) -> None:
    layer_class, operator = POOLINGS[pooling]
    inputs = tf.random.normal(SMALLEST if smoke else SHAPE, seed=0)
    layer = layer_class(RATIO, overlapping=overlapping, seed=0)
    weights = tf.random.normal(layer.compute_output_shape(inputs.shape), seed=1)

    def by_layer(x: Any) -> Any:
        return layer(x, training=True)

    def by_operator(x: Any) -> Any:
        return operator(x, [1.0, RATIO, RATIO, 1.0], True, overlapping)[0]

    def contender(pool: Callable[[Any], Any], compiled: bool) -> Callable[[], None]:
        @tf.function(jit_compile=compiled)
        def both(inputs: Any, weights: Any) -> Any:
            if not backward:
                return (pool(inputs),)
            with tf.GradientTape() as tape:
                tape.watch(inputs)
                outputs = pool(inputs)
            return outputs, tape.gradient(outputs, inputs, output_gradients=weights)

        def run() -> None:
            # Reading a value waits for all of them.
            for result in both(inputs, weights):
                result[0, 0, 0, 0].numpy()

        return run

    layer(inputs[:1], training=True)
    regions = "overlapping" if overlapping else "disjoint"
    passes = "forward and backward" if backward else "forward"
    compare(
        f"fractional {pooling}, {regions}, {passes}, {graph} / tf.nn",
        contender(by_layer, graph == "XLA"),
        contender(by_operator, False),
        rounds=30,
        target=1.0,
    )
