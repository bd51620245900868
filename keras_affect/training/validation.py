"""A student validated without its teachers, who are asked in training alone."""

from __future__ import annotations

from typing import Any

import keras

__all__ = ["Validation"]


class Validation(keras.callbacks.Callback):
    """Scores one network while another that holds it is trained.

    The scores join the epoch's logs under the names that `fit` gives to those of its
    `validation_data`, for the callbacks that come after this one.

    Args:
        scored: A compiled model.
        data: What its `evaluate` takes.
    """

    def __init__(self, scored: Any, data: Any) -> None:
        super().__init__()
        self._scored = scored
        self._data = data

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Score, and add to the logs."""
        scores = self._scored.evaluate(self._data, verbose=0, return_dict=True)
        if logs is not None:
            logs |= {f"val_{name}": value for name, value in scores.items()}
