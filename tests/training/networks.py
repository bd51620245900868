"""Networks as training leaves them, and pictures for them."""

from __future__ import annotations

from typing import Any

import numpy as np


def trained(model: Any, seed: int = 0) -> Any:
    """The model with weights as training leaves them: scales and statistics of their own."""
    generator = np.random.default_rng(seed)
    for variable in model.trainable_variables:
        shape = tuple(variable.shape)
        if len(shape) == 1:
            variable.assign(generator.uniform(0.5, 1.5, shape))
        else:
            # Heads of less, which would saturate else.
            variance = (2 if len(shape) > 2 else 0.02) / np.prod(shape[:-1])
            variable.assign(generator.normal(0, np.sqrt(variance), shape))
    for _ in range(20):  # so that what comes out is of size 1 in deep networks too
        model(pictures(model), training=True)
    return model


def pictures(model: Any, count: int = 3) -> np.ndarray:
    """Noise of other contrast in each."""
    noise = np.random.default_rng(1).uniform(0, 255, (count, *model.input_shape[1:]))
    return noise / np.arange(1, count + 1)[:, None, None, None]
