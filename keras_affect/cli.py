"""The command line, ``keras-affect``. Each command reads its arguments and calls the library.

Nothing heavy is imported before the command that needs it runs: ``keras-affect predict`` loads
neither Keras nor a backend.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from keras_affect import __version__

app = typer.Typer(
    name="keras-affect",
    help="Read the expression on a face: train, score, export and run emotion models.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True)
    ] = False,
) -> None:
    if version:
        print(__version__)
        raise typer.Exit


@app.command()
def train(
    data: Annotated[Path, typer.Option(help="FER+: its folders, or Kaggle's csv and FER+'s.")],
    out: Annotated[Path, typer.Option(help="The run's folder, as runs/first.")],
    recipe: Annotated[
        Path | None, typer.Option(help="A recipe.json to start from; options override it.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the train split.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images a step.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Peak of the one cycle.")] = None,
    width: Annotated[float | None, typer.Option(help="Factor on the channels.")] = None,
    dropout: Annotated[float | None, typer.Option(help="Rate before the heads.")] = None,
    labels: Annotated[
        str | None, typer.Option(help="distribution, majority, drawn or outlier_free.")
    ] = None,
    augmentation: Annotated[
        str | None, typer.Option(help="none, light, strong or camera.")
    ] = None,
    dtype: Annotated[str | None, typer.Option(help="float32 or mixed_bfloat16.")] = None,
    seed: Annotated[int | None, typer.Option(help="What all that is random starts from.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the interrupted run in --out.")
    ] = False,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Also write logs for TensorBoard.")
    ] = False,
    deterministic: Annotated[
        bool, typer.Option("--deterministic", help="The same weights to the bit, but slower.")
    ] = False,
    on_error: Annotated[
        str, typer.Option(help="raise or skip: what to do about bad rows and pictures.")
    ] = "raise",
) -> None:
    """Train a LightweightCNN on FER+ and score it.

    Example: keras-affect train --data ferplus --out runs/first --epochs 30
    """
    _need_tensorflow()
    from dataclasses import replace

    import tensorflow as tf

    from keras_affect.training import Recipe, train

    source = out / "recipe.json" if resume and recipe is None else recipe
    start = Recipe.load(source) if source else Recipe()
    given: dict[str, Any] = {
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "width": width,
        "dropout": dropout,
        "labels": labels,
        "augmentation": augmentation,
        "dtype": dtype,
        "seed": seed,
    }
    if deterministic:
        tf.config.experimental.enable_op_determinism()
    train(
        replace(start, **{name: value for name, value in given.items() if value is not None}),
        data,
        out,
        resume=resume,
        tensorboard=tensorboard,
        on_error=on_error,  # type: ignore[arg-type]
    )


def _need_tensorflow() -> None:
    if importlib.util.find_spec("tensorflow") is None:
        raise ImportError(
            "this command needs TensorFlow: pip install 'keras-affect[tensorflow]'"
        )


@app.command()
def export(
    model: Annotated[
        str, typer.Argument(help="A run's folder, a .keras file, or a name that ships: ferplus.")
    ],
    out: Annotated[Path, typer.Argument(help="The file to write, ending in .tflite.")],
    quantization: Annotated[
        str, typer.Option(help="int8, float16, dynamic_range or float32.")
    ] = "int8",
    data: Annotated[
        Path | None,
        typer.Option(help="FER+: int8 is calibrated on train, and both models scored on valid."),
    ] = None,
    calibration: Annotated[
        Path | None, typer.Option(help="A folder of face pictures to calibrate int8 on instead.")
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Write the report here, as JSON.")] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files that exist.")
    ] = False,
) -> None:
    """Write a model as a .tflite for phones, browsers and boards, and measure what was written.

    Example: keras-affect export runs/first affect.tflite --data ferplus
    """
    from keras_affect._files import check_destination
    from keras_affect.export.quantization import QuantizationConfig

    config = QuantizationConfig.from_name(quantization)
    for destination in (out, report):
        if destination is not None:
            check_destination(destination, overwrite)
    if config.needs_calibration and data is None and calibration is None:
        raise ValueError(f"{config.name} needs pictures: --data or --calibration")
    _need_tensorflow()
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.table import Table

    from keras_affect import models
    from keras_affect.export import calibration as pictures
    from keras_affect.export import to_litert

    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("loading the model", total=None)
        loaded = models.load(model)
        images = labelled = None
        if calibration is not None:
            bar.update(task, description="reading pictures")
            images = pictures.from_folder(calibration, loaded.input_shape[1:])
        if data is not None:
            from keras_affect.datasets import ferplus

            bar.update(task, description="reading FER+")
            if images is None and config.needs_calibration:
                images = pictures.from_ferplus(data)
            valid = ferplus.read(data, "valid")
            labelled = (valid.images, valid.votes)
        written = to_litert(
            loaded,
            out,
            config,
            calibration=images,
            labelled=labelled,
            overwrite=overwrite,
            progress=lambda what, done, of: bar.update(
                task, description=what, completed=done, total=of
            ),
        )
    if report is not None:
        written.save(report, overwrite=overwrite)
    table = Table.grid(padding=(0, 2))
    for heading, text in written.rows():
        table.add_row(heading, text)
    Console().print(table, markup=False, highlight=False)


def main() -> None:
    """Run the command line; bad input ends in one line on standard error and exit code 2."""
    # TensorFlow's start-up notes would stand above every table; errors still show.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        app()
    except (ValueError, OSError, ImportError) as error:
        if os.environ.get("KERAS_AFFECT_TRACEBACK"):
            raise
        print(f"keras-affect: {' '.join(str(error).split())}", file=sys.stderr)
        raise SystemExit(2) from None
