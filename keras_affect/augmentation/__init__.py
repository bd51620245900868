"""Augmentation of face crops: seeded, and with keys a pure function of (seed, epoch, index)."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from keras_affect.augmentation.cutout import Cutout
from keras_affect.augmentation.mixup import Mixup

if TYPE_CHECKING:
    from keras_affect.augmentation.keys import with_keys
    from keras_affect.augmentation.pipelines import FacePipeline, face_pipeline

__all__ = ["Cutout", "FacePipeline", "Mixup", "face_pipeline", "with_keys"]

# These stand on `tf.data`, and load on first use: Cutout and Mixup work on any backend, where
# TensorFlow may not be installed.
_LATE = {"FacePipeline": "pipelines", "face_pipeline": "pipelines", "with_keys": "keys"}


def __getattr__(name: str) -> Any:
    if name in _LATE:
        return getattr(importlib.import_module(f"{__name__}.{_LATE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
