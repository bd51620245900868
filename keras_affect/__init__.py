"""Facial affect for Keras 3: layers, models with trained weights, and LiteRT export.

Subpackages load on first use, so that ``import keras_affect`` costs nothing and
``keras_affect.runtime`` never loads a Keras backend.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_SUBMODULES = (
    "augmentation",
    "datasets",
    "emotions",
    "ensembles",
    "evaluation",
    "export",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "models",
    "runtime",
    "training",
    "visualize",
    "weights",
)

__all__ = ["__version__", *_SUBMODULES]


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
