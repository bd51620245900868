"""What a training step takes once stochastic depth skips branches, of the same network's without.

Both are 12 equal residual blocks of two 3x3 convolutions, each with batch normalisation, trained
by `model.fit` with jit_compile=False. One has them in StochasticDepth (mode="batch", branch=...)
with rates that rise linearly to 0.5, so that 0.73 of the blocks run on average; the other at
rate 0. They are timed by turns, so that a busy moment of the machine falls on both, and the mean
is taken over all steps, since how many branches a step skips varies. Run it on an idle machine;
use the ratio.

    python tests/benchmarks/stochastic_depth.py
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

import keras
import numpy as np
from keras import layers

from keras_affect.layers import StochasticDepth, stochastic_depth_rates

BLOCKS = 12


def branch(channels: int) -> keras.Sequential:
    return keras.Sequential(
        [
            layers.Conv2D(channels, 3, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Conv2D(channels, 3, padding="same", use_bias=False),
            layers.BatchNormalization(),
        ]
    )


def network(rates: list[float], channels: int, size: int) -> keras.Model:
    inputs = keras.Input((size, size, 1))
    x = layers.Conv2D(channels, 3, padding="same", activation="relu")(inputs)
    for number, rate in enumerate(rates):
        x = StochasticDepth(rate, mode="batch", branch=branch(channels), seed=number)(x)
        x = layers.ReLU()(x)
    outputs = layers.Dense(8)(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(inputs, outputs)
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.01, momentum=0.9), loss, jit_compile=False)
    return model


class StepTimes(keras.callbacks.Callback):
    """Seconds of each step."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []
        self.start = 0.0

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.start = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.seconds.append(time.perf_counter() - self.start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=200, help="timed steps (default: 200)")
    parser.add_argument("--turn", type=int, default=10, help="steps of a turn (default: 10)")
    parser.add_argument("--batch", type=int, default=32, help="batch size (default: 32)")
    parser.add_argument("--channels", type=int, default=32, help="channels (default: 32)")
    parser.add_argument("--size", type=int, default=24, help="sides of the images (default: 24)")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    count = options.batch * options.turn
    x = rng.random((count, options.size, options.size, 1), np.float32)
    y = np.eye(8, dtype=np.float32)[rng.integers(0, 8, count)]
    rates = stochastic_depth_rates(BLOCKS, 0.5)
    # In the network without it all blocks always run: a rate of 0 is a plain residual.
    models = {
        "without": network([0.0] * BLOCKS, options.channels, options.size),
        "with": network(rates, options.channels, options.size),
    }
    times: dict[str, list[float]] = {name: [] for name in models}
    for turn in range(-(-options.steps // options.turn) + 1):
        for name, model in models.items():
            timer = StepTimes()
            model.fit(x, y, batch_size=options.batch, verbose=0, callbacks=[timer])
            if turn > 0:  # The first turn traces and warms up.
                times[name] += timer.seconds
    means = {}
    for name, seconds in times.items():
        kept = seconds[: options.steps]
        means[name] = statistics.fmean(kept)
        print(f"{name:8}{means[name] * 1e3:8.1f} ms a step, mean of {len(kept)}")
    ideal = 1 - statistics.fmean(rates)
    print(f"ratio   {means['with'] / means['without']:8.3f} (ideal {ideal:.2f}, at most 0.85)")


if __name__ == "__main__":
    main()
