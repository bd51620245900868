"""Compare every quantization of a model that ships on FER+ valid: tables, plots, JSON.

    python export/report_all.py --data PATH/TO/FERPLUS --name ferplus_v1

Writes export/reports/MODEL_NAME/: a .tflite for each quantization, report.json, index.html. int8
is calibrated on 512 images of FER+ train, as the shipped file is. Latencies are those of this
machine and this moment: run it on an idle one.
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

REPORTS = Path(__file__).parent / "reports"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, help="FER+, train and valid")
    parser.add_argument("--name", default="ferplus", help="a name that ships, or a run's folder")
    parser.add_argument("--out", type=Path, default=REPORTS, help="where the folder is made")
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier report")
    options = parser.parse_args(arguments)

    model = models.load(options.name)
    folder = options.out / f"{model.name}_{Path(options.name).name}"
    folder.mkdir(parents=True, exist_ok=True)
    valid = ferplus.read(options.data, "valid")
    compare(
        model,
        folder,
        calibration.from_ferplus(options.data),
        (valid.images, valid.votes),
        overwrite=options.overwrite,
        progress=lambda what, done, of: None if done else print(what, flush=True),
    )
    print(f"written: {folder / 'index.html'}")


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError, ImportError) as error:
        print(f"report_all.py: {error}", file=sys.stderr)
        raise SystemExit(2) from None
