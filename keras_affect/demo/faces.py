"""What the demo trains on and scores on: drawings, or FER+ where its folder is named."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from keras_affect.augmentation import face_pipeline
from keras_affect.datasets import ferplus, synthetic
from keras_affect.datasets.batches import batches_of

__all__ = ["Faces", "drawings", "photographs"]

# Drawings to train on and drawings to score on come from different series.
_TRAIN_SEED, _HELD_OUT_SEED = 0, 1
_CALIBRATION_IMAGES = 256


@dataclass(frozen=True)
class Faces:
    """Faces to train on and faces to score on.

    Attributes:
        source: "drawings" or "ferplus".
        train: A `tf.data.Dataset` of batches, as `ferplus.load` gives.
        train_count: How many faces it holds.
        calibration: Some of its images, uint8 `(count, 48, 48, 1)`.
        images: The faces to score on, uint8 `(count, 48, 48, 1)`.
        emotion: Their emotions' places in `emotions.NAMES`, int64 `(count,)`.
        valence_arousal: float32 `(count, 2)` in [-1, 1].
    """

    source: Literal["drawings", "ferplus"]
    train: Any
    train_count: int
    calibration: npt.NDArray[np.uint8]
    images: npt.NDArray[np.uint8]
    emotion: npt.NDArray[np.int64]
    valence_arousal: npt.NDArray[np.float32]


def drawings(train_count: int, held_out_count: int, batch_size: int) -> Faces:
    """Faces of `datasets.synthetic`."""
    images, labels = synthetic.arrays(held_out_count, seed=_HELD_OUT_SEED)
    calibration, _ = synthetic.arrays(min(train_count, _CALIBRATION_IMAGES), seed=_TRAIN_SEED)
    return Faces(
        source="drawings",
        train=synthetic.load(train_count, seed=_TRAIN_SEED, batch_size=batch_size),
        train_count=train_count,
        calibration=calibration,
        images=images,
        emotion=labels["emotion"].argmax(axis=1),
        valence_arousal=labels["valence_arousal"],
    )


def photographs(root: str | Path, batch_size: int) -> Faces:
    """Faces of FER+: train, and those of valid whose majority the official rule keeps.

    Raises:
        OSError, ValueError: If `ferplus.read` cannot read one of the two splits.
    """
    kept = ferplus.labelled(root, "train", "distribution", drop_duplicates="valid")
    valid = ferplus.labelled(root, "valid", "majority")
    some = range(min(len(kept.data), _CALIBRATION_IMAGES))
    return Faces(
        source="ferplus",
        train=batches_of(
            kept.data,
            kept.emotion,
            kept.valence_arousal,
            draw_labels=False,
            batch_size=batch_size,
            shuffle=True,
            seed=_TRAIN_SEED,
            cache="memory",
            augment=face_pipeline("light"),
            initial_epoch=0,
            repeat=False,
        ),
        train_count=len(kept.data),
        calibration=np.stack([kept.data.picture(index) for index in some]),
        images=valid.data.images,
        emotion=valid.emotion.argmax(axis=1),
        valence_arousal=valid.valence_arousal,
    )
