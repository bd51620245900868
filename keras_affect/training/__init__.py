"""Training: a recipe, `model.fit`, and a folder with all that came of it."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from keras_affect.training.deepening import deepen
from keras_affect.training.distillation import Distiller
from keras_affect.training.frequencies import match_frequencies
from keras_affect.training.quantization_aware import QuantizationAware
from keras_affect.training.recipe import Recipe, shipped_recipes
from keras_affect.training.schedules import OneCycle
from keras_affect.training.temperature import scale_temperature
from keras_affect.training.widening import widen

if TYPE_CHECKING:
    from keras_affect.training.fine_tuning import FineTuning, balanced_class_weights, fine_tune
    from keras_affect.training.run import train

__all__ = [
    "Distiller",
    "FineTuning",
    "OneCycle",
    "QuantizationAware",
    "Recipe",
    "balanced_class_weights",
    "deepen",
    "fine_tune",
    "match_frequencies",
    "scale_temperature",
    "shipped_recipes",
    "train",
    "widen",
]

# These read data by `tf.data`, and load on first use: the others work on any backend, where
# TensorFlow may not be installed.
_LATE = {
    "FineTuning": "fine_tuning",
    "balanced_class_weights": "fine_tuning",
    "fine_tune": "fine_tuning",
    "train": "run",
}


def __getattr__(name: str) -> Any:
    if name in _LATE:
        return getattr(importlib.import_module(f"{__name__}.{_LATE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
