"""FER+: the faces of FER2013 with ten crowd votes each.

Reads what people have: the folders of FER+'s own tools (``FER2013Train/label.csv`` beside its
pictures), or Kaggle's ``fer2013.csv`` or ``icml_face_data.csv`` beside FER+'s ``fer2013new.csv``.

The votes are at github.com/microsoft/FERPlus (MIT); the pictures come from the Kaggle challenge
FER2013 (Goodfellow et al. 2013) and may be used for research, not passed on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from keras_affect.datasets import votes
from keras_affect.datasets.ferplus_files import SPLITS, FerPlus, OnError, duplicates, read
from keras_affect.datasets.votes import (
    COLUMNS,
    distribution,
    majority,
    multi_label,
    outlier_free,
    valence_arousal,
)

if TYPE_CHECKING:
    import tensorflow as tf

__all__ = [
    "LABELS",
    "SPLITS",
    "FerPlus",
    "Labelled",
    "OnError",
    "distribution",
    "duplicates",
    "labelled",
    "load",
    "majority",
    "multi_label",
    "outlier_free",
    "read",
    "valence_arousal",
]

#: What `load` gives as labels.
LABELS = ("distribution", "majority", "multi_label", "drawn", "outlier_free", "votes")


@dataclass(frozen=True)
class Labelled:
    """Images with their labels, before they are batched.

    Attributes:
        data: The images that the label rule keeps.
        emotion: float32 `(images, 8)`, or `(images, 10)` for "votes".
        valence_arousal: float32 `(images, 2)`.
    """

    data: FerPlus
    emotion: npt.NDArray[np.float32]
    valence_arousal: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.data)

    @property
    def names(self) -> tuple[str, ...]:
        """The pictures' names."""
        return self.data.names

    def picture(self, index: int) -> npt.NDArray[np.uint8]:
        """Image `index`, uint8 `(48, 48, 1)`, read from its file."""
        return self.data.picture(index)


def labelled(
    root: str | Path,
    split: str,
    labels: str,
    *,
    drop_duplicates: str | Sequence[str] | None = None,
    on_error: OnError = "raise",
) -> Labelled:
    """A split's images and labels as arrays, without TensorFlow; arguments as in `load`."""
    if labels not in LABELS:
        raise ValueError(
            f"Invalid value for argument `labels`. Expected one of {', '.join(LABELS)}. "
            f"Received: labels={labels!r}"
        )
    data = read(root, split, on_error)
    if drop_duplicates is not None:
        others = [drop_duplicates] if isinstance(drop_duplicates, str) else drop_duplicates
        if split in others:
            raise ValueError(
                "Invalid value for argument `drop_duplicates`. Expected other splits than "
                f"split={split!r}. Received: drop_duplicates={drop_duplicates!r}"
            )
        data = data.take(~duplicates(data, *(read(root, name, on_error) for name in others)))
    targets = _targets(data.votes, labels)
    # "votes" drops no image, not even one that nobody voted on.
    kept = np.asarray(targets.any(axis=1) | (labels == "votes"))
    data = data.take(kept)
    return Labelled(data, targets[kept], votes.valence_arousal(data.votes))


def load(
    root: str | Path,
    split: str = "train",
    labels: str = "distribution",
    *,
    valence_arousal: bool = True,
    batch_size: int = 128,
    shuffle: bool | None = None,
    seed: int = 0,
    cache: str | Path | None = None,
    drop_duplicates: str | Sequence[str] | None = None,
    on_error: OnError = "raise",
    augment: Callable[..., Any] | None = None,
    initial_epoch: int = 0,
    repeat: bool = False,
) -> tf.data.Dataset:
    """FER+ for `model.fit`.

    Args:
        root: As in `read`.
        split: "train", "valid" or "test".
        labels: The rule of `datasets.votes` that makes the labels: "distribution", "majority",
            "multi_label", "outlier_free"; "drawn" draws one emotion an image from
            "distribution", anew each epoch (the paper's probabilistic label drawing); "votes"
            gives all ten columns as they are. Images that the rule drops are left out; "votes"
            drops none.
        valence_arousal: Whether to give them; False for a model without that output.
        batch_size: Images in a batch; the last of an epoch may be smaller.
        shuffle: Whether to give each epoch its own order. None: for train.
        seed: Order, draws and augmentation are functions of (seed, epoch, index).
        cache: None decodes pictures anew each epoch and holds one batch. "memory" holds all,
            2,304 bytes an image. A path keeps them there as a ``.npy`` file that is read through
            the operating system's page cache, and is used again if it holds these pictures.
        drop_duplicates: Leave out images that stand pixel for pixel in this split, or these:
            ``load(root, "train", drop_duplicates="valid")``.
        on_error: As in `read`.
        augment: Called in the graph as ``augment(images, keys)``, float32
            `(batch, 48, 48, 1)` and uint64 `(batch,)`; gives images. One that says
            ``augment.mixes_labels`` is called as ``augment(images, keys, labels)`` and gives
            `(images, labels)`. See `augmentation.face_pipeline`.
        initial_epoch: The first epoch's number.
        repeat: False: each pass is the next epoch. True: one endless pass, for ``fit`` with
            ``steps_per_epoch``; what a run that must be resumed exactly uses.

    Returns:
        A `tf.data.Dataset` of `(images, {"emotion": ..., "valence_arousal": ...})`: float32
        `(batch, 48, 48, 1)` in [0, 255]; float32 `(batch, 8)`, or `(batch, 10)` for "votes";
        float32 `(batch, 2)` in [-1, 1] from `votes.valence_arousal` (NaN, with "votes" alone,
        where no emotion has two votes).

    Raises:
        FileNotFoundError, ValueError: As `read`; and for arguments that are not of these forms.
    """
    # TensorFlow loads here and not above, so that votes can be read and scored without it.
    from keras_affect.datasets.batches import batches_of, check_batch_size

    check_batch_size(batch_size)
    kept = labelled(root, split, labels, drop_duplicates=drop_duplicates, on_error=on_error)
    return batches_of(
        kept.data,
        kept.emotion,
        kept.valence_arousal if valence_arousal else None,
        draw_labels=labels == "drawn",
        batch_size=batch_size,
        shuffle=split == "train" if shuffle is None else shuffle,
        seed=seed,
        cache=cache,
        augment=augment,
        initial_epoch=initial_epoch,
        repeat=repeat,
    )


def _targets(counts: npt.NDArray[np.float32], labels: str) -> npt.NDArray[np.float32]:
    if labels == "votes":
        return counts
    if labels == "majority":
        label = majority(counts)
        one_hot = np.eye(len(COLUMNS) - 2, dtype=np.float32)[label]
        return one_hot * (label >= 0)[:, None].astype(np.float32)
    rule = {"multi_label": multi_label, "outlier_free": outlier_free}.get(labels, distribution)
    return rule(counts)
