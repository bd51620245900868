"""Add training runs to the ledger, examples/results/ferplus.csv: a row a run, the bad ones too.

    python tools/ledger.py runs/ferplus_lite runs/ferplus_tiny

A row has what the run's folder says of it, and an empty field where that says nothing: runs of
earlier versions wrote neither their commit nor how they do on corrupted pictures. "recipe" is the
recipe that ships and is closest, with the fields that differ from it; when a recipe is changed,
what its rows differ by is to be written anew. "hours" are those of the epochs, with whatever else
the machine did at the time. Scores are those of FER+ valid. A run that is there already gets no
second row: if it was scored anew, its row is written anew.

The lines "# Time:" and "# Score:" at the head of each recipe that ships are written from the rows
that have exactly this recipe. Only the folders of runs that it names may have had other names: a
recipe says runs/ferplus_lite, or that a name ships, where the run had its weights elsewhere. One
that had other weights that ship had another recipe.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import json
import re
import statistics
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from keras_affect._files import written_whole
from keras_affect.training import Recipe, run_record, shipped_recipes
from keras_affect.weights import catalog

LEDGER = Path(__file__).resolve().parents[1] / "examples" / "results" / "ferplus.csv"
COLUMNS = (
    "run", "date", "commit", "recipe", "seed", "epochs", "images", "hours", "accuracy",
    "without_duplicates", "balanced_accuracy", "cross_entropy", "calibration_error",
    "corrupted_mean",
)  # fmt: skip

Row = dict[str, str]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="*", type=Path, help="folders of finished runs")
    parser.add_argument("--ledger", type=Path, default=LEDGER, help="the csv to add to")
    options = parser.parse_args(arguments)
    rows = read(options.ledger)
    for run in options.runs:
        row = row_of(run)
        same = [old for old in rows if (old["run"], old["date"]) == (row["run"], row["date"])]
        if same == [row]:
            print(f"{row['run']}: is there already")
            continue
        rows = [old for old in rows if old not in same] + [row]
        print(f"{row['run']}: {'written anew' if same else 'added'}")
    rows.sort(key=lambda row: (row["date"], row["run"]))
    with (
        written_whole(options.ledger, overwrite=True) as beside,
        beside.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    if options.ledger == LEDGER:
        for name, path in shipped_recipes().items():
            text = path.read_text(encoding="utf-8")
            with written_whole(path, overwrite=True) as beside:
                beside.write_text(with_head(text, name, rows), encoding="utf-8")


def read(ledger: Path) -> list[Row]:
    """The ledger's rows; none where there is no ledger yet."""
    if not ledger.is_file():
        return []
    with ledger.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if tuple(reader.fieldnames or ()) != COLUMNS:
            raise ValueError(f"{ledger}: expected the columns {', '.join(COLUMNS)}")
        return list(reader)


