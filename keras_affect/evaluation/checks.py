"""What may be scored: probabilities, votes and points of the right form."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from keras_affect import emotions
from keras_affect.datasets import votes as rules

__all__ = ["Array", "check_pair", "check_rows"]

Array = npt.NDArray[np.float64]

_CLASSES = len(emotions.NAMES)
# An exported file gives probabilities in steps of 1/256: eight of them, each rounded by half a
# step, may miss a sum of 1 by 8/512.
_SUM_TOLERANCE = 0.02


def check_rows(name: str, values: npt.NDArray[Any], shape: tuple[int, int]) -> None:
    """Raise ValueError unless `values`, the argument `name`, is finite and of that shape."""
    if values.shape != shape:
        raise ValueError(
            f"Invalid value for argument `{name}`. Expected shape {shape}. "
            f"Received: shape {values.shape}"
        )
    bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if bad.size:
        raise ValueError(
            f"Invalid value for argument `{name}`. Expected finite numbers. "
            f"Received: {bad.size} rows with NaN or infinity, the first of them row {bad[0]}"
        )


def check_pair(
    probabilities: npt.ArrayLike, votes: npt.ArrayLike
) -> tuple[Array, npt.NDArray[Any], npt.NDArray[np.int64]]:
    """Probabilities divided by their sum, votes, and the majority's emotion or -1.

    Raises:
        ValueError: If the arrays are not of the form that `evaluation.scores` states, or the
            official rule keeps no image.
    """
    given, counts = np.asarray(probabilities, np.float64), np.asarray(votes)
    rows = len(given) if given.ndim == 2 else 0
    if rows == 0 or given.shape[1] != _CLASSES:
        raise ValueError(
            f"Invalid value for argument `probabilities`. Expected shape (images, {_CLASSES}), "
            f"with one image or more. Received: shape {given.shape}"
        )
    check_rows("probabilities", given, (rows, _CLASSES))
    total = given.sum(axis=1, keepdims=True)
    wrong = np.flatnonzero((given < 0).any(axis=1) | (np.abs(total[:, 0] - 1) > _SUM_TOLERANCE))
    if wrong.size:
        raise ValueError(
            "Invalid value for argument `probabilities`. Expected rows of 0 or more that sum to "
            f"1 (a softmax, not logits). Received: {wrong.size} other rows, the first of them row "
            f"{wrong[0]}: {given[wrong[0]].round(4).tolist()}"
        )
    check_rows("votes", counts, (rows, len(rules.COLUMNS)))
    label = rules.majority(counts)
    if (label < 0).all():
        raise ValueError(
            "Invalid value for argument `votes`. Expected at least one image with an emotion that "
            f"holds more than half of its votes. Received: {rows} images, none such"
        )
    return given / total, counts, label
