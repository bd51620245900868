"""What an export did: size, operators, what stayed float, errors, scores."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_affect._files import written_whole
from keras_affect.export.measure import Border

__all__ = ["ExportReport"]


@dataclass(frozen=True)
class ExportReport:
    """What stands in an exported file, and how far it is from the Keras model.

    Errors of outputs are not accuracy: a file whose probabilities are off by 0.05 may name every
    face as the model does. Where labelled images were given, `scores` tells.

    Attributes:
        path: The file.
        quantization: The name of its `QuantizationConfig`.
        size: The file's size in bytes, metadata included.
        operators: How many operators of each name.
        stayed_float: Of an int8 file, how many operators of each name compute in float all the
            same, since LiteRT has no integer kernel for them. None for other files.
        input: The input in the signature.
        outputs: The outputs in the signature.
        largest_error: The largest distance of each output from the Keras model's, in float32,
            over the images of `measured_on`.
        measured_on: Which images, and how many.
        scores: "float" and "exported", what the Keras model and the file score on the labelled
            images, as `keras_affect.evaluation.scores`; None where none were given.
    """

    path: str
    quantization: str
    size: int
    operators: Mapping[str, int]
    stayed_float: Mapping[str, int] | None
    input: Border
    outputs: tuple[Border, ...]
    largest_error: Mapping[str, float]
    measured_on: str
    scores: Mapping[str, Mapping[str, Any]] | None

    def to_dict(self) -> dict[str, Any]:
        """All of it, ready for JSON."""
        return dataclasses.asdict(self)

    def save(self, path: str | Path, overwrite: bool = False) -> None:
        """Write it as JSON.

        Raises:
            OSError: If the file exists and `overwrite` is False, or can't be written.
        """
        with written_whole(path, overwrite) as beside:
            beside.write_text(json.dumps(self.to_dict(), indent=2) + "\n", encoding="utf-8")

    def rows(self) -> list[tuple[str, str]]:
        """The report in lines, each a heading and a text."""
        rows = [
            ("file", self.path),
            ("quantization", self.quantization),
            ("size", f"{self.size:,} bytes"),
            ("input", _describe(self.input)),
            *(("output", _describe(output)) for output in self.outputs),
            ("operators", _listed(self.operators)),
        ]
        if self.stayed_float is not None:
            rows.append(("stayed float", _listed(self.stayed_float) or "nothing"))
        errors = ", ".join(f"{name} {error:.2g}" for name, error in self.largest_error.items())
        rows.append(("largest error", f"{errors}, over {self.measured_on}"))
        if self.scores is not None:
            rows += _score_rows(self.scores["float"], self.scores["exported"])
        return rows

    def __str__(self) -> str:
        width = max(len(heading) for heading, _ in self.rows())
        return "\n".join(f"{heading:<{width}}  {text}" for heading, text in self.rows())


def _describe(border: Border) -> str:
    text = f"{border.name}: {border.dtype} ({', '.join(map(str, border.shape))})"
    if border.scale:
        text += f", scale {border.scale:g}, zero point {border.zero_point}"
    return text


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {name}" for name, number in counts.items())


def _score_rows(of_float: Mapping[str, Any], of_file: Mapping[str, Any]) -> list[tuple[str, str]]:
    def pair(values: tuple[float, float], text: str) -> str:
        first, second = (format(value, text) for value in values)
        return f"{first} in Keras, {second} exported"

    accuracies = (of_float["accuracy"], of_file["accuracy"])
    rows = [("accuracy", f"{pair(accuracies, '.2%')} ({of_float['images']:,} images)")]
    for axis in ("valence", "arousal"):
        if of_float[axis] is not None:
            values = (of_float[axis]["concordance"], of_file[axis]["concordance"])
            rows.append((f"{axis} CCC", pair(values, ".3f")))
    return rows
