"""The commands that get, look at and prepare data: ``download``, ``inspect`` and ``prepare``."""

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

__all__ = ["download", "inspect", "prepare"]

_Data = Annotated[
    Path,
    typer.Argument(
        metavar="DATA",
        help="A csv that names pictures, or a folder with FER+ or AffectNet.",
    ),
]
_Root = Annotated[
    Path | None,
    typer.Option(help="The folder that a csv's paths start from.", show_default="the csv's own"),
]
_Codes = Annotated[
    str | None,
    typer.Option(help="What a csv's emotion numbers mean: ferplus, affectnet or fer2013."),
]
_Scale = Annotated[
    str, typer.Option(help="A csv's scale of valence and arousal: unit, five, afew_va or sam.")
]
_Encoding = Annotated[
    str | None, typer.Option(help="A csv's encoding, as cp949.", show_default="UTF-8")
]
_Labels = Annotated[
    str,
    typer.Option(help="FER+'s label rule: distribution, majority, multi_label, outlier_free."),
]
_Crop = Annotated[
    str | None,
    typer.Option(help="AffectNet's faces: box, landmarks or whole.", show_default="as they come"),
]
_Size = Annotated[int, typer.Option(help="Height and width of the pictures, in pixels.")]
_Color = Annotated[bool, typer.Option("--color", help="Keep colors; else pictures become gray.")]


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


def prepare(
    data: _Data,
    out: Annotated[Path, typer.Argument(help="The folder to write shards into.")],
    split: Annotated[
        str | None,
        typer.Option(help="train, valid, ...; of a csv, what its split column says."),
    ] = None,
    root: _Root = None,
    codes: _Codes = None,
    scale: _Scale = "unit",
    encoding: _Encoding = None,
    labels: _Labels = "distribution",
    crop: _Crop = None,
    size: _Size = 48,
    color: _Color = False,
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
    from keras_affect.cli import _need_tensorflow

    reading = _Reading(root, codes, scale, encoding, labels, crop, size, color, on_error, "none")
    picked = reading.split(data, split)
    _need_tensorflow()
    from rich.console import Console

    from keras_affect.datasets import record_writer

    with _bar("writing") as progress:
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


def inspect(
    data: _Data,
    splits: Annotated[
        str | None,
        typer.Option(metavar="A,B,...", help="Which splits.", show_default="all that are there"),
    ] = None,
    root: _Root = None,
    codes: _Codes = None,
    scale: _Scale = "unit",
    encoding: _Encoding = None,
    crop: _Crop = None,
    size: _Size = 48,
    color: _Color = False,
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
    reading = _Reading(root, codes, scale, encoding, "votes", crop, size, color, on_error, "none")
    chosen: dict[str, Any] = dict(reading.all_splits(data, splits))
    with _bar("looking") as progress:
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


class _Reading:
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
        if kind == "csv":
            return self._table(data, split)
        if split is None:
            raise ValueError(f"{data}: name one of its splits with --split")
        return self._ferplus(data, split) if kind == "ferplus" else self._affectnet(data, split)

    def all_splits(self, data: Path, names: str | None) -> Iterator[tuple[str, Labelled]]:
        """Each split that is named, or is there."""
        if names is not None:
            for name in names.split(","):
                yield name, self.split(data, name)
            return
        kind = _kind(data)
        if kind == "csv":
            yield "all", self._table(data, None)
            return
        from keras_affect.datasets import affectnet, ferplus

        found = False
        for name in ferplus.SPLITS if kind == "ferplus" else affectnet.SPLITS:
            try:
                read = self.split(data, name)
            except FileNotFoundError:
                continue
            found = True
            yield name, read
        if not found:
            raise FileNotFoundError(f"{data}: no split of {kind} here")

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
def _bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on a terminal, and none in a log; and Pillow's remarks on EXIF held back."""
    from rich.console import Console
    from rich.progress import Progress

    terminal = sys.stderr.isatty()
    with (
        warnings.catch_warnings(),
        Progress(console=Console(stderr=True), transient=True, disable=not terminal) as bar,
    ):
        # What of them keeps a picture from being read is a fault, and told as one.
        warnings.filterwarnings("ignore", module="PIL")
        task = bar.add_task(what, total=None)
        yield lambda done, of: bar.update(task, completed=done, total=of)
