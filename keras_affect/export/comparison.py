"""Every quantization of one model side by side, in files, in JSON and on a page."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt

from keras_affect._files import check_destination, written_whole
from keras_affect.export.comparison_page import page
from keras_affect.export.litert import Progress, to_litert
from keras_affect.export.quantization import NAMES, QuantizationConfig
from keras_affect.export.report import ExportReport
from keras_affect.export.weight_quantization import check_library

__all__ = ["Comparison", "compare"]


@dataclass(frozen=True)
class Comparison:
    """The reports of a model's exports.

    Attributes:
        model: The model's name.
        reports: By the quantization's name, in the order in which they were asked for. That of
            "int8" has the errors of its layers.
    """

    model: str
    reports: Mapping[str, ExportReport]

    def to_dict(self) -> dict[str, Any]:
        """All of it, ready for JSON."""
        reports = {name: report.to_dict() for name, report in self.reports.items()}
        return {"model": self.model, "reports": reports}


def compare(
    model: Any,
    folder: str | Path,
    calibration: npt.ArrayLike,
    labelled: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
    quantizations: Sequence[str] = NAMES,
    overwrite: bool = False,
    *,
    progress: Progress | None = None,
    **options: Any,
) -> Comparison:
    """Export a model under several quantizations and put the reports side by side.

    Args:
        model: As in `to_litert`.
        folder: An existing folder. Gets a ``.tflite`` named after each quantization,
            ``report.json`` with everything that was measured, and ``index.html`` with tables and
            plots, a file that needs no other.
        calibration: As in `to_litert`. Scores tell more where `labelled` are other images.
        labelled: As in `to_litert`.
        quantizations: Names of recipes.
        overwrite: Whether files of these names may be replaced.
        progress: As in `to_litert`.
        options: Whatever else `to_litert` takes by keyword, for all of them.

    Raises:
        ValueError: If a name is no recipe's or stands twice, and as `to_litert`.
        OSError, ImportError: As `to_litert`.
    """
    configs = [QuantizationConfig.from_name(name) for name in quantizations]
    if isinstance(quantizations, str) or len({c.name for c in configs}) != len(configs):
        raise ValueError(
            "Invalid value for argument `quantizations`. Expected different names out of "
            f"{', '.join(map(repr, NAMES))}. Received: quantizations={quantizations!r}"
        )
    folder = Path(folder)
    # Before anything is converted: the last of them may be minutes away.
    for config in configs:
        check_library(config)
        check_destination(folder / f"{config.name}.tflite", overwrite)
    for name in ("report.json", "index.html"):
        check_destination(folder / name, overwrite)
    reports: dict[str, ExportReport] = {}
    for config in configs:
        reports[config.name] = to_litert(
            model,
            folder / f"{config.name}.tflite",
            config,
            calibration,
            labelled,
            overwrite,
            progress=progress and _prefixed(progress, config.name),
            layer_errors=config.needs_calibration,
            **options,
        )
    comparison = Comparison(model.name, reports)
    texts = {
        "report.json": json.dumps(comparison.to_dict(), indent=2) + "\n",
        "index.html": page(comparison.model, comparison.reports),
    }
    for name, text in texts.items():
        with written_whole(folder / name, overwrite) as beside:
            beside.write_text(text, encoding="utf-8")
    return comparison


def _prefixed(progress: Progress, name: str) -> Progress:
    return lambda what, done, of: progress(f"{name}: {what}", done, of)
