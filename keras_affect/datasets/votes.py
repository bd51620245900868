"""FER+'s rules: from ten vote counts an image to labels, to the letter of its authors' tools.

Votes are arrays `(images, 10)`: the eight emotions in the order of `emotions.NAMES`, then
"unknown" and "not a face" (NF). Every rule but `majority` gives `(images, 8)` float32, a row of
zeros where the rule drops the image.

Source: Barsoum, Zhang, Canton Ferrer and Zhang 2016, "Training Deep Networks for Facial
Expression Recognition with Crowd-Sourced Label Distribution" (arXiv:1608.01041), and the
authors' tools, github.com/microsoft/FERPlus, whose modes are named beside each rule.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from keras_affect import emotions

__all__ = [
    "COLUMNS",
    "distribution",
    "majority",
    "multi_label",
    "outlier_free",
    "valence_arousal",
]

#: The ten columns of FER+'s votes.
COLUMNS: tuple[str, ...] = (*emotions.NAMES, "unknown", "NF")

_EMOTIONS = len(emotions.NAMES)

Array = npt.NDArray[np.float32]


def _without_outliers(votes: npt.ArrayLike) -> npt.NDArray[np.float64]:
    counts = np.array(votes, np.float64)
    if counts.ndim != 2 or counts.shape[1] != len(COLUMNS):
        raise ValueError(
            "Invalid value for argument `votes`. Expected shape (images, 10). "
            f"Received: shape {counts.shape}"
        )
    if not (np.isfinite(counts).all() and (counts >= 0).all()):
        raise ValueError("Invalid value for argument `votes`. Expected counts of 0 or more.")
    # A single vote is taken for a slip, in any column.
    counts[counts <= 1] = 0
    return counts


def _normalised_emotions(kept: npt.NDArray[np.float64]) -> Array:
    """Drop images whose peak is unknown or NF, then normalise over the eight emotions."""
    part = kept[:, :_EMOTIONS].copy()
    part[kept.argmax(axis=1) >= _EMOTIONS] = 0
    total = part.sum(axis=1, keepdims=True)
    return np.divide(part, total, out=np.zeros_like(part), where=total > 0).astype(np.float32)


def majority(votes: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """The column holding more than half of the votes, the tools' "majority".

    Votes of 1 count as 0.

    Returns:
        `(images,)` int64: a place in `emotions.NAMES`, or -1 where no column holds more than
        half, or where that column is unknown or NF.
    """
    counts = _without_outliers(votes)
    peak = counts.argmax(axis=1)
    valid = (counts.max(axis=1) > 0.5 * counts.sum(axis=1)) & (peak < _EMOTIONS)
    return np.where(valid, peak, -1).astype(np.int64)


def distribution(votes: npt.ArrayLike) -> Array:
    """The shares of the strongest emotions, the tools' "crossentropy" and "probability".

    Votes of 1 count as 0. Peaks are taken from the highest down, equal ones together, until
    they hold 75 % of the votes or are three, and no further than a peak that is unknown or NF
    (itself not taken when emotions stand before it). An image is dropped if what was taken
    holds half of the votes or less, is more than three columns, or peaks in unknown or NF.

    Returns:
        `(images, 8)` float32, rows summing to 1, or 0 where the image is dropped.
    """
    counts = _without_outliers(votes)
    taken = np.zeros_like(counts)
    for row, kept in zip(counts, taken, strict=True):
        _take_peaks(row, kept)
    return _normalised_emotions(taken)


def _take_peaks(row: npt.NDArray[np.float64], kept: npt.NDArray[np.float64]) -> None:
    total = row.sum()
    left = row.copy()
    gathered, columns = 0.0, 0
    at_emotion = True
    while gathered < 0.75 * total and columns < 3 and at_emotion:
        peak = left.max()
        for column in np.flatnonzero(left == peak):
            kept[column] = peak
            left[column] = 0
            gathered += peak
            columns += 1
            if column >= _EMOTIONS:
                at_emotion = False
                if kept.sum() > peak:
                    kept[column] = 0
                    columns -= 1
                break
    if kept.sum() <= 0.5 * total or columns > 3:
        kept[:] = 0


def multi_label(votes: npt.ArrayLike) -> Array:
    """Every emotion with at least 30 % of the votes, the tools' "multi_target".

    Votes of 1 count as 0. An image is dropped if those columns together hold half of the votes
    or less, or peak in unknown or NF. The tools move 0 and 1 to 0.001 and 1 when they train;
    that belongs to the loss and is not done here.

    Returns:
        `(images, 8)` float32 of 0 and 1; all 0 where the image is dropped.
    """
    counts = _without_outliers(votes)
    total = counts.sum(axis=1, keepdims=True)
    kept = np.where(counts >= 0.3 * total, counts, 0)
    kept[kept.sum(axis=1) <= 0.5 * total[:, 0]] = 0
    return (_normalised_emotions(kept) > 0).astype(np.float32)


def outlier_free(votes: npt.ArrayLike) -> Array:
    """The votes' shares over the eight emotions once single votes are gone.

    Not a rule of the tools: it keeps what `distribution` cuts off, and every image with an
    emotion left. `evaluation` scores probabilities against it.

    Returns:
        `(images, 8)` float32, rows summing to 1, or 0 where no emotion has two votes.
    """
    part = _without_outliers(votes)[:, :_EMOTIONS]
    total = part.sum(axis=1, keepdims=True)
    return np.divide(part, total, out=np.zeros_like(part), where=total > 0).astype(np.float32)


def valence_arousal(votes: npt.ArrayLike) -> Array:
    """Valence and arousal from votes: `emotions.CIRCUMPLEX` weighted by `outlier_free`.

    Nobody annotated FER+ with valence and arousal; this is what its emotions imply.

    Returns:
        `(images, 2)` float32 in [-1, 1], NaN where no emotion has two votes.
    """
    shares = outlier_free(votes)
    points = shares @ emotions.CIRCUMPLEX
    points[shares.sum(axis=1) == 0] = np.nan
    return points
