"""A model run over a split of FER+, its scores, and the files that show them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from keras_affect import __version__
from keras_affect._files import check_destination, written_whole
from keras_affect.datasets import ferplus
from keras_affect.evaluation.corruptions import CORRUPTIONS, corrupt
from keras_affect.evaluation.scored_model import Outputs, open_model
from keras_affect.evaluation.scoring import scores
from keras_affect.evaluation.table import format_scores

__all__ = ["evaluate", "report", "save_scores"]


def evaluate(
    model: Any,
    root: str | Path,
    split: str = "valid",
    *,
    batch_size: int = 256,
    find_duplicates: bool = True,
    corrupted: bool = False,
    class_names: Sequence[str] | None = None,
    plots: str | Path | None = None,
    overwrite: bool = False,
    on_error: ferplus.OnError = "raise",
    console: Console | None = None,
) -> dict[str, Any]:
    """Score a model on a split of FER+ by its official rule.

    Args:
        model: A Keras model; the path of a ``.tflite``, which is run by `AffectInterpreter`; or
            what `models.load` takes: a ``.keras`` file, a run's folder, a shipped name.
        root: FER+, as `datasets.ferplus.read` takes it.
        split: "valid", "test" or "train".
        batch_size: Images at a time; no score depends on it.
        find_duplicates: Whether to look for images that stand pixel for pixel in train, and to
            score without them too. Needs the train split, and reads all of it.
        corrupted: Whether to score the images under each of `corruptions.CORRUPTIONS` too.
        class_names: The classes in the output's order, where the model doesn't name them.
        plots: A folder for ``confusion.png``, ``reliability.png``, ``answered.png`` and, if the
            model has the output, ``circumplex.png``; made if it isn't there. Needs matplotlib.
        overwrite: Whether plots that are there may be replaced.
        on_error: As in `datasets.ferplus.read`.
        console: Where to show progress; None shows none.

    Returns:
        What was scored, then what `scores` gives: "model", "kind" ("keras" or "litert"),
        "parameters" or "bytes", "data" (as "FER+ valid"), "images_in_split", "keras_affect" (the
        version), then "images" and the rest. With `corrupted` also "corrupted": "accuracy" by
        corruption, their "mean", and what the mean "lost" against the images as they are.

    Raises:
        FileNotFoundError: If there is no such model or split.
        FileExistsError: If a plot is there and `overwrite` is False.
        ValueError: If the classes are not the eight emotions, the model takes other pictures, or
            gives what are no probabilities; or if a row or picture of FER+ is at fault.
        ImportError: If plots are asked for and matplotlib is not installed.
    """
    if batch_size < 1:
        raise ValueError(
            "Invalid value for argument `batch_size`. Expected 1 or more. "
            f"Received: batch_size={batch_size!r}"
        )
    if plots is not None:
        from keras_affect import visualize  # before the work: it may not be installed

        plots = Path(plots)
        plots.mkdir(parents=True, exist_ok=True)
        for name in ("confusion.png", "reliability.png", "answered.png", "circumplex.png"):
            check_destination(plots / name, overwrite)
    scored = open_model(model, class_names)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=console is None) as bar:
        task = bar.add_task(f"reading FER+ {split}", total=None)
        everything = ferplus.read(root, split, on_error)
        data = everything.take(ferplus.majority(everything.votes) >= 0)
        duplicate = None
        if find_duplicates and split != "train":
            bar.update(task, description="reading FER+ train for duplicates")
            duplicate = ferplus.duplicates(data, ferplus.read(root, "train", on_error))
        rounds = 1 + len(CORRUPTIONS) if corrupted else 1
        bar.update(task, description="scoring", total=rounds * len(data))

        def run(images: np.ndarray, before: int) -> Outputs:
            start = before * len(data)
            return scored.run(
                images, batch_size, lambda done: bar.update(task, completed=start + done)
            )

        outputs = run(data.images, 0)
        accuracies = {}
        for number, name in enumerate(CORRUPTIONS if corrupted else (), 1):
            under = run(corrupt(data.images, name), number)
            accuracies[name] = scores(under.probabilities, data.votes)["accuracy"]
    result = {
        **scored.facts,
        "data": f"FER+ {split}",
        "images_in_split": len(everything),
        "keras_affect": __version__,
        **scores(outputs.probabilities, data.votes, outputs.valence_arousal, duplicate),
    }
    if corrupted:
        mean = float(np.mean(list(accuracies.values())))
        result["corrupted"] = {
            "accuracy": accuracies,
            "mean": mean,
            "lost": result["accuracy"] - mean,
        }
    if plots is not None:
        _draw(visualize, outputs, data.votes, plots)
    return result


def report(
    model: Any,
    root: str | Path,
    out: str | Path,
    *,
    split: str = "valid",
    log: str | Path | None = None,
    on_error: ferplus.OnError = "raise",
    console: Console | None = None,
) -> dict[str, Any]:
    """Score a model, print the table and fill a folder; files that are there are replaced.

    Args:
        model: As in `evaluate`.
        root: As in `evaluate`.
        out: The folder: ``scores.json`` and the plots of `evaluate` go there.
        split: As in `evaluate`.
        log: A training's csv log, whose ``curves.png`` joins them.
        on_error: As in `datasets.ferplus.read`.
        console: Where to print; None prints nothing.

    Returns:
        As `evaluate`.

    Raises:
        OSError, ValueError, ImportError: As `evaluate`, and if `log` can't be read.
    """
    from keras_affect import visualize

    out = Path(out)
    result = evaluate(
        model, root, split, plots=out, overwrite=True, on_error=on_error, console=console
    )
    save_scores(result, out / "scores.json", overwrite=True)
    if log is not None:
        visualize.curves(log, out / "curves.png", overwrite=True)
    if console is not None:
        console.print(format_scores(result))
    return result


def save_scores(scores: Mapping[str, Any], path: str | Path, overwrite: bool = False) -> None:
    """Write scores as JSON.

    Raises:
        FileExistsError: If a file stands there and `overwrite` is False.
        OSError: If nothing can be written there.
    """
    text = json.dumps(scores, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
    with written_whole(path, overwrite) as beside:
        beside.write_text(text, encoding="utf-8")


def _draw(visualize: Any, outputs: Outputs, votes: np.ndarray, folder: Path) -> None:
    visualize.confusion(outputs.probabilities, votes, folder / "confusion.png", overwrite=True)
    visualize.reliability(outputs.probabilities, votes, folder / "reliability.png", overwrite=True)
    visualize.answered(outputs.probabilities, votes, folder / "answered.png", overwrite=True)
    circumplex = folder / "circumplex.png"
    if outputs.valence_arousal is None:
        circumplex.unlink(missing_ok=True)  # another model's would stand beside these scores
        return
    visualize.circumplex(
        outputs.valence_arousal,
        ferplus.valence_arousal(votes),
        ferplus.majority(votes),
        circumplex,
        overwrite=True,
    )
