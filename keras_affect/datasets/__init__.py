"""Readers: files in, `tf.data` of ``(image, {"emotion": ..., "valence_arousal": ...})`` out."""

from __future__ import annotations

import importlib
from typing import Any

__all__ = [
    "aff_wild2",
    "affectnet",
    "afew_va",
    "clips",
    "ferplus",
    "inspection",
    "kaggle",
    "record_writer",
    "records",
    "synthetic",
    "valence_arousal",
    "votes",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
