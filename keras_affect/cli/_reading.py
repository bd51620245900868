"""Data that ``inspect`` and ``prepare`` are given: the options they share, and what is read."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from keras_affect.datasets.record_writer import Labelled

__all__ = [
    "Codes",
    "Color",
    "Crop",
    "Data",
    "Encoding",
    "Labels",
    "Reading",
    "Root",
    "Scale",
    "Size",
    "bar",
]


Data = Annotated[
    Path,
    typer.Argument(
        metavar="DATA",
        help="A csv that names pictures, or a folder with FER+ or AffectNet.",
    ),
]
Root = Annotated[
    Path | None,
    typer.Option(help="The folder that a csv's paths start from.", show_default="the csv's own"),
]
Codes = Annotated[
    str | None,
    typer.Option(help="What a csv's emotion numbers mean: ferplus, affectnet or fer2013."),
]
Scale = Annotated[
    str, typer.Option(help="A csv's scale of valence and arousal: unit, five, afew_va or sam.")
]
Encoding = Annotated[
    str | None, typer.Option(help="A csv's encoding, as cp949.", show_default="UTF-8")
]
Labels = Annotated[
    str,
    typer.Option(help="FER+'s label rule: distribution, majority, multi_label, outlier_free."),
]
Crop = Annotated[
    str | None,
    typer.Option(help="AffectNet's faces: box, landmarks or whole.", show_default="as they come"),
]
Size = Annotated[int, typer.Option(help="Height and width of the pictures, in pixels.")]
Color = Annotated[bool, typer.Option("--color", help="Keep colors; else pictures become gray.")]


class Reading:
    """How data named on the command line is read, whatever it is."""

    def __init__(
        self,
        root: Path | None,
        codes: str | None,
        scale: str,
        encoding: str | None,
        labels: str,
        crop: str | None,
        size: int,
        color: bool,
        on_error: str,
        check: str,
    ) -> None:
        self._csv = {"root": root, "codes": codes, "scale": scale, "encoding": encoding}
        self._pictures = {"size": size, "channels": 3 if color else 1, "check": check}
        self._labels = labels
        self._crop = crop
        self._on_error: Any = on_error

    def split(self, data: Path, split: str | None) -> Labelled:
        """One split."""
        kind = _kind(data)
        self._check_options(data, kind)
        if kind == "csv":
            return self._table(data, split)
        if split is None:
            raise ValueError(f"{data}: name one of its splits with --split")
        return self._ferplus(data, split) if kind == "ferplus" else self._affectnet(data, split)

    def _check_options(self, data: Path, kind: str) -> None:
        """Refuse what would change nothing in how data of this kind are read."""
        if not data.exists():
            return  # which is to be said first
        usual = {"root": None, "codes": None, "scale": "unit", "encoding": None}
        given = {
            "csv": [f"--{name}" for name, value in self._csv.items() if value != usual[name]],
            # "votes" is what `inspect` reads, and no choice of anybody's.
            "ferplus": [] if self._labels in ("distribution", "votes") else ["--labels"],
            "affectnet": [] if self._crop is None else ["--crop"],
        }
        idle = [option for of, options in given.items() if of != kind for option in options]
        if idle:
            what = {"csv": "a csv", "ferplus": "FER+", "affectnet": "a folder of AffectNet"}[kind]
            raise ValueError(f"{data}: {what} goes without {', '.join(idle)}")

    def all_splits(self, data: Path, names: str | None) -> Iterator[tuple[str, Labelled]]:
        """Each split that is named, or is there."""
        if names is not None:
            for name in names.split(","):
                yield name, self.split(data, name)
            return
        kind = _kind(data)
        if kind == "csv":
            self._check_options(data, kind)
            yield "all", self._table(data, None)
            return
        from keras_affect.datasets import affectnet, ferplus

        missing: list[str] = []
        found = False
        for name in ferplus.SPLITS if kind == "ferplus" else affectnet.SPLITS:
            try:
                read = self.split(data, name)
            except FileNotFoundError as error:
                missing.append(str(error))
                continue
            found = True
            yield name, read
            if kind == "affectnet" and affectnet.is_one_split(data):
                return  # it would answer to every name
        if not found:
            # One message alone names what every split needs.
            is_same = len(set(missing)) == 1
            raise FileNotFoundError(missing[0] if is_same else f"{data}: no split of {kind} here")

    def _table(self, data: Path, split: str | None) -> Labelled:
        from keras_affect.datasets import valence_arousal

        if not data.is_file():
            raise FileNotFoundError(f"{data}: no such csv or folder")
        options: dict[str, Any] = self._csv | self._pictures
        return valence_arousal.read(
            data, options.pop("root"), split, on_error=self._on_error, **options
        )

    def _ferplus(self, data: Path, split: str) -> Labelled:
        from keras_affect.datasets import ferplus

        if self._pictures["size"] != 48 or self._pictures["channels"] != 1:
            raise ValueError(
                "Invalid value for argument `size`. FER+'s pictures are 48x48, gray. "
                f"Received: size={self._pictures['size']}, color={self._pictures['channels'] == 3}"
            )
        return ferplus.labelled(data, split, self._labels, on_error=self._on_error)

    def _affectnet(self, data: Path, split: str) -> Labelled:
        from keras_affect.datasets import affectnet

        options: dict[str, Any] = {"crop": self._crop, **self._pictures}
        return affectnet.read(data, split, on_error=self._on_error, **options)


def _kind(data: Path) -> Literal["csv", "ferplus", "affectnet"]:
    if not data.is_dir():
        return "csv"
    from keras_affect.datasets.ferplus import SPLITS
    from keras_affect.datasets.ferplus_origin import PIXEL_FILES

    names = [*PIXEL_FILES, *(folder for folder, _ in SPLITS.values())]
    return "ferplus" if any((data / name).exists() for name in names) else "affectnet"


@contextmanager
def bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on a terminal, and none in a log; and Pillow's remarks on EXIF held back."""
    from rich.console import Console
    from rich.progress import Progress

    terminal = sys.stderr is not None and sys.stderr.isatty()
    with (
        warnings.catch_warnings(),
        Progress(console=Console(stderr=True), transient=True, disable=not terminal) as shown,
    ):
        # What of them keeps a picture from being read is a fault, and told as one.
        warnings.filterwarnings("ignore", module="PIL")
        task = shown.add_task(what, total=None)
        yield lambda done, of: shown.update(task, completed=done, total=of)
