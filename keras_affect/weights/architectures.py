"""What each architecture costs, and each of the weights that ship. No Keras in here.

The facts stand in ``architectures.json`` beside this file, which ``tools/model_table.py`` writes
by building, counting, exporting and timing each; of weights that ship, it times the file that does.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_affect.weights import catalog

__all__ = ["Architecture", "Cost", "architectures", "matching"]

FILE = Path(__file__).with_name("architectures.json")

#: What people look for who do not know a name yet; patterns match these too.
_KEYWORDS: Mapping[str, tuple[str, ...]] = {
    "LightweightCNN": ("lite", "small", "mobile"),
    "TemporalAffect": ("lstm", "video", "clip", "streaming"),
    "VGG13": ("ferplus",),
}


@dataclass(frozen=True)
class Cost:
    """What one network costs, at 48x48x1 with eight emotions and two heads.

    Of a model of clips all is said by the frame, and the file is the streaming one.

    Attributes:
        parameters: Numbers in its weights, statistics of batch normalisation among them.
        multiply_adds: Of convolutions and dense layers, for one picture.
        int8_bytes: Size of its ``.tflite`` in full int8.
        int8_milliseconds: Median time of that for one picture on one thread, or None where it was
            not measured.
        measured_on: The processor that was measured on, or None.
    """

    parameters: int
    multiply_adds: int
    int8_bytes: int
    int8_milliseconds: float | None
    measured_on: str | None


@dataclass(frozen=True)
class Architecture:
    """One class of `keras_affect.models`.

    Attributes:
        name: The class.
        is_of_clips: Whether it takes clips, and not single pictures.
        cost: At its default arguments, with random weights.
        cost_of_weights: Of each of its weights that ship, which may be of another width than the
            default one, or see mirror images.
    """

    name: str
    is_of_clips: bool
    cost: Cost
    cost_of_weights: Mapping[str, Cost]

    @property
    def shipped(self) -> tuple[catalog.Entry, ...]:
        """Its weights for Keras that ship, in the catalog's order."""
        return tuple(
            entry
            for entry in catalog.entries()
            if entry.model == self.name and entry.kind == "keras"
        )

    def cost_of(self, weights: str) -> Cost:
        """What weights that ship cost.

        Raises:
            ValueError: If they are newer than ``architectures.json``.
        """
        if weights not in self.cost_of_weights:
            raise ValueError(
                f"{FILE}: nothing of {self.name} {weights}, which ships; write it anew: "
                "python tools/model_table.py"
            )
        return self.cost_of_weights[weights]

    def int8_accuracy_of(self, weights: str) -> float:
        """Accuracy on FER+ valid of the ``.tflite`` whose bytes and time `cost_of` gives."""
        return float(catalog.find(self.name, weights, "litert").scores["accuracy"])

    def as_dict(self) -> dict[str, Any]:
        """The facts for JSON: of each weights that ship the accuracy on FER+ valid too."""
        weights = {
            entry.name: {
                "int8_accuracy": self.int8_accuracy_of(entry.name),
                **dataclasses.asdict(self.cost_of(entry.name)),
            }
            for entry in self.shipped
        }
        return {
            "name": self.name,
            "is_of_clips": self.is_of_clips,
            **dataclasses.asdict(self.cost),
            "weights": weights,
        }


@functools.cache
def architectures() -> tuple[Architecture, ...]:
    """All architectures, from few multiply-adds to many."""
    rows: Any = json.loads(FILE.read_text(encoding="utf-8"))
    known = (
        Architecture(
            name=row["name"],
            is_of_clips=row["is_of_clips"],
            cost=Cost(**row["cost"]),
            cost_of_weights={name: Cost(**cost) for name, cost in row["cost_of_weights"].items()},
        )
        for row in rows
    )
    return tuple(sorted(known, key=lambda row: row.cost.multiply_adds))


def matching(pattern: str = "*") -> list[Architecture]:
    """Architectures of which a name fits, from few multiply-adds to many.

    Args:
        pattern: As file names are matched, with ``*`` and ``?``, whatever the case. It is compared
            with the class's name, with its words for what it is ("lite"), and with its weights
            that ship, as "LightweightCNN.ferplus_v1".

    Raises:
        ValueError: If `pattern` is not text.
    """
    if not isinstance(pattern, str):
        raise ValueError(
            "Invalid value for argument `pattern`. Expected text, as '*lite*'. "
            f"Received: pattern={pattern!r}"
        )
    return [row for row in architectures() if any(_fits(name, pattern) for name in _names(row))]


def _names(row: Architecture) -> list[str]:
    shipped = [f"{row.name}.{entry.name}" for entry in row.shipped]
    return [row.name, *_KEYWORDS.get(row.name, ()), *shipped]


def _fits(name: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(name.lower(), pattern.lower())
