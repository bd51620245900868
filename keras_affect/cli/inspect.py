"""``keras-affect inspect``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from keras_affect.cli._reading import (
    Codes,
    Color,
    Crop,
    Data,
    Encoding,
    Reading,
    Root,
    Scale,
    Size,
    bar,
)

__all__ = ["inspect"]


def inspect(
    data: Data,
    splits: Annotated[
        str | None,
        typer.Option(metavar="A,B,...", help="Which splits.", show_default="all that are there"),
    ] = None,
    root: Root = None,
    codes: Codes = None,
    scale: Scale = "unit",
    encoding: Encoding = None,
    crop: Crop = None,
    size: Size = 48,
    color: Color = False,
    page: Annotated[
        Path | None, typer.Option(metavar="OUT", help="Write a page with pictures, as HTML.")
    ] = None,
    json_: Annotated[
        Path | None, typer.Option("--json", metavar="OUT", help="Write the report here.")
    ] = None,
    near: Annotated[bool, typer.Option(help="Look for near-duplicates too.")] = True,
    on_error: Annotated[
        str, typer.Option(help="raise or skip: what to do about bad rows.")
    ] = "skip",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files that exist.")
    ] = False,
) -> None:
    """Report what a data set holds: classes, agreement, duplicates, unreadable files.

    Example: keras-affect inspect ferplus --page report.html
    """
    import json

    from rich.console import Console
    from rich.table import Table

    from keras_affect._files import check_destination, written_whole
    from keras_affect.datasets import inspection, inspection_page

    for destination in (page, json_):
        if destination is not None:
            check_destination(destination, overwrite)
    reading = Reading(root, codes, scale, encoding, "votes", crop, size, color, on_error, "none")
    chosen: dict[str, Any] = dict(reading.all_splits(data, splits))
    with bar("looking") as progress:
        report = inspection.inspect(chosen, near=near, progress=progress)
    if json_ is not None:
        with written_whole(json_, overwrite) as beside:
            beside.write_text(json.dumps(report.as_dict(), indent=1) + "\n", encoding="utf-8")
    if page is not None:
        inspection_page.write_page(report, chosen, page, overwrite)
    console = Console(highlight=False, soft_wrap=True)
    for lines in (inspection_page.figures(report), inspection_page.findings(report)):
        table = Table.grid(padding=(0, 2))
        table.add_column()
        for _ in lines[0][1:]:
            table.add_column(justify="right")
        for line in lines:
            table.add_row(*line)
        console.print(table, markup=False)
    for problem in report.unreadable[:20]:
        console.print(problem, markup=False)
