"""The data report as one HTML page with its pictures inside, to be looked at and kept."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from keras_affect import emotions
from keras_affect._files import written_whole
from keras_affect.datasets.inspection import DataReport, Place, Split, SplitReport

__all__ = ["figures", "findings", "write_page"]

#: Groups and pairs shown of each kind; all are counted.
SHOWN = 24
_SIDE = 96

_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { padding: .25rem .75rem; border-bottom: 1px solid #8886; text-align: right; }
th:first-child, td:first-child { text-align: left; }
ul.strip { list-style: none; display: flex; flex-wrap: wrap; gap: .75rem; padding: 0; }
ul.strip li { display: flex; flex-wrap: wrap; gap: 2px; }
figure { margin: 0; max-width: 8rem; }
figcaption { font-size: .75rem; overflow-wrap: anywhere; }
"""


def figures(report: DataReport) -> list[tuple[str, ...]]:
    """What each split holds, for a terminal and for the page.

    Returns:
        Rows of a heading and a text for each split; the first row has the splits' names.
    """
    splits = report.splits.values()
    lines: list[tuple[str, ...]] = [("", *report.splits)]
    lines.append(("pictures", *(f"{split.pictures:,}" for split in splits)))
    for name in emotions.NAMES:
        lines.append((name, *(f"{split.classes[name]:,}" for split in splits)))
    lines.append(("without an emotion", *(f"{split.without_emotion:,}" for split in splits)))
    lines.append(
        ("without valence or arousal", *(f"{split.without_valence_arousal:,}" for split in splits))
    )
    for axis in ("valence", "arousal"):
        for part in ("mean", "deviation", "least", "greatest"):
            lines.append((f"{axis}, {part}", *(_of_axis(split, axis, part) for split in splits)))
    if any(split.agreement is not None for split in splits):
        lines.append(
            ("strongest emotion, mean share", *(_share(split.agreement) for split in splits))
        )
        lines.append(("all votes on one emotion", *(_share(split.unanimous) for split in splits)))
    return lines


def findings(report: DataReport) -> list[tuple[str, str]]:
    """What stands out in the whole, as (heading, text)."""
    return [
        ("equal pictures within a split", _groups(report.within)),
        ("equal pictures across splits", _groups(report.across)),
        ("equal pictures, other emotion", _groups(report.conflicting)),
        ("near-duplicates", f"{len(report.near):,} pairs"),
        ("near-duplicates across splits", f"{len(report.near_across):,} pairs"),
        ("unreadable pictures", f"{len(report.unreadable):,}"),
    ]


def _of_axis(split: SplitReport, axis: str, part: str) -> str:
    values = split.valence_arousal.get(axis)
    return "" if values is None else f"{values[part]:{'.2f' if part == 'deviation' else '+.2f'}}"


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"


def _groups(groups: Sequence[Sequence[Place]]) -> str:
    return f"{sum(map(len, groups)):,} in {len(groups):,} groups"


def write_page(
    report: DataReport, splits: Mapping[str, Split], path: str | Path, overwrite: bool = False
) -> None:
    """Write the page.

    It holds pictures of the data set: where those may not be passed on, neither may the page.

    Args:
        report: What `inspect` gave for `splits`.
        splits: By name; a few of their pictures are decoded again.
        path: The file to write.
        overwrite: Whether a file that stands there may be replaced.

    Raises:
        FileExistsError: If a file stands there and `overwrite` is False.
    """
    parts = [
        "<!doctype html>",
        '<html lang="en"><meta charset="utf-8"><title>Data report</title>',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<style>{_STYLE}</style>",
        "<h1>Data report</h1>",
        "<p>Pictures on this page are the data set's own: its terms hold for the page too.</p>",
        *_table(figures(report), headed=True),
        *_table(findings(report), headed=False),
    ]
    for name, split in report.splits.items():
        parts += _classes(name, split, splits)
    parts += _section("Equal pictures across splits", report.across, splits)
    parts += _section("Equal pictures with another emotion", report.conflicting, splits)
    parts += _section("Equal pictures within a split", report.within, splits)
    pairs = [*report.near_across, *(pair for pair in report.near if pair not in report.near_across)]
    parts += _section("Near-duplicates, those across splits first", pairs, splits)
    if report.unreadable:
        parts.append("<h2>Unreadable pictures</h2><ul>")
        parts += [f"<li>{html.escape(problem)}</li>" for problem in report.unreadable[:200]]
        parts.append("</ul>")
    with written_whole(path, overwrite) as beside:
        beside.write_text("\n".join(parts) + "\n", encoding="utf-8")


def _table(lines: Sequence[Sequence[str]], headed: bool) -> list[str]:
    parts = ["<table>"]
    for place, (heading, *texts) in enumerate(lines):
        tag = "th scope='col'" if headed and place == 0 else "td"
        cells = "".join(f"<{tag}>{html.escape(text)}</{tag[:2]}>" for text in texts)
        parts.append(f"<tr><th scope='row'>{html.escape(heading)}</th>{cells}</tr>")
    parts.append("</table>")
    return parts


def _classes(name: str, report: SplitReport, splits: Mapping[str, Split]) -> list[str]:
    parts = [f"<h2>{html.escape(name)}: the first pictures of each emotion</h2>"]
    for emotion, indices in report.examples.items():
        if indices:
            parts.append(f"<h3>{emotion}, {report.classes[emotion]:,}</h3>")
            parts.append("<ul class='strip'>")
            parts += [_item([Place(name, index)], splits) for index in indices]
            parts.append("</ul>")
    return parts


def _section(
    title: str, groups: Sequence[Sequence[Place]], splits: Mapping[str, Split]
) -> list[str]:
    if not groups:
        return []
    shown = f", the first {SHOWN} of {len(groups):,}" if len(groups) > SHOWN else ""
    return [
        f"<h2>{title}{shown}</h2><ul class='strip'>",
        *(_item(group[:6], splits) for group in groups[:SHOWN]),
        "</ul>",
    ]


def _item(group: Iterable[Place], splits: Mapping[str, Split]) -> str:
    figures = []
    for place in group:
        split = splits[place.split]
        try:
            source = _as_png(split.picture(place.index))
        except ValueError:
            continue  # it was readable a moment ago; the figures above still say what was found
        said = f"{place.split} {place.index}: {_label(split, place.index)}"
        figures.append(
            f"<figure><img width='{_SIDE}' height='{_SIDE}' alt='{html.escape(said, quote=True)}' "
            f"src='{source}'><figcaption>{html.escape(said)}</figcaption></figure>"
        )
    return f"<li>{''.join(figures)}</li>"


def _label(split: Split, index: int) -> str:
    shares = split.emotion[index, : len(emotions.NAMES)]
    valence, arousal = split.valence_arousal[index]
    words = [emotions.NAMES[int(shares.argmax())] if shares.any() else "no emotion"]
    words += [
        f"{axis} {value:+.2f}"
        for axis, value in (("valence", valence), ("arousal", arousal))
        if np.isfinite(value)
    ]
    return ", ".join(words)


def _as_png(picture: npt.NDArray[np.uint8]) -> str:
    image = Image.fromarray(picture[..., 0] if picture.shape[2] == 1 else picture)
    image.thumbnail((_SIDE, _SIDE))
    held = io.BytesIO()
    image.save(held, "PNG")
    return f"data:image/png;base64,{base64.b64encode(held.getvalue()).decode()}"
