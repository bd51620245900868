"""What a training step takes by the fused batch normalisation, of the same network's by Keras's.

The network is LightweightCNN, in the precision that its recipe trains it in: batches of 128.
"""

from __future__ import annotations

from typing import Any
from unittest import mock

import keras
import numpy as np

from keras_affect import models
from keras_affect.models.batch_normalization import BatchNormalization


def network(width: float) -> Any:
    model = models.LightweightCNN(
        weights=None, width=width, valence_arousal=False, dtype="mixed_bfloat16"
    )
    model.compile(
        keras.optimizers.SGD(0.01, momentum=0.9), "categorical_crossentropy", jit_compile=False
    )
    return model


def test_training_step(compare: Any, smoke: bool) -> None:
    width, batch = (0.25, 4) if smoke else (1.0, 128)
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 255, (batch, 48, 48, 1)).astype(np.float32)
    y = {"emotion": np.eye(8, dtype=np.float32)[rng.integers(0, 8, batch)]}
    fused = network(width)
    with mock.patch.object(BatchNormalization, "_can_be_fused", return_value=False):
        plain = network(width)
        plain.train_on_batch(x, y)  # traced here, once and for all
    compare(
        "batch normalisation, training step fused / Keras's",
        lambda: fused.train_on_batch(x, y),
        lambda: plain.train_on_batch(x, y),
        rounds=30,
        warmups=3,
        target=0.8,
    )
