"""Write the README's results: what a run's commands printed, and the scores of what ships.

    python tools/readme_results.py --run runs/ferplus_v1 --data PATH/TO/FERPLUS
    python tools/readme_results.py      # scores alone: what the commands printed stays

Evaluates the run anew, exports it, reads matplotlib's public-domain portrait with the file that
it exported, and takes the training's own output from its log. What each quantization costs is
taken from export/reports, which export/report_all.py writes before. What stands between the
README's markers is replaced; nothing in it is typed by hand. The table above it is that of
anchors.py.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anchors
import ledger
import matplotlib
import model_cards

from keras_affect._files import written_whole
from keras_affect.cli.train import train
from keras_affect.training import Recipe, shipped_recipes
from keras_affect.weights import catalog

REPOSITORY = Path(__file__).resolve().parents[1]
REPORTS = REPOSITORY / "export" / "reports"
BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"
#: Where what the commands printed begins.
MADE = "### How they were made\n\n"
#: Fields of a recipe that name other runs.
_RUNS = ("start_from", "teachers")
PORTRAIT = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, help="folder of keras-affect train")
    parser.add_argument("--data", type=Path, help="FER+")
    options = parser.parse_args()
    if (options.run is None) != (options.data is None):
        parser.error("--run and --data go together")
    readme = REPOSITORY / "README.md"
    whole = readme.read_text(encoding="utf-8")
    before, rest = whole.split(BEGIN)
    found, after = rest.split(END)
    text = "\n\n".join(
        [
            "`python tools/readme_results.py --run runs/NAME --data PATH/TO/FERPLUS` writes this "
            "section.",
            *_shipped(),
            *_quantizations(),
            *(
                _transcript(options.run.resolve(), options.data.resolve())
                if options.run is not None
                else [MADE + found.split(MADE)[1].strip()]
            ),
        ]
    )
    with written_whole(readme, overwrite=True) as beside:
        whole = anchors.with_table(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")
        beside.write_text(whole, encoding="utf-8")


def _shipped() -> list[str]:
    heads = [
        "file", "bytes", "accuracy (95 % interval)", "without duplicates", "worse pictures",
        "balanced (standard error)", "cross-entropy", "calibration error",
        "CCC valence", "CCC arousal",
    ]  # fmt: skip
    rows = []
    for entry in catalog.entries():
        scores: dict[str, Any] = dict(entry.scores)
        low, high = scores["accuracy_interval"]
        apart = scores["without_duplicates"]
        rows.append(
            [
                f"`{entry.file}`",
                f"{entry.size:,}",
                f"{scores['accuracy']:.2%} ({low:.1%} to {high:.1%})",
                f"{apart['accuracy']:.2%} of {apart['images']:,}",
                f"{scores['corrupted']['mean']:.2%}" if "corrupted" in scores else "",
                f"{scores['balanced_accuracy']:.1%} ({model_cards.balanced_error(scores):.1%})",
                f"{scores['cross_entropy']['outlier_free_votes']:.3f}",
                f"{scores['calibration_error']:.3f}",
                f"{scores['valence']['concordance']:.3f}",
                f"{scores['arousal']['concordance']:.3f}",
            ]
        )
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *rows]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    scaled = sorted(
        {entry.name for entry in catalog.entries() if "temperature of its" in entry.data}
    )
    found_here = (
        [
            f"The probabilities of {_listed(scaled)} were divided by a temperature "
            "that was found on these very pictures (`build_all.py "
            "--scale-temperature`): one number, which changes no answer, but flatters "
            "cross-entropy and calibration error a little."
        ]
        if scaled
        else []
    )
    shifted = sorted({entry.name for entry in catalog.entries() if " its logits" in entry.data})
    if shifted:
        found_here.append(
            f"The logits of rare emotions were shifted in {_listed(shifted)} until each is "
            "answered as often on train as most people answered it there (`build_all.py "
            "--match-frequencies`): more of the rare faces are found, and more others are taken "
            "for them."
        )
    floor = catalog.entries()[0].scores["cross_entropy_floor"]["outlier_free_votes"]
    images = catalog.entries()[0].scores["images"]
    return [
        "### The weights that ship",
        f"Scored on FER+ valid by the official rule: {images:,} images, eight emotions. Duplicates "
        "are images that stand pixel for pixel in train; training left those out, but not what is "
        "nearly equal (`keras-affect inspect` finds 135 such pairs across train and valid), which "
        "flatters all of these scores a little. Worse pictures are the mean over nine things "
        "that a camera and a face detector do to a picture, each on all images, as `keras-affect "
        "evaluate --corrupt` scores them. Balanced accuracy counts each emotion alike, and so "
        "hangs on the few pictures of disgust and contempt. "
        "Cross-entropy is "
        f"against the votes without outliers, whose own entropy, {floor:.3f}, no model goes below. "
        "Valence and arousal are compared with what the votes imply, not with human ratings.",
        *found_here,
        table,
        *_other_seeds(),
    ]


def _other_seeds() -> list[str]:
    rows = ledger.read(ledger.LEDGER)
    said = {
        name: ledger.other_seeds(runs[-1]["run"], rows)
        for name, runs in model_cards.trainings().items()
    }
    # Weights that were made of others without training share their runs.
    sharing: dict[str, list[str]] = {}
    for name, text in said.items():
        if text:
            sharing.setdefault(text, []).append(name)
    repeated = [f"{_listed(names)}: {text}" for text, names in sharing.items()]
    if not repeated:
        return []
    return [
        "Chance has a part in these figures. All but "
        f"{_listed([name for name, text in said.items() if text])} were trained once. "
        "All runs are in [the ledger](examples/results/ferplus.csv).",
        *repeated,
    ]


def _listed(names: Sequence[str]) -> str:
    """`a`, `b` and `c`."""
    *before, last = (f"`{name}`" for name in names)
    return f"{', '.join(before)} and {last}" if before else last


def _quantizations() -> list[str]:
    entry = catalog.find("LightweightCNN", "ferplus", "keras")
    folder = REPORTS / entry.file.removesuffix(".weights.h5")
    reports = json.loads((folder / "report.json").read_text(encoding="utf-8"))["reports"]
    exact = next(iter(reports.values()))["scores"]["float"]
    timed = all(report["latency"] for report in reports.values())
    times = ["ms on one thread"] if timed else []
    heads = ["quantization", "bytes", *times, "accuracy", "CCC valence", "CCC arousal"]
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)]]
    lines.append(["none: in Keras", "", *("" for _ in times), *_compared(exact)])
    for name, report in reports.items():
        times = [f"{report['latency']['milliseconds']:.2f}"] if timed else []
        scores = _compared(report["scores"]["exported"])
        lines.append([f"`{name}`", f"{report['size']:,}", *times, *scores])
    return [
        "### Quantizations",
        f"`{entry.name}` of {entry.model} by each quantization of `export.to_litert`, on the same "
        f"{exact['images']:,} images: `python export/report_all.py --data PATH/TO/FERPLUS"
        f"{' --time' if timed else ''}`{_on_processor(reports) if timed else ''}. "
        "These files keep the names of tensors inside, which the newest that ship leave out; of "
        "equal vectors they hold one, which those that ship, written earlier, do not. "
        "[export/reports](export/reports) has operators too, and what int8 costs each layer. "
        "`int8` alone computes in integers throughout. `int4` is the smallest, and loses most; "
        "[an example](examples/08_four_bits.py) shows how little of that "
        "`training.QuantizationAware` wins back.",
        "\n".join(f"| {' | '.join(line)} |" for line in lines),
    ]


def _on_processor(reports: dict[str, Any]) -> str:
    return (
        f", on {' and '.join({report['latency']['processor']: 0 for report in reports.values()})}"
    )


def _compared(scores: dict[str, Any]) -> list[str]:
    concordance = (scores[axis]["concordance"] for axis in ("valence", "arousal"))
    return [f"{scores['accuracy']:.2%}", *(f"{value:.3f}" for value in concordance)]


def _transcript(run: Path, data: Path) -> list[str]:
    runs = model_cards.runs_behind(run)
    # None that stands elsewhere in the README, where other runs have it.
    words = ["one", "two", "three", "four", "five", "six"]
    names = {made["run"]: f"runs/{word}" for made, word in zip(runs, words, strict=False)}
    trained = [_training(run.parent / folder, names) for folder in names]
    before = model_cards.hours_behind(runs, model_cards.trainings())
    hours = sum(made["hours"] for made in runs)
    earlier = (
        f", and {sum(before.values()):.1f} hours for the weights before, whose cards tell of them"
        if before
        else ""
    )
    last = names[run.name]
    ships = {made["run"] for of_name in model_cards.trainings().values() for made in of_name}
    other_seed = "" if run.name in ships else " The run below is of another seed than what ships."
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        (here / "runs").mkdir()
        (here / last).symlink_to(run)
        shutil.copy(PORTRAIT, here / "grace_hopper.jpg")
        hide = {str(data): "PATH/TO/FERPLUS", str(here) + "/": ""}
        shown = [
            _command(here, hide, "evaluate", last, "--data", str(data)),
            _command(
                here, hide, "export", last, "affect.tflite", "--quantization", "int8",
                "--data", str(data),
            ),
            _command(
                here, hide, "predict", "grace_hopper.jpg", "--model", "affect.tflite",
                "--annotate", "annotated.png",
            ),
        ]  # fmt: skip
    return [
        MADE.strip(),
        f"On two cores, {hours:.1f} hours in all, with other work beside it{earlier}. Which run "
        "came next was decided when the valid accuracy of those before was seen. After the last "
        "epoch a run is averaged with its start, where `--start-share` says so, and what ships is "
        "mended as its card says and rounded to half precision: so the scores below differ from "
        f"one another and from those above, which are of what ships.{other_seed}",
        *(f"```text\n{text}\n```" for text in trained),
        *(f"```text\n{text}\n```" for text in shown),
    ]


def _rows(run: Path) -> list[dict[str, str]]:
    with (run / "log.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _training(run: Path, names: dict[str, str]) -> str:
    """The command that makes a run, and the epochs that its log tells of.

    Args:
        run: The run's folder.
        names: What runs are called in the README, by their folders' names.
    """
    recipe = Recipe.load(run / "recipe.json")
    shipped = ledger.described(recipe)
    if shipped in shipped_recipes():
        options = f" --recipe {shipped}"
        if recipe.seed != Recipe.load(shipped).seed:
            options += f" --seed {recipe.seed}"
    else:
        options = _in_full(recipe, names)
    rows = _rows(run)
    lines = [
        f"epoch {row['epoch']}/{len(rows)}  loss {float(row['loss']):.4f}  "
        f"accuracy {float(row['emotion_accuracy']):.2%}  "
        f"valid accuracy {float(row['val_emotion_accuracy']):.2%}"
        for row in rows
    ]
    command = f"$ keras-affect train --data PATH/TO/FERPLUS --out {names[run.name]}{options}"
    return "\n".join([command, *lines[:2], "...", *lines[-3:]])


def _in_full(recipe: Recipe, names: dict[str, str]) -> str:
    """The options that a recipe is without one that ships."""
    given = {
        field.name: getattr(recipe, field.name)
        for field in dataclasses.fields(Recipe)
        if getattr(recipe, field.name) != field.default and field.name not in _RUNS
    }
    given["epochs"] = recipe.epochs
    behind = [("start-from", recipe.start_from)] if recipe.start_from else []
    behind += [("teacher", teacher) for teacher in recipe.teachers]
    options = "".join(
        f" --{option} {names.get(Path(source).name, source)}" for option, source in behind
    )
    return options + "".join(f" {_option(name, value)}" for name, value in given.items())


def _option(name: str, value: object) -> str:
    if name not in inspect.signature(train).parameters:
        raise ValueError(f"{name}={value!r}: keras-affect train has no option for it")
    option = name.replace("_", "-")
    if isinstance(value, bool):
        return f"--{option}" if value else f"--no-{option}"
    return f"--{option} {value}"


def _command(here: Path, hide: dict[str, str], *arguments: str) -> str:
    """A command of keras-affect as a person would see it, with what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "keras_affect", *arguments],
        cwd=here,
        env={**os.environ, "COLUMNS": "100", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    text = f"$ keras-affect {' '.join(arguments)}\n{done.stdout}".rstrip()
    for real, said in hide.items():
        text = text.replace(real, said)
    return re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE)


if __name__ == "__main__":
    main()
