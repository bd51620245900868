"""Write the README's results: what a run's commands printed, and the scores of what ships.

    python tools/readme_results.py --run runs/ferplus_v1 --data PATH/TO/FERPLUS

Evaluates the run anew, exports it, reads matplotlib's public-domain portrait with the file that
it exported, and takes the training's own output from its log. What stands between the README's
markers is replaced; nothing in it is typed by hand.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import matplotlib

from keras_affect._files import written_whole
from keras_affect.weights import catalog

REPOSITORY = Path(__file__).resolve().parents[1]
BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"
PORTRAIT = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, required=True, help="folder of keras-affect train")
    parser.add_argument("--data", type=Path, required=True, help="FER+")
    options = parser.parse_args()
    text = "\n\n".join(
        [
            "`python tools/readme_results.py --run runs/NAME --data PATH/TO/FERPLUS` writes this "
            "section.",
            *_shipped(),
            *_transcript(options.run.resolve(), options.data.resolve()),
        ]
    )
    readme = REPOSITORY / "README.md"
    whole = readme.read_text(encoding="utf-8")
    before, rest = whole.split(BEGIN)
    after = rest.split(END)[1]
    with written_whole(readme, overwrite=True) as beside:
        beside.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")


def _shipped() -> list[str]:
    heads = [
        "file", "bytes", "accuracy (95 % interval)", "without duplicates", "balanced",
        "cross-entropy", "calibration error", "CCC valence", "CCC arousal",
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
                f"{scores['balanced_accuracy']:.1%}",
                f"{scores['cross_entropy']['outlier_free_votes']:.3f}",
                f"{scores['calibration_error']:.3f}",
                f"{scores['valence']['concordance']:.3f}",
                f"{scores['arousal']['concordance']:.3f}",
            ]
        )
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *rows]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    floor = catalog.entries()[0].scores["cross_entropy_floor"]["outlier_free_votes"]
    images = catalog.entries()[0].scores["images"]
    return [
        "### The weights that ship",
        f"LightweightCNN, scored on FER+ valid by the official rule: {images:,} images, eight "
        "emotions. Duplicates are images that stand pixel for pixel in train; this model was "
        "trained without those. Cross-entropy is against the votes without outliers, whose own "
        f"entropy, {floor:.3f}, no model goes below. Valence and arousal are compared with what "
        "the votes imply, not with human ratings.",
        table,
    ]


def _transcript(run: Path, data: Path) -> list[str]:
    recipe = json.loads((run / "recipe.json").read_text(encoding="utf-8"))
    with (run / "log.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    hours = sum(float(row["seconds"]) for row in rows) / 3600
    lines = [
        f"epoch {row['epoch']}/{len(rows)}  loss {float(row['loss']):.4f}  "
        f"accuracy {float(row['emotion_accuracy']):.2%}  "
        f"valid accuracy {float(row['val_emotion_accuracy']):.2%}"
        for row in rows
    ]
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        (here / "runs").mkdir()
        (here / "runs" / "first").symlink_to(run)
        shutil.copy(PORTRAIT, here / "grace_hopper.jpg")
        hide = {str(data): "PATH/TO/FERPLUS", str(here) + "/": ""}
        shown = [
            _command(here, hide, "evaluate", "runs/first", "--data", str(data)),
            _command(
                here, hide, "export", "runs/first", "affect.tflite", "--quantization", "int8",
                "--data", str(data),
            ),
            _command(
                here, hide, "predict", "grace_hopper.jpg", "--model", "affect.tflite",
                "--annotate", "annotated.png",
            ),
        ]  # fmt: skip
    return [
        "### How they were made",
        f"On two cores, {hours:.1f} hours for {recipe['epochs']} epochs while other work ran "
        "beside it:",
        "```text\n$ keras-affect train --data PATH/TO/FERPLUS --out runs/first --epochs "
        f"{recipe['epochs']}\n" + "\n".join([*lines[:2], "...", *lines[-3:]]) + "\n```",
        *(f"```text\n{text}\n```" for text in shown),
    ]


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
