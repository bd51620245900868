"""The demonstration: one straight line from faces to an int8 model that reads a photograph."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from keras_affect import __version__, emotions, export, metrics, models, visualize
from keras_affect.demo import page, sheet
from keras_affect.demo.faces import Faces, drawings, photographs
from keras_affect.demo.folder import MARK, check_folder, whole_folder
from keras_affect.demo.page import LIMIT_OF_DRAWINGS
from keras_affect.demo.photograph import read_photograph
from keras_affect.export.metadata import LIMITS_OF_FERPLUS, LIMITS_OF_USE
from keras_affect.training.progress import EpochLog, ProgressBar
from keras_affect.training.schedules import OneCycle

__all__ = ["Demo", "run"]

_BATCH_SIZE = 64
_MODEL = "model.keras"
_EXPORTED = "affect_int8.tflite"


@dataclass(frozen=True)
class Demo:
    """What a demonstration left.

    Attributes:
        folder: The folder with all it wrote.
        page: The report page in it.
        facts: All figures, as they stand in ``demo.json``: "faces", "training", "scores",
            "export", "without_tensorflow", "photograph", "seconds" and "versions".
    """

    folder: Path
    page: Path
    facts: dict[str, Any]

    def lines(self) -> list[str]:
        """Where everything is, in lines for a terminal."""
        what = {
            page.NAME: "the report page: open it in a browser",
            _EXPORTED: "the model as it runs without TensorFlow",
            _MODEL: "the model as Keras loads it",
            "log.csv": "loss and scores by epoch",
            MARK: "all figures",
        } | dict.fromkeys(page.PICTURES.values(), "a picture of the page")
        width = max(len(str(self.folder / name)) for name in what)
        return [f"{self.folder / name!s:<{width}}  {text}" for name, text in what.items()]


def run(
    out: str | Path = "demo",
    data: str | Path | None = None,
    *,
    train_count: int = 6000,
    held_out_count: int = 1024,
    epochs: int | None = None,
    width: float = 0.5,
    console: Console | None = None,
) -> Demo:
    """Train, score, export, run without TensorFlow, and read a photograph.

    Under five minutes on two cores with the defaults. Keras's global seed is set, so that a
    second run gives the same model as far as TensorFlow's operators allow.

    Args:
        out: The folder to write. An earlier demo's is replaced, no other.
        data: FER+, as `datasets.ferplus.read` takes it; None trains on the drawn faces of
            `datasets.synthetic`.
        train_count: Drawings to train on.
        held_out_count: Drawings to score on.
        epochs: Passes over the faces. None: 10 of drawings, 5 of FER+.
        width: Factor on the channels of `models.LightweightCNN`.
        console: Where to print progress and results.

    Returns:
        The folder, the page and the figures.

    Raises:
        FileExistsError: If `out` is a file, or a folder that no demo wrote.
        OSError, ValueError: If FER+ can't be read, or an argument is out of its range.
    """
    if epochs is None:
        epochs = 10 if data is None else 5
    if isinstance(epochs, bool) or not isinstance(epochs, int) or epochs < 1:
        raise ValueError(
            "Invalid value for argument `epochs`. Expected an integer of 1 or more, or None. "
            f"Received: epochs={epochs!r}"
        )
    console = console or Console()
    out = check_folder(out)
    started = time.perf_counter()
    with whole_folder(out) as folder:
        keras.utils.set_random_seed(0)
        faces = _read(data, train_count, held_out_count, console)
        model, training = _train(faces, epochs, width, folder, console)

        by_keras = model.predict(faces.images.astype(np.float32), batch_size=256, verbose=0)
        exported = _export(model, faces, folder, console)
        by_file = _run_without_tensorflow(faces.images, folder, console)
        scores = {"keras": _scores(by_keras, faces), "int8": _scores(by_file, faces)}
        _say_scores(scores, faces, console)

        facts: dict[str, Any] = {
            "made_by": f"keras_affect {__version__} demo",
            "faces": {
                "source": faces.source,
                "train": faces.train_count,
                "held_out": len(faces.images),
            },
            "training": training,
            "scores": scores,
            "export": exported,
            "without_tensorflow": _agreement(by_keras, by_file),
            "photograph": read_photograph(folder / page.PICTURES["photograph"]),
            "versions": {
                "python": platform.python_version(),
                "keras": keras.__version__,
                "numpy": np.__version__,
            },
        }
        _say_photograph(facts["photograph"], console)
        _draw(faces, by_keras, folder)
        facts["seconds"] = round(time.perf_counter() - started, 1)
        page.write_page(facts, folder)
        (folder / MARK).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    return Demo(out, out / page.NAME, facts)


def _read(data: str | Path | None, train_count: int, count: int, console: Console) -> Faces:
    if data is None:
        console.print(
            "The faces are drawings, made by this package: a model trained on them knows drawings.",
            soft_wrap=True,
        )
        with console.status(f"drawing {train_count + count:,} faces"):
            faces = drawings(train_count, count, _BATCH_SIZE)
    else:
        with console.status("reading FER+"):
            faces = photographs(data, _BATCH_SIZE)
    console.print(
        f"{faces.train_count:,} faces to train on, {len(faces.images):,} others to score on",
        highlight=False,
    )
    return faces


def _train(
    faces: Faces, epochs: int, width: float, folder: Path, console: Console
) -> tuple[Any, dict[str, Any]]:
    """The trained model, saved, and what its training was."""
    steps = -(-faces.train_count // _BATCH_SIZE)
    model = models.LightweightCNN(weights=None, width=width)
    model.compile(
        keras.optimizers.Adam(OneCycle(4e-3, max(2, epochs * steps))),
        loss={"emotion": "categorical_crossentropy", "valence_arousal": "mean_squared_error"},
        metrics={
            "emotion": keras.metrics.CategoricalAccuracy(name="accuracy"),
            "valence_arousal": metrics.ConcordanceCorrelation(),
        },
        # Compiling convolutions with XLA makes them slower on processors.
        jit_compile=False,
    )
    targets = {
        "emotion": np.eye(len(emotions.NAMES), dtype=np.float32)[faces.emotion],
        "valence_arousal": faces.valence_arousal,
    }
    started = time.perf_counter()
    with ProgressBar(epochs, steps, console=console) as bar:
        model.fit(
            faces.train,
            epochs=epochs,
            validation_data=(faces.images.astype(np.float32), targets),
            callbacks=[bar, EpochLog(folder / "log.csv")],
            shuffle=False,  # the data set gives each epoch its own order
            verbose=0,
        )
    model.save(folder / _MODEL)
    return model, {
        "model": type(model).__name__,
        "width": width,
        "parameters": int(model.count_params()),
        "epochs": epochs,
        "seconds": round(time.perf_counter() - started, 1),
    }


def _limits(faces: Faces) -> tuple[str, ...]:
    return (LIMIT_OF_DRAWINGS,) if faces.source == "drawings" else LIMITS_OF_FERPLUS


def _export(model: Any, faces: Faces, folder: Path, console: Console) -> dict[str, Any]:
    with console.status("exporting to int8"):
        report = export.to_litert(
            model,
            folder / _EXPORTED,
            quantization="int8",
            calibration=faces.calibration,
            description=f"keras_affect demo, trained on {faces.train_count} {faces.source}",
            limits=(*LIMITS_OF_USE, *_limits(faces)),
        )
    console.print(f"{_EXPORTED}: {report.size:,} bytes", highlight=False)
    # The folder will have another name than the one it was written under.
    return report.to_dict() | {"path": _EXPORTED}


def _run_without_tensorflow(
    images: npt.NDArray[np.uint8], folder: Path, console: Console
) -> dict[str, Any]:
    """What the exported file says, in a process that is seen to load no framework."""
    pictures, answers = folder / "images.npy", folder / "answers.json"
    np.save(pictures, images)
    with console.status(f"running {_EXPORTED} in a process without TensorFlow"):
        done = subprocess.run(
            [sys.executable, "-m", "keras_affect.demo.without_tensorflow"]
            + [str(path) for path in (folder / _EXPORTED, pictures, answers)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise RuntimeError(f"{_EXPORTED} could not be run:\n{done.stderr}")
    found = json.loads(answers.read_text(encoding="utf-8"))
    pictures.unlink()
    answers.unlink()
    if found["loaded"]:
        raise RuntimeError(f"keras_affect.runtime loaded {', '.join(found['loaded'])}")
    for name in ("emotion", "valence_arousal"):
        found[name] = np.asarray(found[name], np.float32)
    return dict(found)


def _scores(outputs: dict[str, Any], faces: Faces) -> dict[str, float]:
    right = outputs["emotion"].argmax(axis=1) == faces.emotion
    scores = {"accuracy": float(right.mean())}
    for axis in ("valence", "arousal"):
        concordance = metrics.ConcordanceCorrelation(axis=axis)
        concordance.update_state(faces.valence_arousal, outputs["valence_arousal"])
        scores[f"ccc_{axis}"] = float(concordance.result())
    return scores


def _agreement(by_keras: dict[str, Any], by_file: dict[str, Any]) -> dict[str, Any]:
    """How far the exported file's answers are from Keras's, and how it was run."""
    same = by_keras["emotion"].argmax(axis=1) == by_file["emotion"].argmax(axis=1)
    return {
        "same_emotion": float(same.mean()),
        "largest_difference": {
            name: float(np.abs(by_keras[name] - by_file[name]).max())
            for name in ("emotion", "valence_arousal")
        },
        "milliseconds": round(by_file["milliseconds"], 3),
        "loaded": by_file["loaded"],
    }


def _say_scores(scores: dict[str, dict[str, float]], faces: Faces, console: Console) -> None:
    kind = "drawings" if faces.source == "drawings" else "FER+ valid faces"
    table = Table(title=f"{len(faces.images):,} held-out {kind}", title_justify="left")
    table.add_column()
    table.add_column("Keras, float32", justify="right")
    table.add_column("LiteRT, int8", justify="right")
    both = (scores["keras"], scores["int8"])
    table.add_row("accuracy", *(f"{of['accuracy']:.1%}" for of in both))
    for axis in ("valence", "arousal"):
        table.add_row(f"CCC of {axis}", *(f"{of[f'ccc_{axis}']:.3f}" for of in both))
    console.print(table)


def _say_photograph(found: dict[str, Any], console: Console) -> None:
    if found["note"]:
        console.print(found["note"], soft_wrap=True, markup=False)
    for face in found["faces"]:
        console.print(
            f"a photograph of Grace Hopper, read by {found['weights']}: {face['emotion']} "
            f"{face['probability']:.0%}, valence {face['valence']:+.2f}, "
            f"arousal {face['arousal']:+.2f}",
            soft_wrap=True,
            highlight=False,
        )


def _draw(faces: Faces, by_keras: dict[str, Any], folder: Path) -> None:
    shown = sheet.choose(faces.emotion)
    sheet.draw_sheet(
        faces.images[shown],
        faces.emotion[shown],
        by_keras["emotion"][shown],
        folder / page.PICTURES["faces"],
    )
    visualize.curves(folder / "log.csv", folder / page.PICTURES["curves"])
    visualize.circumplex(
        by_keras["valence_arousal"],
        faces.valence_arousal,
        faces.emotion,
        folder / page.PICTURES["circumplex"],
    )
