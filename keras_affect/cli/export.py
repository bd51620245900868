"""``keras-affect export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from keras_affect.cli._tensorflow import need_tensorflow

__all__ = ["export"]


def export(
    model: Annotated[
        str, typer.Argument(help="A run's folder, a .keras file, or a name that ships: ferplus.")
    ],
    out: Annotated[Path, typer.Argument(help="The file to write, ending in .tflite.")],
    quantization: Annotated[
        str,
        typer.Option(help="int8, float32, float16, dynamic_range, weight_only_int8 or int4."),
    ] = "int8",
    data: Annotated[
        Path | None,
        typer.Option(help="FER+: int8 is calibrated on train, and both models scored on valid."),
    ] = None,
    calibration: Annotated[
        Path | None,
        typer.Option(
            help="A folder of face pictures, or of a folder for each class, to calibrate int8 on "
            "instead."
        ),
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Write the report here, as JSON.")] = None,
    input: Annotated[  # noqa: A002 - the option's name
        str | None, typer.Option(help="gray or rgb: what the file takes; else as the model.")
    ] = None,
    resize_from: Annotated[
        str | None,
        typer.Option(metavar="HEIGHTxWIDTH", help="Pictures of this size, resized in the file."),
    ] = None,
    keep_float: Annotated[
        list[str] | None, typer.Option(metavar="LAYER", help="Do not quantize it; repeatable.")
    ] = None,
    layer_errors: Annotated[
        bool, typer.Option("--layer-errors", help="Measure which layers int8 hurts most.")
    ] = False,
    mediapipe: Annotated[
        bool, typer.Option("--mediapipe", help="For MediaPipe Tasks' ImageClassifier.")
    ] = False,
    tensor_names: Annotated[
        bool, typer.Option(help="Keep the names of tensors inside, which tools that draw it show.")
    ] = True,
    frames: Annotated[
        int | None,
        typer.Option(help="Of a model of clips: clips of so many frames, else one by one."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files that exist.")
    ] = False,
) -> None:
    """Write a model as a .tflite for phones, browsers and boards, and measure what was written.

    A TemporalAffect becomes a file that takes one frame after another, or whole clips; --data
    calibrates it, but has no clips to score it on.

    Example: keras-affect export runs/first affect.tflite --data ferplus
    """
    from keras_affect._files import check_destination
    from keras_affect.export.quantization import QuantizationConfig

    config = QuantizationConfig.from_name(quantization)
    size = None
    if resize_from is not None:
        height, cross, width = resize_from.lower().partition("x")
        if not (height.isdecimal() and cross and width.isdecimal()):
            raise ValueError(
                "Invalid value for option --resize-from. Expected HEIGHTxWIDTH, as 224x224. "
                f"Received: {resize_from!r}"
            )
        size = int(height), int(width)
    for destination in (out, report):
        if destination is not None:
            check_destination(destination, overwrite)
    if config.needs_calibration and data is None and calibration is None:
        raise ValueError(f"{config.name} needs pictures: --data or --calibration")
    need_tensorflow()
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.table import Table

    from keras_affect import models
    from keras_affect.export import calibration as pictures
    from keras_affect.export import to_litert, to_litert_clip, to_litert_streaming
    from keras_affect.runtime.native_notes import standard_error, without_native_notes

    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with (
        # The bar's own way to the terminal, past the notes that are held back.
        standard_error() as terminal,
        without_native_notes(),
        Progress(
            *columns,
            console=Console(file=terminal),
            transient=True,
            disable=not terminal.isatty(),
        ) as bar,
    ):
        task = bar.add_task("loading the model", total=None)
        loaded = models.load(model)
        is_of_clips = isinstance(loaded, models.TemporalAffect)
        if frames is not None and not is_of_clips:
            raise ValueError(f"--frames is for a model of clips; {model} is of single pictures")
        of_pictures = (input, resize_from, keep_float, layer_errors, mediapipe)
        if is_of_clips and any(of_pictures):
            raise ValueError(
                f"{model} is a model of clips: it goes without --input, --resize-from, "
                "--keep-float, --layer-errors and --mediapipe"
            )
        if is_of_clips and data is not None and not config.needs_calibration:
            raise ValueError(
                f"{model} is a model of clips, which --data cannot score; {config.name} needs "
                "no calibration, so it goes without"
            )
        images = labelled = None
        if calibration is not None:
            bar.update(task, description="reading pictures")
            images = pictures.from_folder(calibration, loaded.input_shape[-3:])
        if data is not None:
            from keras_affect.datasets import ferplus

            bar.update(task, description="reading FER+")
            if images is None and config.needs_calibration:
                images = pictures.from_ferplus(data)
            if not is_of_clips:
                valid = ferplus.read(data, "valid")
                labelled = (valid.images, valid.votes)
        common: dict[str, Any] = {
            "quantization": config,
            "calibration": images,
            "overwrite": overwrite,
            "tensor_names": tensor_names,
            "progress": lambda what, done, of: bar.update(
                task, description=what, completed=done, total=of
            ),
        }
        if is_of_clips:
            written = (
                to_litert_streaming(loaded, out, **common)
                if frames is None
                else to_litert_clip(loaded, out, frames, **common)
            )
        else:
            written = to_litert(
                loaded,
                out,
                labelled=labelled,
                input=input,  # type: ignore[arg-type]  # checked there
                resize_from=size,
                keep_float=keep_float or (),
                layer_errors=layer_errors,
                for_mediapipe=mediapipe,
                **common,
            )
    if report is not None:
        written.save(report, overwrite=overwrite)
    table = Table.grid(padding=(0, 2))
    for heading, text in written.rows():
        table.add_row(heading, text)
    Console().print(table, markup=False, highlight=False)
