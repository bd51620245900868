"""``keras-affect prepare``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from keras_affect.cli._reading import (
    Codes,
    Color,
    Crop,
    Data,
    Encoding,
    Labels,
    Reading,
    Root,
    Scale,
    Size,
    bar,
)
from keras_affect.cli._tensorflow import need_tensorflow

__all__ = ["prepare"]


def prepare(
    data: Data,
    out: Annotated[Path, typer.Argument(help="The folder to write shards into.")],
    split: Annotated[
        str | None,
        typer.Option(help="train, valid, ...; of a csv, what its split column says."),
    ] = None,
    root: Root = None,
    codes: Codes = None,
    scale: Scale = "unit",
    encoding: Encoding = None,
    labels: Labels = "distribution",
    crop: Crop = None,
    size: Size = 48,
    color: Color = False,
    shards: Annotated[
        int | None, typer.Option(help="How many files.", show_default="of about 64 MB")
    ] = None,
    on_error: Annotated[
        str, typer.Option(help="raise or skip: what to do about bad rows and pictures.")
    ] = "raise",
) -> None:
    """Write a data set as shards of TFRecords, which are then read at disk speed.

    Run again after it was stopped, it goes on with the next shard.

    Example: keras-affect prepare faces.csv prepared --size 64 --on-error skip
    """
    reading = Reading(root, codes, scale, encoding, labels, crop, size, color, on_error, "none")
    picked = reading.split(data, split)
    need_tensorflow()
    from rich.console import Console

    from keras_affect.datasets import record_writer

    with bar("writing") as progress:
        index = record_writer.write(
            picked,
            out,
            split=split or "all",
            source=str(data),
            shards=shards,
            on_error=on_error,  # type: ignore[arg-type]
            progress=progress,
        )
    shape = " x ".join(map(str, index.shape))
    Console(highlight=False, soft_wrap=True).print(
        f"{len(index):,} pictures of {shape} in {len(index.shards)} shards, {index.skipped:,} "
        f"skipped: {out}"
    )
