"""What accuracy would be if the model could leave the pictures unanswered that it is unsure of."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from keras_affect.evaluation.checks import Array, check_pair

__all__ = ["SHARES", "accuracy_by_share", "answered"]

#: Shares of the pictures that scores are stated for.
SHARES = (1.0, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5)


def answered(probabilities: npt.ArrayLike, votes: npt.ArrayLike) -> tuple[Array, Array, Array]:
    """The curve of accuracy against the share answered, of the images that the rule keeps.

    A point for each certainty that occurs: all pictures at least so certain are answered.

    Args:
        probabilities: As in `scores`.
        votes: As in `scores`.

    Returns:
        Three arrays of one length: certainties, falling; the share of pictures answered at each,
        rising to 1; and the share of these answers that is right.

    Raises:
        ValueError: As `scores`.
    """
    given, _, label = check_pair(probabilities, votes)
    kept = label >= 0
    return _curve(given[kept], label[kept])


def accuracy_by_share(probabilities: Array, label: npt.NDArray[np.int64]) -> list[dict[str, float]]:
    """Points of the curve, of images that are kept already.

    Args:
        probabilities: `(images, 8)`.
        label: `(images,)`, the right class.

    Returns:
        For each of `SHARES` the point with the highest "certainty" that answers at least this
        share: "certainty", "share" and "accuracy". Pictures of one and the same certainty, which
        an int8 file has many of, are answered together, so the share may be larger than asked.
    """
    certainty, share, accuracy = _curve(probabilities, label)
    places = [int(np.argmax(share >= asked)) for asked in SHARES]
    return [
        {
            "certainty": float(certainty[place]),
            "share": float(share[place]),
            "accuracy": float(accuracy[place]),
        }
        for place in places
    ]


def _curve(probabilities: Array, label: npt.NDArray[np.int64]) -> tuple[Array, Array, Array]:
    certainty = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == label
    values, group = np.unique(-certainty, return_inverse=True)
    count = np.bincount(group).cumsum()
    correct = np.bincount(group, right).cumsum()
    return -values, count / len(label), correct / count
