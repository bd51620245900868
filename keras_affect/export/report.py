"""What an export did: size, operators, what stayed float, errors, scores."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_affect._files import written_whole
from keras_affect.export.layer_errors import LayerError
from keras_affect.export.measure import Border, Latency

__all__ = ["ExportReport", "describe_latency"]

# As many layers are printed; the JSON file has all.
_WORST = 5


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
        xnnpack: The share of the operators that XNNPACK runs, in [0, 1]; the rest is slower.
        latency: The time of one image on one thread of this machine.
        kept_float: The layers of `keep_float`.
        layer_errors: Of an int8 file, each operator's own error, the worst first; None where it
            was not asked for.
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
    xnnpack: float | None = None
    latency: Latency | None = None
    kept_float: tuple[str, ...] = ()
    layer_errors: tuple[LayerError, ...] | None = None

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
        if self.kept_float:
            rows.append(("kept float", ", ".join(self.kept_float)))
        if self.xnnpack is not None:
            rows.append(("XNNPACK", f"runs {self.xnnpack:.0%} of the operators"))
        if self.latency is not None:
            rows.append(("latency", describe_latency(self.latency)))
        errors = ", ".join(f"{name} {error:.2g}" for name, error in self.largest_error.items())
        rows.append(("largest error", f"{errors}, over {self.measured_on}"))
        if self.scores is not None:
            rows += _score_rows(self.scores["float"], self.scores["exported"])
        for error in (self.layer_errors or ())[:_WORST]:
            rows.append(("most hurt", _describe_layer(error)))
        return rows

    def __str__(self) -> str:
        width = max(len(heading) for heading, _ in self.rows())
        return "\n".join(f"{heading:<{width}}  {text}" for heading, text in self.rows())


def _describe(border: Border) -> str:
    text = f"{border.name}: {border.dtype} ({', '.join(map(str, border.shape))})"
    if border.scale:
        text += f", scale {border.scale:g}, zero point {border.zero_point}"
    return text


def describe_latency(latency: Latency) -> str:
    """A latency with all that it depends on."""
    return (
        f"{latency.milliseconds:.3g} ms, the median of {latency.runs} runs on one thread of "
        f"{latency.processor}"
    )


def _describe_layer(error: LayerError) -> str:
    return f"{' + '.join(error.layers)}: {error.operator} is off by {error.steps:.2f} steps"


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
