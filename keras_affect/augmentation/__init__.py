"""Augmentation of face crops: seeded, and with keys a pure function of (seed, epoch, index)."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from keras_affect.augmentation.cutout import Cutout
from keras_affect.augmentation.keys import with_keys
from keras_affect.augmentation.mixup import Mixup

if TYPE_CHECKING:
    from keras_affect.augmentation.pipelines import FacePipeline, face_pipeline

__all__ = ["Cutout", "FacePipeline", "Mixup", "face_pipeline", "with_keys"]

_LATE = ("FacePipeline", "face_pipeline")


def __getattr__(name: str) -> Any:
    # They are made of TensorFlow's operations, and load on first use: Cutout and Mixup work on
    # any backend, where TensorFlow may not be installed.
    if name in _LATE:
        return getattr(importlib.import_module(f"{__name__}.pipelines"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
