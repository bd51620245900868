"""Scores on FER+: accuracy by its official rule, what the votes say, valence and arousal."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from keras_affect import emotions
from keras_affect.datasets import votes as rules
from keras_affect.evaluation.calibration import bin_by_confidence
from keras_affect.evaluation.checks import Array, check_pair, check_rows
from keras_affect.evaluation.selective import accuracy_by_share

__all__ = ["scores", "wilson_interval"]

_CLASSES = len(emotions.NAMES)
# What Keras's cross-entropy takes a probability of 0 for.
_SMALLEST_PROBABILITY = 1e-7


def scores(
    probabilities: npt.ArrayLike,
    votes: npt.ArrayLike,
    valence_arousal: npt.ArrayLike | None = None,
    duplicate: npt.ArrayLike | None = None,
) -> dict[str, Any]:
    """What a model's answers are worth, against FER+'s votes.

    Images that the official rule drops (no emotion holds more than half of the votes) are left
    out of every figure.

    Args:
        probabilities: `(images, 8)`, in the order of `emotions.NAMES`, rows summing to 1 within
            0.02 (the rounding of an int8 file); they are divided by their sum.
        votes: `(images, 10)`, as `datasets.ferplus.read` gives them.
        valence_arousal: `(images, 2)`, or None if the model has no such output.
        duplicate: `(images,)` bool, True for images that stand in train too, or None if that is
            not known.

    Returns:
        A dict that JSON can hold:

        - "images": how many were scored.
        - "accuracy": the share of images whose most probable emotion (the first, among equals)
          is the majority's; "accuracy_interval": its 95 % interval, [low, high] (Wilson 1927).
        - "balanced_accuracy": the mean of the recalls of the emotions that occur.
        - "recall": by emotion; None for an emotion without images. "support": images by emotion.
        - "confusion": counts, a list of 8 lists: rows are the majority's, columns the model's.
        - "cross_entropy": mean over images, in nats, against "raw_votes" (all votes for the
          eight emotions) and "outlier_free_votes" (`votes.outlier_free`). A probability counts
          as at least 1e-7; an int8 file rounds those below 1/512 to 0, and pays for it here.
          "cross_entropy_floor": the mean entropy of those votes, which no model goes below.
        - "calibration_error": `Reliability.error` over 15 bins, see `reliability`.
        - "answered": were the least certain images left unanswered, a list of "certainty" (the
          lowest that is answered), "share" of the images answered, and "accuracy" of these.
        - "valence", "arousal": "concordance" (Lin's coefficient, 0 where it is 0 / 0) and "rmse"
          against `votes.valence_arousal`; None without `valence_arousal`.
        - "duplicates": how many of the images stand in train, None if not known;
          "without_duplicates": all of the above without them, None if not known or none is left.

    Raises:
        ValueError: If an array has another shape or is not finite, if probabilities are negative
            or do not sum to 1, or if the rule keeps no image.
    """
    given, counts, label = check_pair(probabilities, votes)
    points = None
    if valence_arousal is not None:
        points = np.asarray(valence_arousal, np.float64)
        check_rows("valence_arousal", points, (len(given), 2))
    kept = label >= 0
    result = _scores(given, counts, label, points, kept)
    result |= {"duplicates": None, "without_duplicates": None}
    if duplicate is not None:
        twice = np.asarray(duplicate)
        if twice.shape != label.shape or twice.dtype != np.bool_:
            raise ValueError(
                f"Invalid value for argument `duplicate`. Expected {len(label)} booleans. "
                f"Received: shape {twice.shape}, {twice.dtype}"
            )
        result["duplicates"] = int((kept & twice).sum())
        if (kept & ~twice).any():
            result["without_duplicates"] = _scores(given, counts, label, points, kept & ~twice)
    return result


def _scores(
    probabilities: Array,
    votes: npt.NDArray[Any],
    label: npt.NDArray[np.int64],
    valence_arousal: Array | None,
    kept: npt.NDArray[np.bool_],
) -> dict[str, Any]:
    probabilities, votes, label = probabilities[kept], votes[kept], label[kept]
    predicted = probabilities.argmax(axis=1)
    confusion = np.zeros((_CLASSES, _CLASSES), np.int64)
    np.add.at(confusion, (label, predicted), 1)
    support = confusion.sum(axis=1)
    right = int(confusion.trace())
    recall = {
        name: float(confusion[i, i] / support[i]) if support[i] else None
        for i, name in enumerate(emotions.NAMES)
    }
    raw = votes[:, :_CLASSES] / votes[:, :_CLASSES].sum(axis=1, keepdims=True, dtype=np.float64)
    shares = {"raw_votes": raw, "outlier_free_votes": rules.outlier_free(votes).astype(np.float64)}
    result = {
        "images": len(label),
        "accuracy": right / len(label),
        "accuracy_interval": wilson_interval(right, len(label)),
        "balanced_accuracy": float(np.mean([r for r in recall.values() if r is not None])),
        "recall": recall,
        "support": dict(zip(emotions.NAMES, support.tolist(), strict=True)),
        "confusion": confusion.tolist(),
        "cross_entropy": {of: _cross_entropy(share, probabilities) for of, share in shares.items()},
        "cross_entropy_floor": {of: _cross_entropy(share, share) for of, share in shares.items()},
        "calibration_error": bin_by_confidence(probabilities, shares["outlier_free_votes"]).error,
        "answered": accuracy_by_share(probabilities, label),
        "valence": None,
        "arousal": None,
    }
    if valence_arousal is not None:
        target = rules.valence_arousal(votes).astype(np.float64)
        for column, axis in enumerate(("valence", "arousal")):
            result[axis] = _agreement(target[:, column], valence_arousal[kept, column])
    return result


def wilson_interval(right: int, total: int) -> list[float]:
    """The 95 % interval, [low, high], of the share that so many right ones of a total tell of.

    Wilson 1927, "Probable inference, the law of succession, and statistical inference", Journal of
    the American Statistical Association 22: unlike the normal approximation it stays within [0, 1]
    and holds near the ends.
    """
    z = NormalDist().inv_cdf(0.975)
    middle = (right + z**2 / 2) / (total + z**2)
    reach = z / (total + z**2) * math.sqrt(right * (total - right) / total + z**2 / 4)
    return [max(0.0, middle - reach), min(1.0, middle + reach)]


def _cross_entropy(shares: Array, probabilities: Array) -> float:
    logs = np.log(np.maximum(probabilities, _SMALLEST_PROBABILITY))
    return float(-(shares * logs).sum(axis=1).mean())


def _agreement(target: Array, predicted: Array) -> dict[str, float]:
    # Asked of the values, since the variance of one and the same number may round to above 0.
    constant = np.ptp(target) == 0 and np.ptp(predicted) == 0
    covariance = np.mean((target - target.mean()) * (predicted - predicted.mean()))
    spread = target.var() + predicted.var() + (target.mean() - predicted.mean()) ** 2
    return {
        "concordance": 0.0 if constant else float(2 * covariance / spread),
        "rmse": float(np.sqrt(np.mean((predicted - target) ** 2))),
    }
