"""What a run knows of itself beyond its recipe: when it ran, by which code, on how much."""

from __future__ import annotations

import csv
import datetime
import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np

import keras_affect
from keras_affect._files import written_whole

__all__ = ["begin", "digest", "end", "hours_of", "read"]

FILE = "run.json"


def begin(
    out: Path,
    *,
    images: int,
    epochs_done: int,
    teachers: str | None,
    start: str | None = None,
) -> None:
    """Write that a process trains the run from now on, beside what earlier ones wrote.

    Args:
        out: The run's folder.
        images: How many pictures an epoch has.
        epochs_done: How many epochs were done before.
        teachers: `digest` of the teachers; None without any.
        start: `digest` of the weights that the run starts from; None if they are random.

    Raises:
        ValueError: If earlier processes had other teachers, another start or another number of
            pictures, or the file is damaged.
    """
    path = out / FILE
    record = read(out) if epochs_done else None
    if record is None:
        record = {
            "images": images, "teachers": teachers, "start": start, "hours": None, "sessions": [],
        }  # fmt: skip
    if record["teachers"] != teachers:
        raise ValueError(f"{path}: the teachers' weights are not those that the run began with")
    # A run of a version that did not write it has none.
    if record.get("start", start) != start:
        raise ValueError(f"{path}: the weights to start from are not those that the run began with")
    if record["images"] != images:
        raise ValueError(
            f"{path}: the run began with {record['images']} pictures an epoch; of this data it "
            f"would have {images}"
        )
    session = {"started": _now(), "epochs_done": epochs_done, **_code()}
    _write(path, record | {"sessions": [*record["sessions"], session]})


def end(out: Path) -> None:
    """Write that the training is done, and the hours that its epochs took."""
    record = read(out)
    if record is None:
        raise FileNotFoundError(f"{out / FILE}: no such file")
    _write(out / FILE, record | {"hours": hours_of(out), "ended": _now()})


def read(out: Path) -> dict[str, Any] | None:
    """A run's record: "images" an epoch, "teachers", "start", "hours" of all epochs, "sessions".

    A session is a process: when it "started", after how many "epochs_done", and its code:
    "version", "commit" and whether the package was "changed" since, None where git knows nothing.

    Returns:
        None for a run of a version that wrote no record.

    Raises:
        ValueError: If the file is damaged.
    """
    path = out / FILE
    if not path.is_file():
        return None
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(record["sessions"], list) or not {"images", "teachers"} <= set(record):
            raise TypeError("it lacks what a run writes")
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: not the record of a run ({error})") from None
    return dict(record)


def hours_of(out: Path) -> float:
    """The hours that the epochs in a run's log took, over all its processes.

    Raises:
        FileNotFoundError: If there is no log.
        ValueError: If it is damaged.
    """
    path = out / "log.csv"
    with path.open(newline="", encoding="utf-8") as file:
        try:
            return sum(float(row["seconds"]) for row in csv.DictReader(file)) / 3600
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path}: not the log of a run ({error!r})") from None


def digest(model: Any) -> str:
    """SHA-256 of a model's weights, in hexadecimal."""
    found = hashlib.sha256()
    for weight in model.get_weights():
        found.update(np.ascontiguousarray(weight).tobytes())
    return found.hexdigest()


def _write(path: Path, record: dict[str, Any]) -> None:
    with written_whole(path, overwrite=True) as beside:
        beside.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _code() -> dict[str, Any]:
    commit = changed = None
    # The package may lie in somebody else's repository, in whose commits it does not stand.
    if _git("ls-files", "--error-unmatch", "__init__.py") is not None:
        commit = _git("rev-parse", "HEAD")
        changed = bool(_git("status", "--porcelain", "--", "."))
    return {"version": keras_affect.__version__, "commit": commit, "changed": changed}


def _git(*arguments: str) -> str | None:
    folder = Path(keras_affect.__file__).parent
    try:
        run = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return run.stdout.strip()