def row_of(run: Path) -> Row:
    """What a finished run's folder says of it."""
    recipe_file = run / "recipe.json"
    recipe = Recipe.load(recipe_file)
    for source in filter(None, (recipe.start_from, *recipe.teachers)):
        if "+" in source or ", " in source:
            raise ValueError(f"{recipe_file}: {source!r}: a row holds no name with '+' or ', '")
    try:
        scores = json.loads((run / "scores.json").read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{run / 'scores.json'}: not scores ({error})") from None
    if scores["data"] != "FER+ valid":
        raise ValueError(f"{run / 'scores.json'}: scores of {scores['data']}, not of FER+ valid")
    record = run_record.read(run) or {}
    apart, corrupted = scores["without_duplicates"], scores.get("corrupted")
    return {
        "run": run.resolve().name,
        "date": _date(recipe_file, record),
        "commit": " ".join(dict.fromkeys(_commits(record))),
        "recipe": described(recipe),
        "seed": str(recipe.seed),
        "epochs": str(recipe.epochs),
        "images": str(record.get("images", "")),
        "hours": f"{run_record.hours_of(run):.2f}",
        "accuracy": f"{scores['accuracy']:.4f}",
        "without_duplicates": f"{apart['accuracy']:.4f}" if apart else "",
        "balanced_accuracy": f"{scores['balanced_accuracy']:.4f}",
        "cross_entropy": f"{scores['cross_entropy']['outlier_free_votes']:.4f}",
        "calibration_error": f"{scores['calibration_error']:.4f}",
        "corrupted_mean": f"{corrupted['mean']:.4f}" if corrupted else "",
    }


def described(recipe: Recipe) -> str:
    """The closest recipe that ships, and what differs from it; not the seed, which is a column."""
    differences = {
        name: {
            field: value
            for field, value in recipe.differences(Recipe.load(name)).items()
            if field != "seed"
        }
        for name in shipped_recipes()
    }
    # Of several as close the first one by name.
    closest = min(differences, key=lambda name: len(differences[name]))
    said = ", ".join(f"{field}={_said(value)}" for field, value in differences[closest].items())
    return f"{closest}: {said}" if said else closest


def with_head(text: str, name: str, rows: Sequence[Mapping[str, str]]) -> str:
    """A recipe's file with time and score in its head, from the rows of its runs."""
    runs = [row for row in rows if _is_of(row["recipe"], name, tomllib.loads(text))]
    time = score = "not measured yet."
    if runs:
        seeds = f"seed {runs[0]['seed']}" if len(runs) == 1 else f"{len(runs)} runs"
        hours = [float(row["hours"]) for row in runs]
        time = f"{statistics.mean(hours):.1f} hours ({seeds})."
        parts = [f"{_mean([row['accuracy'] for row in runs])} of FER+ valid"]
        if all(row["without_duplicates"] for row in runs):
            apart = _mean([row["without_duplicates"] for row in runs])
            parts.append(f"{apart} without what stands in train")
        score = f"{', '.join(parts)} ({seeds})."
    for heading, said in (("Time", time), ("Score", score)):
        text, found = re.subn(rf"^# {heading}: .*$", f"# {heading}: {said}", text, flags=re.M)
        if found != 1:
            raise ValueError(f"{name}.toml: expected one line '# {heading}: ...', found {found}")
    return text


def other_seeds(run: str, rows: Sequence[Mapping[str, str]]) -> str:
    """What a run scored and those that differ from it in the seed alone; empty without any."""
    own = next((row for row in rows if row["run"] == run), None)
    same = [row for row in rows if own is not None and row["recipe"] == own["recipe"]]
    if own is None or len(same) < 2:
        return ""
    same.sort(key=lambda row: int(row["seed"]))
    scores = [float(row["accuracy"]) for row in same]
    each = [
        f"{score:.2%} with seed {row['seed']}{' (which ships)' if row is own else ''}"
        for row, score in zip(same, scores, strict=True)
    ]
    lucky = (
        " What ships is the luckiest of them: on other pictures, expect the mean."
        if float(own["accuracy"]) == max(scores)
        else ""
    )
    return (
        f"The recipe scored {', '.join(each[:-1])} and {each[-1]}, in float32 and as trained: "
        f"{statistics.mean(scores):.2%} in the mean, with a standard deviation of "
        f"{100 * statistics.stdev(scores):.2f} points.{lucky}"
    )


def _is_of(described: str, name: str, recipe: Mapping[str, Any]) -> bool:
    """Whether a row's recipe is this one, but for where the runs that it names lay."""
    closest, _, said = described.partition(": ")
    differences = dict(part.split("=", 1) for part in said.split(", ")) if said else {}
    if closest != name or not differences.keys() <= {"start_from", "teachers"}:
        return False
    for field, value in differences.items():
        ours = recipe.get(field) or ()
        named = {ours} if isinstance(ours, str) else set(ours)
        theirs = value.split("+")
        # A run may have lain elsewhere. Weights that ship are what they are, wherever they lie.
        others = catalog.names().intersection(theirs) - named
        if others or len(theirs) != len(named):
            return False
    return True


def _mean(shares: Sequence[str]) -> str:
    values = [100 * float(share) for share in shares]
    mean = f"{statistics.mean(values):.2f} %"
    return mean if len(values) == 1 else f"{mean} +- {statistics.stdev(values):.2f}"


def _date(recipe_file: Path, record: Mapping[str, Any]) -> str:
    """The day that a run began; of one without a record, that its recipe was written."""
    if record and record["sessions"][0]["epochs_done"] == 0:
        return str(record["sessions"][0]["started"])[:10]
    written = datetime.datetime.fromtimestamp(recipe_file.stat().st_mtime, datetime.UTC)
    return written.date().isoformat()


def _commits(record: Mapping[str, Any]) -> list[str]:
    return [
        f"{session['commit'][:10]}{' with changes' if session['changed'] else ''}"
        for session in record.get("sessions", ())
        if session["commit"]
    ]


def _said(value: Any) -> str:
    return "+".join(value) if isinstance(value, tuple) else str(value)


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError) as error:
        print(f"ledger.py: {error}", file=sys.stderr)
        raise SystemExit(2) from None
