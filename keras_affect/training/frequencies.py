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
# FER+ settled in 3 rounds, and seven, the frequent ones among them, in 18.
_ROUNDS = 1000
# Logits nearer to each other than this are of pictures alike, and differ by rounding.
_APART = 1e-9


def match_frequencies(
    model: Any,
    images: npt.ArrayLike,
    labels: npt.ArrayLike,
    classes: Sequence[int],
    *,
    output: str = "emotion",
    batch_size: int = 256,
) -> npt.NDArray[np.float64]:
    """Post-hoc logit adjustment until rare classes are answered as often as they occur.

    A network that was trained on few pictures of a class answers it less often still: where it is
    not sure, a frequent class is the better bet. That costs little accuracy, and nearly all of the
    rare class. Here a number is added to the logits of each given class, such that as many of
    the pictures are answered with it as are of it. More of the rare pictures are found then, and
    more of the others taken for them. The odds of two classes change by a factor that is the same
    for all pictures; a class that was answered too often gets a negative number. It is the
    thresholding of Buda et al. 2018 (arXiv:1710.05381) with the numbers taken from the answers,
    where they divide by the classes' shares; or the logit adjustment of Menon et al. 2021
    (arXiv:2007.07314) with a strength for each class. The numbers are folded into the bias of the
    last layer, so that files of the model, and what is exported from it, need to know nothing of
    it.

    Take the pictures it was trained on, if it learnt them little better than others: a rare class
    needs all that there are. Scale its temperature afterwards, on others (`scale_temperature`).

    Args:
        model: A functional model whose output's layer is a `Dense` with softmax, as those of
            `keras_affect.models` are. Its weights are changed in place.
        images: Raw pixels `(images, height, width, channels)`.
        labels: The class of each picture, integers `(images,)`. Each class should occur among
            them as often as it will where the model is used.
        classes: Those to shift, each once; at least one is left as it is.
        output: Name of the layer that gives the probabilities.
        batch_size: Images that are run at once.

    Returns:
        What was added to the logits, float64 `(classes of the model,)`; 0 for the others. Where
        pictures are alike, they go over together, and a class may be answered a few times more or
        less often than it occurs.

    Raises:
        ValueError: If the model has no such layer, labels or classes are not of the model's, a
            class has no pictures or all, the model answers all of them the same or with no
            number, or pictures alike let the classes take them from one another for ever.
    """
    last = LastLayer(model, output)
    label = np.asarray(labels)
    if label.ndim != 1 or not np.issubdtype(label.dtype, np.integer):
        raise ValueError(
            "Invalid value for argument `labels`. Expected integers of shape (images,). "
            f"Received: {label.dtype} of shape {label.shape}"
        )
    wrong = (label < 0) | (label >= last.classes)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ValueError(
            f"Invalid value for argument `labels`. Expected classes in [0, {last.classes}). "
            f"Received: row {row} with {label[row]}"
        )
    asked = np.asarray(classes)
    is_known = asked.ndim == 1 and np.issubdtype(asked.dtype, np.integer)
    rare = asked.tolist() if is_known else []
    if not (
        rare and len(set(rare)) == len(rare) < last.classes and set(rare) <= {*range(last.classes)}
    ):
        raise invalid("classes", f"some of 0 to {last.classes - 1}, each once, not all", classes)
    wanted = np.bincount(label, minlength=last.classes)
    for index in rare:
        if not 0 < wanted[index] < len(label):
            raise ValueError(
                f"Invalid value for argument `labels`. Expected some pictures of class {index} and "
                f"some of others. Received: {wanted[index]} of {len(label)} are of it"
            )
    logits = last.logits(images, batch_size)
    if len(logits) != len(label):
        raise ValueError(
            f"Invalid value for argument `labels`. Expected one for each of {len(logits)} "
            f"pictures. Received: {len(label)}"
        )
    if not np.isfinite(logits).all():
        row = int(np.argmin(np.isfinite(logits).all(axis=1)))
        raise ValueError(
            "Invalid value for argument `images`. Expected pictures that the model answers with "
            f"numbers. Received: picture {row} with logits {logits[row].tolist()}"
        )
    shifts = _shifts(logits, wanted, rare)
    last.shift(shifts)
    return shifts


def _shifts(
    logits: npt.NDArray[np.float64], wanted: npt.NDArray[np.int64], classes: list[int]
) -> npt.NDArray[np.float64]:
    """What to add to logits, so that each class is the highest as often as wanted."""
    shifts = np.zeros(logits.shape[1])
    for _ in range(_ROUNDS):
        is_settled = True
        for index in classes:
            rivals = np.delete(logits + shifts, index, axis=1).max(axis=1)
            # From which number on the class is the highest, picture by picture.
            needed = np.sort(rivals - logits[:, index])
            # Pictures alike go over together: not every count of answers has a number.
            counts = np.flatnonzero(np.diff(needed) > _APART) + 1
            if not len(counts):
                raise ValueError(
                    "Invalid value for argument `images`. Expected pictures that the model tells "
                    f"apart. Received: {len(logits)} with the same answer, for class {index}"
                )
            distances = np.abs(counts - wanted[index])
            # As near as can be, it stays: of two counts as near, it would take now one, now the
            # other, and another class with it.
            if abs((needed < shifts[index]).sum() - wanted[index]) > distances.min():
                count = counts[distances.argmin()]
                shifts[index] = (needed[count - 1] + needed[count]) / 2
                is_settled = False
        if is_settled:
            return shifts
    answers = np.bincount((logits + shifts).argmax(axis=1), minlength=len(wanted))
    raise ValueError(
        f"After {_ROUNDS} rounds the classes {classes} still take answers from one another. "
        f"Expected {wanted[classes].tolist()} answers. Received: {answers[classes].tolist()}"
    )
