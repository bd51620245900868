"""Whether a model's certainty can be trusted: its probabilities beside the votes' shares."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from keras_affect.datasets import votes as rules
from keras_affect.evaluation.checks import Array, check_pair

__all__ = ["BINS", "Reliability", "bin_by_confidence", "reliability"]

#: The bins that calibration errors on FER+ are stated for.
BINS = 15


@dataclass(frozen=True)
class Reliability:
    """How far a model's certainty can be trusted, in bins of nearly equal count.

    Attributes:
        confidence: `(bins,)`, the mean probability of the most probable emotion, rising.
        share: `(bins,)`, the mean share that this emotion has of the outlier-free votes.
        count: `(bins,)` int64, images.
    """

    confidence: Array
    share: Array
    count: npt.NDArray[np.int64]

    @property
    def error(self) -> float:
        """The calibration error: the mean of |confidence - share|, weighted by count."""
        return float(np.average(np.abs(self.confidence - self.share), weights=self.count))


def reliability(
    probabilities: npt.ArrayLike, votes: npt.ArrayLike, bins: int = BINS
) -> Reliability:
    """Certainty against votes, of the images that the official rule keeps.

    Images are sorted by the probability of their most probable emotion and cut into bins whose
    counts differ by at most one. Images of one and the same probability, which an int8 file has
    many of, count with their mean share, so that their order does not matter.

    Args:
        probabilities: As in `scores`.
        votes: As in `scores`.
        bins: How many bins; fewer if there are fewer images.

    Raises:
        ValueError: As `scores`, and if `bins` is less than 1.
    """
    if bins < 1:
        raise ValueError(
            f"Invalid value for argument `bins`. Expected 1 or more. Received: bins={bins}"
        )
    given, counts, label = check_pair(probabilities, votes)
    kept = label >= 0
    return bin_by_confidence(given[kept], rules.outlier_free(counts[kept]), bins)


def bin_by_confidence(
    probabilities: Array, shares: npt.NDArray[np.floating], bins: int = BINS
) -> Reliability:
    """As `reliability`, of images that are kept already and shares `(images, 8)`."""
    confidence = probabilities.max(axis=1)
    share = np.take_along_axis(shares, probabilities.argmax(axis=1)[:, None], axis=1)[:, 0]
    _, group = np.unique(confidence, return_inverse=True)
    share = (np.bincount(group, share) / np.bincount(group))[group]
    parts = np.array_split(np.argsort(confidence, kind="stable"), min(bins, len(confidence)))
    return Reliability(
        np.array([confidence[part].mean() for part in parts]),
        np.array([share[part].mean() for part in parts]),
        np.array([len(part) for part in parts], np.int64),
    )
