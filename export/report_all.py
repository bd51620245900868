"""Compare every quantization of every model that ships on FER+ valid: tables, plots, JSON.

    python export/report_all.py --data PATH/TO/FERPLUS           # without times
    python export/report_all.py --data PATH/TO/FERPLUS --time    # on an idle machine

Writes for each name that ships a folder export/reports/MODEL_NAME/: a .tflite for each
quantization (not committed), report.json, index.html. int8 is calibrated on 512 images of FER+
train, as the shipped file is. `--name` does one of them, or a run that does not ship. Takes about
two minutes a model on two cores.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

# Before TensorFlow loads: its start-up notes would stand above the progress.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from keras_affect import models
from keras_affect.datasets import ferplus
from keras_affect.export import calibration, compare
from keras_affect.weights import catalog

REPORTS = Path(__file__).resolve().parent / "reports"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, help="FER+, train and valid")
    parser.add_argument("--name", help="one name that ships, or a run's folder; else all that ship")
    parser.add_argument("--out", type=Path, default=REPORTS, help="where the folders are made")
    parser.add_argument("--time", action="store_true", help="measure latencies too")
    options = parser.parse_args(arguments)

    chosen = {
        entry.file.removesuffix(".weights.h5"): getattr(models, entry.model)(
            **{**entry.config, "weights": entry.name}
        )
        for entry in catalog.entries()
        if entry.kind == "keras" and options.name in (None, entry.name)
    }
    if not chosen:
        model = models.load(options.name)
        chosen = {f"{model.name}_{Path(options.name).name}": model}
    calibrating = calibration.from_ferplus(options.data)
    valid = ferplus.read(options.data, "valid")
    for stem, model in chosen.items():
        folder = options.out / stem
        folder.mkdir(parents=True, exist_ok=True)
        compare(
            model,
            folder,
            calibrating,
            (valid.images, valid.votes),
            overwrite=True,
            timed=options.time,
            progress=lambda what, done, of: None if done else print(what, flush=True),
        )
        print(f"written: {folder / 'index.html'}", flush=True)


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError, ImportError) as error:
        print(f"report_all.py: {error}", file=sys.stderr)
        raise SystemExit(2) from None
