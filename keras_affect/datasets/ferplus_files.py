"""FER+'s files: the folders of its own tools, and Kaggle's csv beside FER+'s votes.

Each row is checked and each picture decoded once, so that a fault is found before a training
begins and not in the middle of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from keras_affect.datasets import votes as rules
from keras_affect.datasets.faults import Faults, OnError
from keras_affect.datasets.pictures import (
    SIDE,
    Box,
    FolderPictures,
    PictureSource,
    PixelColumn,
    split_csv_line,
)

__all__ = ["SPLITS", "FerPlus", "OnError", "duplicates", "read"]

#: Split: (folder of FER+'s tools, "Usage" in Kaggle's csv).
SPLITS = {
    "train": ("FER2013Train", "Training"),
    "valid": ("FER2013Valid", "PublicTest"),
    "test": ("FER2013Test", "PrivateTest"),
}


@dataclass(frozen=True)
class FerPlus:
    """One split as it was read.

    Attributes:
        names: The pictures' names, as "fer0000000.png".
        votes: float32 `(images, 10)`, the columns of `votes.COLUMNS`.
        digests: A hash of each picture's pixels: equal for pictures that are pixel for pixel
            the same.
        source: Decodes picture `rows[i]` of the files as image i.
        rows: The row of each image in `source`.
    """

    names: tuple[str, ...]
    votes: npt.NDArray[np.float32]
    digests: tuple[bytes, ...]
    source: PictureSource
    rows: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.names)

    def picture(self, index: int) -> npt.NDArray[np.uint8]:
        """Image `index`, uint8 `(48, 48, 1)`, read from its file."""
        return self.source.read(int(self.rows[index]))[..., None]

    @property
    def images(self) -> npt.NDArray[np.uint8]:
        """All images, uint8 `(images, 48, 48, 1)`, read from their files at each access."""
        pictures = np.empty((len(self), SIDE, SIDE, 1), np.uint8)
        for i in range(len(self)):
            pictures[i] = self.picture(i)
        return pictures

    def take(self, keep: npt.NDArray[np.bool_]) -> FerPlus:
        """Only the images where `keep`, `(images,)`, is True."""
        chosen = np.flatnonzero(keep)
        return FerPlus(
            tuple(self.names[i] for i in chosen),
            self.votes[chosen],
            tuple(self.digests[i] for i in chosen),
            self.source,
            self.rows[chosen],
        )


def read(root: str | Path, split: str, on_error: OnError = "raise") -> FerPlus:
    """One split of FER+, every row checked and every picture decoded once.

    Args:
        root: A folder with FER+'s folders (``FER2013Train``, ...), or with ``fer2013.csv`` or
            ``icml_face_data.csv`` and ``fer2013new.csv``.
        split: "train", "valid" (Kaggle's PublicTest) or "test" (PrivateTest).
        on_error: "raise" stops at the first row or picture at fault; "skip" leaves such out
            and warns once with their count.

    Returns:
        The split. Pictures are not kept in memory.

    Raises:
        FileNotFoundError: If `root` holds neither layout.
        ValueError: If a row or picture is at fault; names the file and the row.
    """
    if split not in SPLITS:
        raise ValueError(
            f"Invalid value for argument `split`. Expected one of {', '.join(SPLITS)}. "
            f"Received: split={split!r}"
        )
    faults = Faults(on_error)
    root = Path(root)
    folder, usage = SPLITS[split]
    label_csv = root / folder / "label.csv"
    pixel_csvs = [root / name for name in ("fer2013.csv", "icml_face_data.csv")]
    pixel_csv = next((path for path in pixel_csvs if path.is_file()), None)
    source: PictureSource
    if label_csv.is_file():
        place = label_csv
        names, counts, source = _read_folder(label_csv, faults)
    elif pixel_csv is not None:
        place = pixel_csv
        names, counts, source = _read_kaggle(pixel_csv, usage, faults)
    else:
        raise FileNotFoundError(
            f"{root}: no FER+ {split} split here. Expected {folder}/label.csv beside its pictures "
            "(FER+'s own layout), or fer2013.csv or icml_face_data.csv (Kaggle) with "
            "fer2013new.csv (github.com/microsoft/FERPlus)"
        )
    total = len(names)
    digests: list[bytes] = []
    readable: list[int] = []
    for i in range(total):
        try:
            pixels = source.read(i)
        except ValueError as error:
            faults.add(str(error))
            continue
        readable.append(i)
        digests.append(hashlib.blake2b(pixels.tobytes(), digest_size=16).digest())
    faults.report(place, total)
    if not readable:
        raise ValueError(f"{place}: the {split} split is empty")
    rows = np.array(readable, np.int64)
    return FerPlus(
        tuple(names[i] for i in readable),
        np.array(counts, np.float32)[rows],
        tuple(digests),
        source,
        rows,
    )


def duplicates(of: FerPlus, *among: FerPlus) -> npt.NDArray[np.bool_]:
    """Which images of a split stand pixel for pixel in others: bool `(images,)`."""
    seen = set().union(*(set(other.digests) for other in among))
    return np.array([digest in seen for digest in of.digests], bool)


def _lines(path: Path) -> Iterator[tuple[int, int, list[str]]]:
    """Each line of a csv as (number from 1, byte it begins at, fields); blank lines left out."""
    offset = 0
    with path.open("rb") as file:
        for number, raw in enumerate(file, 1):
            text = raw.decode("utf-8-sig" if number == 1 else "utf-8", errors="replace")
            fields = split_csv_line(text)
            if fields:
                yield number, offset, [field.strip() for field in fields]
            offset += len(raw)


def _parse_votes(fields: Sequence[str], where: str) -> list[int]:
    if len(fields) != len(rules.COLUMNS):
        raise ValueError(f"{where}: expected ten votes, found {len(fields)}")
    try:
        counts = [int(field) for field in fields]
        if min(counts) < 0:
            raise ValueError
    except ValueError:
        raise ValueError(
            f"{where}: expected ten vote counts of 0 or more, found {', '.join(fields)}"
        ) from None
    return counts


def _parse_box(text: str, where: str) -> Box:
    try:
        left, top, right, bottom = (int(v) for v in text.strip("() ").split(","))
        if not (0 <= left < right and 0 <= top < bottom):
            raise ValueError
    except ValueError:
        raise ValueError(
            f"{where}: expected a face box (left, top, right, bottom), found {text!r}"
        ) from None
    return left, top, right, bottom


def _read_folder(table: Path, faults: Faults) -> tuple[list[str], list[list[int]], FolderPictures]:
    """The layout of FER+'s tools: name, box, ten votes a row (box left out in old copies)."""
    lines: list[int] = []
    names: list[str] = []
    boxes: list[Box | None] = []
    counts: list[list[int]] = []
    for number, _, fields in _lines(table):
        where = f"{table}, row {number}"
        has_box = len(fields) > 1 and fields[1].startswith("(")
        try:
            name = fields[0]
            if not name or Path(name).name != name:
                raise ValueError(f"{where}: expected a file name, found {name!r}")
            row = _parse_votes(fields[2 if has_box else 1 :], where)
            box = _parse_box(fields[1], where) if has_box else None
        except ValueError as error:
            faults.add(str(error))
            continue
        lines.append(number)
        names.append(name)
        boxes.append(box)
        counts.append(row)
    pictures = sum(path.suffix.lower() == ".png" for path in table.parent.iterdir())
    unnamed = pictures - len(set(names))
    if unnamed > 0:
        # A csv cut between two rows is a valid csv: only the pictures tell.
        faults.add(
            f"{table}: {unnamed} of the {pictures} pictures beside it have no row; "
            "the file may be cut short"
        )
    return names, counts, FolderPictures(table, lines, names, boxes)


def _read_kaggle(
    pixel_csv: Path, usage: str, faults: Faults
) -> tuple[list[str], list[list[int]], PixelColumn]:
    """Kaggle's pixels and FER+'s votes, two files that agree row by row."""
    votes_csv = pixel_csv.parent / "fer2013new.csv"
    if not votes_csv.is_file():
        raise FileNotFoundError(
            f"{votes_csv}: missing; FER+'s votes come from github.com/microsoft/FERPlus"
        )
    pixel_rows, vote_rows = _lines(pixel_csv), _lines(votes_csv)
    usage_column, pixel_column = _columns(pixel_csv, next(pixel_rows, None), ["usage", "pixels"])
    vote_columns = _columns(
        votes_csv, next(vote_rows, None), ["usage", "image name", *map(str.lower, rules.COLUMNS)]
    )
    names: list[str] = []
    counts: list[list[int]] = []
    lines: list[int] = []
    offsets: list[int] = []
    for pixel_row in pixel_rows:
        number, offset, fields = pixel_row
        vote_row = next(vote_rows, None)
        if vote_row is None:
            # Beyond this point no picture has votes: nothing to skip to.
            raise ValueError(
                f"{votes_csv}: ends before {pixel_csv}, row {number}; the file may be cut short"
            )
        where = f"{votes_csv}, row {vote_row[0]}"
        try:
            if usage_column >= len(fields) or fields[usage_column] not in _USAGES:
                raise ValueError(
                    f"{pixel_csv}, row {number}: expected a usage ({', '.join(_USAGES)}); "
                    "the row may be cut short"
                )
            if max(vote_columns) >= len(vote_row[2]):
                raise ValueError(
                    f"{where}: expected {len(vote_columns)} columns, found {len(vote_row[2])}"
                )
            chosen = [vote_row[2][column] for column in vote_columns]
            if chosen[0] != fields[usage_column]:
                raise ValueError(
                    f"{where}: usage {chosen[0]!r}, but {fields[usage_column]!r} in {pixel_csv}, "
                    f"row {number}: the two files do not belong together"
                )
            # FER+'s authors left out pictures without a face: those rows have no name.
            if chosen[0] != usage or not chosen[1]:
                continue
            row = _parse_votes(chosen[2:], where)
        except ValueError as error:
            faults.add(str(error))
            continue
        names.append(chosen[1])
        counts.append(row)
        lines.append(number)
        offsets.append(offset)
    left = next(vote_rows, None)
    if left is not None:
        faults.add(f"{pixel_csv}: ends before {votes_csv}, row {left[0]}; it may be cut short")
    return names, counts, PixelColumn(pixel_csv, lines, offsets, pixel_column)


_USAGES = tuple(usage for _, usage in SPLITS.values())


def _columns(
    path: Path, header: tuple[int, int, list[str]] | None, wanted: Sequence[str]
) -> list[int]:
    found = [field.lower() for field in header[2]] if header else []
    missing = [name for name in wanted if name not in found]
    if missing:
        raise ValueError(
            f"{path}, row 1: expected a header with {', '.join(wanted)}; "
            f"{', '.join(missing)} not found"
        )
    return [found.index(name) for name in wanted]
