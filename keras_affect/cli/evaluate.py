"""``keras-affect evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from keras_affect.cli._tensorflow import need_tensorflow

__all__ = ["evaluate"]


def evaluate(
    model: Annotated[
        str,
        typer.Argument(
            help="A run's folder, a .keras file, a .tflite, or a name that ships: ferplus."
        ),
    ],
    data: Annotated[Path, typer.Option(help="FER+: its folders, or Kaggle's csv and FER+'s.")],
    split: Annotated[str, typer.Option(help="valid, test or train.")] = "valid",
    json_: Annotated[
        Path | None, typer.Option("--json", metavar="OUT", help="Write the scores here.")
    ] = None,
    plots: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Write confusion.png and others into this folder."),
    ] = None,
    duplicates: Annotated[
        bool,
        typer.Option(
            help="Also score without images that stand pixel for pixel in train; reads train."
        ),
    ] = True,
    corrupt: Annotated[
        bool,
        typer.Option(
            "--corrupt", help="Also score under what a camera and a face detector do to a picture."
        ),
    ] = False,
    class_names: Annotated[
        str | None,
        typer.Option(metavar="A,B,...", help="The classes of a model that doesn't name them."),
    ] = None,
    on_error: Annotated[
        str, typer.Option(help="raise or skip: what to do about bad rows and pictures.")
    ] = "raise",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files that exist.")
    ] = False,
) -> None:
    """Score a model on FER+ by the official rule, with and without duplicates of train.

    A .tflite is scored without TensorFlow.

    Example: keras-affect evaluate runs/first --data ferplus --json scores.json --plots plots
    """
    from keras_affect._files import check_destination

    if json_ is not None:
        check_destination(json_, overwrite)
    if not model.endswith(".tflite"):
        need_tensorflow()
    from rich.console import Console

    from keras_affect import evaluation
    from keras_affect.runtime.native_notes import standard_error, without_native_notes

    # The bar's own way to the terminal, past the notes that are held back.
    with standard_error() as terminal, without_native_notes():
        scores = evaluation.evaluate(
            model,
            data,
            split,
            find_duplicates=duplicates,
            corrupted=corrupt,
            class_names=None if class_names is None else class_names.split(","),
            plots=plots,
            overwrite=overwrite,
            on_error=on_error,  # type: ignore[arg-type]
            console=Console(file=terminal) if terminal.isatty() else None,
        )
    if json_ is not None:
        evaluation.save_scores(scores, json_, overwrite)
    Console().print(evaluation.format_scores(scores))
