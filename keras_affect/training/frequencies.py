"""Rare classes answered as often as they occur: a number for each, folded into the last layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from keras_affect._arguments import invalid
from keras_affect.training.last_layer import LastLayer

__all__ = ["match_frequencies"]

# Each class takes some answers of the others, which then take theirs back: three rare emotions of
# FER+ settled in 3 rounds, and seven, the frequent ones among them, in 40.
_ROUNDS = 1000
_SETTLED = 1e-9


def match_frequencies(
    model: Any,
    images: npt.ArrayLike,
    labels: npt.ArrayLike,
    classes: Sequence[int],
    *,
    output: str = "emotion",
    batch_size: int = 256,
) -> npt.NDArray[np.float64]:
    """Shift the logits of rare classes until a model answers each as often as it occurs.

    A network that was trained on few pictures of a class answers it less often still: where it is
    not sure, a frequent class is the better bet. That costs little accuracy, and nearly all of the
    rare class. Here a number is added to the logits of each given class, such that as many of
    the pictures are answered with it as are of it. More of the rare pictures are found then, and
    more of the others taken for them; probabilities of the rare classes rise, and those of the
    others fall, by a common factor each. It is the thresholding of Buda et al. 2018
    (arXiv:1710.05381) with the numbers taken from the answers, where they divide by the classes'
    shares; or the logit adjustment of Menon et al. 2021 (arXiv:2007.07314, section 4.1) with a
    strength for each class. The numbers are folded into the bias of the last layer, so that files
    of the model, and what is exported from it, need to know nothing of it.

    Take the pictures it was trained on, if it learnt them little better than others: a rare class
    needs all that there are. Scale its temperature afterwards, on others (`scale_temperature`).

    Args:
        model: A functional model whose output's layer is a `Dense` with softmax, as those of
            `keras_affect.models` are. Its weights are changed in place.
        images: Raw pixels `(images, height, width, channels)`.
        labels: The class of each picture, integers `(images,)`. How often each class occurs
            among them should be how often it will where the model is used.
        classes: Those to shift, each once; at least one is left as it is.
        output: Name of the layer that gives the probabilities.
        batch_size: Images that are run at once.

    Returns:
        What was added to the logits, float64 `(classes of the model,)`; 0 for the others. Where
        pictures are alike, they may be answered a few times more or less often than they occur.

    Raises:
        ValueError: If the model has no such layer, labels or classes are not of the model's, a
            class has no pictures or all, or the model answers all of them the same.
    """
    last = LastLayer(model, output)
    logits = last.logits(images, batch_size)
    count, total = logits.shape
    of = np.asarray(labels)
    if of.shape != (count,) or not np.issubdtype(of.dtype, np.integer):
        raise ValueError(
            f"Invalid value for argument `labels`. Expected integers of shape ({count},), one for "
            f"each picture. Received: {of.dtype} of shape {of.shape}"
        )
    if count and not (of.min() >= 0 and of.max() < total):
        row = int(np.argmax((of < 0) | (of >= total)))
        raise ValueError(
            f"Invalid value for argument `labels`. Expected classes in [0, {total}). "
            f"Received: row {row} with {of[row]}"
        )
    rare = list(classes)
    if not (rare and len(set(rare)) == len(rare) < total and set(rare) <= set(range(total))):
        raise invalid("classes", f"some of 0 to {total - 1}, each once, and not all", classes)
    wanted = np.bincount(of, minlength=total)
    for name in rare:
        if not 0 < wanted[name] < count:
            raise ValueError(
                f"Invalid value for argument `labels`. Expected some pictures of class {name} and "
                f"some of others. Received: {wanted[name]} of {count} are of it"
            )
    shifts = _shifts(logits, wanted, rare)
    last.shift(shifts)
    return shifts


def _shifts(
    logits: npt.NDArray[np.float64], wanted: npt.NDArray[np.int64], classes: Sequence[int]
) -> npt.NDArray[np.float64]:
    """What to add to logits, so that each class is the highest as often as wanted."""
    shifts = np.zeros(logits.shape[1])
    for _ in range(_ROUNDS):
        answers = np.bincount((logits + shifts).argmax(axis=1), minlength=len(wanted))
        before = shifts.copy()
        for name in classes:
            rivals = np.delete(logits + shifts, name, axis=1).max(axis=1)
            # From which number on the class is the highest, picture by picture.
            needed = np.sort(rivals - logits[:, name])
            # Pictures alike go over together: not every count of answers has a number.
            counts = np.flatnonzero(np.diff(needed) > 0) + 1
            if not len(counts):
                raise ValueError(
                    "Invalid value for argument `images`. Expected pictures that the model tells "
                    f"apart. Received: {len(logits)} with the same answer, for class {name}"
                )
            count = counts[np.argmin(np.abs(counts - wanted[name]))]
            shifts[name] = (needed[count - 1] + needed[count]) / 2
        if np.allclose(shifts, before, rtol=0, atol=_SETTLED):
            return shifts
    raise ValueError(
        f"After {_ROUNDS} rounds the classes {list(classes)} still take answers from one another. "
        f"Expected {wanted[classes].tolist()} answers. Received: {answers[classes].tolist()}"
    )
