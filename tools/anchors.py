"""Write the README's table of what ships beside what others have, from anchors.csv.

    python tools/anchors.py

Ours come from keras_affect/weights/catalog.json, the newest of each name, as int8 files, and their
times from export/reports, where a quiet machine measured them. In anchors.csv "test" is what its
authors published; "valid", where it stands, was scored here by the same rule as ours, and so were
"milliseconds" of one picture on one thread.
"""

from __future__ import annotations

import csv
import json
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from keras_affect._files import written_whole
from keras_affect.weights import catalog

REPOSITORY = Path(__file__).resolve().parents[1]
ANCHORS = Path(__file__).with_name("anchors.csv")
REPORTS = REPOSITORY / "export" / "reports"
BEGIN, END = "<!-- anchors:begin -->", "<!-- anchors:end -->"
HEADS = (
    "model", "trained from", "parameters", "bytes", "FER+ valid", "FER+ test", "ms, one thread",
)  # fmt: skip
COLUMNS = ("model", "trained_from", "parameters", "bytes", "valid", "test", "milliseconds")


def main() -> None:
    readme = REPOSITORY / "README.md"
    text = with_table(readme.read_text(encoding="utf-8"))
    with written_whole(readme, overwrite=True) as beside:
        beside.write_text(text, encoding="utf-8")


def with_table(readme: str) -> str:
    """The README with its table written anew.

    Raises:
        ValueError: If the table's two markers are not there, once each.
    """
    if readme.count(BEGIN) != 1 or readme.count(END) != 1:
        raise ValueError(f"README.md: expected {BEGIN} and {END}, once each")
    before, rest = readme.split(BEGIN)
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{rest.split(END)[1]}"


def table() -> str:
    """Ours, then the anchors, as Markdown."""
    rows = [HEADS, ("---", "---", *["---:"] * (len(HEADS) - 2)), *ours(), *anchors()]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def ours(reports: Path = REPORTS) -> Iterator[Sequence[str]]:
    """A row for the newest version of each name that ships as int8, the smallest first."""
    entries = {(entry.model, entry.name, entry.kind): entry for entry in catalog.entries()}
    newest: dict[tuple[str, str], tuple[int, catalog.Entry]] = {}
    for entry in entries.values():
        match = re.fullmatch(r"(.+)_v(\d+)", entry.name)
        if entry.kind != "litert" or match is None:
            continue
        key, version = (entry.model, match[1]), int(match[2])
        if key not in newest or version > newest[key][0]:
            newest[key] = version, entry
    for _, entry in sorted(newest.values(), key=lambda found: found[1].size):
        low, high = entry.scores["accuracy_interval"]
        keras = entries[entry.model, entry.name, "keras"]
        card = entry.card.relative_to(REPOSITORY / "keras_affect").as_posix()
        yield (
            f"**[{entry.model} `{entry.name}`](keras_affect/{card})**, int8",
            "scratch",
            f"{keras.scores['parameters']:,}",
            f"{entry.size:,}",
            f"{100 * entry.scores['accuracy']:.2f} ({100 * low:.1f} to {100 * high:.1f})",
            "not scored yet",
            _milliseconds(reports / keras.file.removesuffix(".weights.h5") / "report.json"),
        )


def anchors(path: Path = ANCHORS) -> Iterator[Sequence[str]]:
    """The rows of the anchors."""
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if tuple(reader.fieldnames or ()) != COLUMNS:
            raise ValueError(f"{path}: expected the columns {', '.join(COLUMNS)}")
        for row in reader:
            yield tuple(row[column] for column in COLUMNS)


def _milliseconds(report: Path) -> str:
    """The int8 file's time, where it was measured; empty elsewhere."""
    if not report.is_file():
        return ""
    latency = json.loads(report.read_text(encoding="utf-8"))["reports"]["int8"]["latency"]
    return f"{latency['milliseconds']:.2f}" if latency else ""


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError) as error:
        print(f"anchors.py: {error}", file=sys.stderr)
        raise SystemExit(2) from None
