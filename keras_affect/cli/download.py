"""``keras-affect download``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["download"]


def download(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What to download: ferplus.")],
    out: Annotated[Path, typer.Option(help="The folder to put it into.")] = Path("ferplus"),
    source: Annotated[
        str | None,
        typer.Option(
            help="A Kaggle competition's name, or a data set's OWNER/NAME.",
            show_default="the challenge FER2013",
        ),
    ] = None,
    votes: Annotated[
        Path | None, typer.Option(help="A copy of fer2013new.csv, where GitHub can't be reached.")
    ] = None,
    check: Annotated[bool, typer.Option(help="Compare all of it with what FER+ must be.")] = True,
) -> None:
    """Download FER+: pictures from Kaggle, with your account there, and votes from GitHub.

    A download that broke off goes on where it stopped when the same is run again.

    Example: keras-affect download ferplus --out ferplus
    """
    if name != "ferplus":
        raise ValueError(
            f"Invalid value for argument `name`. Expected ferplus. Received: name={name!r}"
        )
    from rich.console import Console

    from keras_affect.datasets import ferplus_origin, kaggle

    steps = Console(stderr=True, highlight=False, soft_wrap=True)
    counts = kaggle.ferplus(
        out,
        source or ferplus_origin.COMPETITION,
        votes=votes,
        check=check,
        say=lambda step: steps.print(step, markup=False) if steps.is_terminal else None,
    )
    console = Console(highlight=False, soft_wrap=True)
    for split, count in counts.items():
        console.print(f"{split:<6}{count:>7,} images")
    console.print(f"FER+ is in {out}; its pictures may be used for research, and not passed on")
