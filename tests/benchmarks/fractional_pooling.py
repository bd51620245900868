"""Fractional pooling beside `tf.nn.fractional_max_pool` and `tf.nn.fractional_avg_pool`.

Each is a `tf.function` of 128x48x48x64, pseudo-random, drawing regions anew in each call; ours as
a plain graph and compiled by XLA, for which TensorFlow's operators have no kernel. Forward alone,
and forward with backward. All are timed by turns, so that a busy moment of the machine falls on
all. Run it on an idle machine; use the ratios: ours / TensorFlow's, below 1 is faster.

    python tests/benchmarks/fractional_pooling.py
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import tensorflow as tf

from keras_affect.layers import FractionalAveragePooling2D, FractionalMaxPooling2D

SHAPE = (128, 48, 48, 64)
POOLINGS = {
    "max": (FractionalMaxPooling2D, tf.nn.fractional_max_pool),
    "average": (FractionalAveragePooling2D, tf.nn.fractional_avg_pool),
}


def functions(pool: Callable[[Any], Any], compiled: bool) -> dict[str, Any]:
    def both(inputs: Any, weights: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = pool(inputs)
        return tape.gradient(outputs, inputs, output_gradients=weights)

    return {
        "forward": tf.function(lambda inputs, weights: pool(inputs), jit_compile=compiled),
        "forward and backward": tf.function(both, jit_compile=compiled),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30, help="rounds over all (default: 30)")
    parser.add_argument("--ratio", type=float, default=1.44, help="pool ratio (default: 1.44)")
    arguments = parser.parse_args()
    ratio = arguments.ratio
    inputs = tf.random.normal(SHAPE, seed=0)
    print("pooling  overlapping  pass                   plain  XLA  (TensorFlow's, ms)")
    for name, (layer_class, operator) in POOLINGS.items():
        for overlapping in (False, True):
            layer = layer_class(ratio, overlapping=overlapping, seed=0)
            weights = tf.random.normal(layer.compute_output_shape(SHAPE), seed=1)

            def by_layer(x: Any, layer: Any = layer) -> Any:
                return layer(x, training=True)

            def by_operator(x: Any, operator: Any = operator, overlaps: bool = overlapping) -> Any:
                return operator(x, [1.0, ratio, ratio, 1.0], True, overlaps)[0]

            layer(inputs[:1], training=True)
            contenders = {
                "plain": functions(by_layer, compiled=False),
                "XLA": functions(by_layer, compiled=True),
                "TensorFlow": functions(by_operator, compiled=False),
            }
            for which in ("forward", "forward and backward"):
                times: dict[str, list[float]] = {contender: [] for contender in contenders}
                for round_ in range(-2, arguments.rounds):
                    for contender, of_contender in contenders.items():
                        start = time.perf_counter()
                        of_contender[which](inputs, weights)[0, 0, 0, 0].numpy()
                        # The first rounds trace, compile and fill the allocator.
                        if round_ >= 0:
                            times[contender].append(time.perf_counter() - start)
                median = {contender: statistics.median(of) for contender, of in times.items()}
                plain, compiled = (median[by] / median["TensorFlow"] for by in ("plain", "XLA"))
                print(
                    f"{name:9}{'yes' if overlapping else 'no':13}{which:22}{plain:6.2f}"
                    f"{compiled:5.2f}  ({median['TensorFlow'] * 1e3:.1f})",
                    flush=True,
                )


if __name__ == "__main__":
    main()
