"""Whether two networks answer alike."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

__all__ = ["answers", "first_difference"]

# Answers of both networks to noise may differ by what float32 rounds, and no more.
_TOLERANCE = 1e-3


def answers(model: Any) -> dict[str, np.ndarray]:
    """A network's outputs for pictures of noise, in float32, whatever it runs in."""
    noise = np.random.default_rng(0).uniform(0, 255, (4, *model.input_shape[1:]))
    copy = type(model).from_config(model.get_config() | {"dtype": "float32"})
    copy.set_weights(model.get_weights())
    outputs = copy(noise, training=False)
    return {name: keras.ops.convert_to_numpy(output) for name, output in outputs.items()}


def first_difference(before: dict[str, np.ndarray], after: dict[str, np.ndarray]) -> str | None:
    """The name of an output that differs, or None where all are the same."""
    for name, answer in before.items():
        if not np.allclose(answer, after[name], rtol=0, atol=_TOLERANCE):
            return name
    return None
