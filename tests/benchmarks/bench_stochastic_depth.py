"""What a training step takes once stochastic depth skips branches, of the same network's without.

Both are 12 equal residual blocks of two 3x3 convolutions, each with batch normalisation, trained
with jit_compile=False. One has them in StochasticDepth (mode="batch", branch=...) with rates that
rise linearly to 0.5, so that 0.73 of the blocks run on average; the other at rate 0, which is a
plain residual. The mean is taken over all steps, since how many branches a step skips varies.
"""

from __future__ import annotations

import statistics
from typing import Any

import keras
import numpy as np
from keras import layers

from keras_affect.layers import StochasticDepth, stochastic_depth_rates

BLOCKS, BATCH, SIZE, CHANNELS = 12, 32, 24, 32


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


def test_training_step(compare: Any, smoke: bool) -> None:
    blocks, channels, size = (2, 4, 8) if smoke else (BLOCKS, CHANNELS, SIZE)
    rates = stochastic_depth_rates(blocks, 0.5)
    skipping, whole = (network(each, channels, size) for each in (rates, [0.0] * blocks))
    rng = np.random.default_rng(0)
    x = rng.random((BATCH, size, size, 1), np.float32)
    y = np.eye(8, dtype=np.float32)[rng.integers(0, 8, BATCH)]
    compare(
        "stochastic depth, training step with / without",
        lambda: skipping.train_on_batch(x, y),
        lambda: whole.train_on_batch(x, y),
        rounds=200,
        warmups=10,
        statistic=statistics.fmean,
        target=0.85,
        note=f"ideal {1 - statistics.fmean(rates):.2f}; means",
    )
