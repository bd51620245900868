"""Scores as a person reads them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from keras_affect import emotions
from keras_affect.evaluation.selective import SHARES

__all__ = ["format_scores"]

_SHARES_SHOWN = (0.9, 0.7, 0.5)


def format_scores(scores: Mapping[str, Any]) -> Table:
    """Scores as a table that `rich` prints, with all images and without those in train too.

    Args:
        scores: What `scores` or `evaluate` gave.
    """
    columns = [scores]
    table = Table(title=_title(scores), title_justify="left", title_style="bold")
    table.add_column("score", no_wrap=True)
    table.add_column("all images", justify="right")
    if scores["without_duplicates"] is not None:
        columns.append(scores["without_duplicates"])
        table.add_column(f"without {scores['duplicates']} duplicates", justify="right")

    def row(heading: str, *cells: str, end_section: bool = False) -> None:
        table.add_row(heading, *cells, end_section=end_section)

    row("images", *(f"{of['images']:,}" for of in columns))
    row("accuracy", *(f"{of['accuracy']:.2%}" for of in columns))
    row(
        "  95 % interval",
        *(f"{low:.2%} to {high:.2%}" for low, high in (of["accuracy_interval"] for of in columns)),
    )
    row("balanced accuracy", *(f"{of['balanced_accuracy']:.2%}" for of in columns))
    for against, said in (("raw_votes", "raw"), ("outlier_free_votes", "outlier-free")):
        row(
            f"cross-entropy, {said} votes",
            *(f"{of['cross_entropy'][against]:.3f}" for of in columns),
        )
        row("  floor", *(f"{of['cross_entropy_floor'][against]:.3f}" for of in columns))
    row("calibration error", *(f"{of['calibration_error']:.4f}" for of in columns))
    for asked in _SHARES_SHOWN:
        points = [of["answered"][SHARES.index(asked)] for of in columns]
        row(
            f"accuracy of the surest {asked:.0%}",
            *(f"{point['accuracy']:.2%}, sure by {point['certainty']:.2f}" for point in points),
        )
    for axis in ("valence", "arousal"):
        for figure, said in (("concordance", "CCC"), ("rmse", "RMSE")):
            row(
                f"{axis}, {said}",
                *(f"{of[axis][figure]:.3f}" if of[axis] else "no output" for of in columns),
                end_section=(axis, figure) == ("arousal", "rmse"),
            )
    for name in emotions.NAMES:
        row(
            f"recall, {name}",
            *(
                "no images"
                if of["recall"][name] is None
                else f"{of['recall'][name]:.2%} of {of['support'][name]:,}"
                for of in columns
            ),
        )
    if "corrupted" in scores:
        table.add_section()
        for name, accuracy in scores["corrupted"]["accuracy"].items():
            row(name, f"{accuracy:.2%}")
        row("mean of these", f"{scores['corrupted']['mean']:.2%}")
        row("  points lost", f"{100 * scores['corrupted']['lost']:.2f}")
    return table


def _title(scores: Mapping[str, Any]) -> str | None:
    if "model" not in scores:
        return None
    return (
        f"{scores['model']} on {scores['data']}: the {scores['images']:,} of "
        f"{scores['images_in_split']:,} images with a majority"
    )
