"""Where a data set's pictures lie: sources that decode one picture at a time.

A source holds no pixels. Its `read(index)` gives one picture as uint8 `(48, 48)`, or raises with
the file and the row that are at fault.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

__all__ = ["SIDE", "FolderPictures", "PictureSource", "PixelColumn", "split_csv_line"]

#: FER2013's pictures are 48 by 48, gray.
SIDE = 48

Picture = npt.NDArray[np.uint8]
Box = tuple[int, int, int, int]


def split_csv_line(text: str) -> list[str]:
    """The fields of one line; what no csv can hold is one field, for its reader to refuse."""
    line = text.rstrip("\r\n")
    try:
        return next(csv.reader([line]), [])
    except csv.Error:
        return [line]


class PictureSource(Protocol):
    """Anything that decodes pictures by their row."""

    def read(self, index: int) -> Picture:
        """The picture of that row, uint8 `(48, 48)`."""


class FolderPictures:
    """Picture files named by the rows of a ``label.csv``.

    Args:
        table: The csv file, for messages.
        lines: The line in `table` of each row, from 1.
        names: The file's name of each row, in the csv's own folder.
        boxes: The face (left, top, right, bottom) of each row, in pixels, or None for the whole
            picture.
    """

    def __init__(
        self,
        table: Path,
        lines: Sequence[int],
        names: Sequence[str],
        boxes: Sequence[Box | None],
    ) -> None:
        self._table = table
        self._lines = lines
        self._names = names
        self._boxes = boxes

    def read(self, index: int) -> Picture:
        """The picture of that row, cut to its box and brought to 48x48 gray if it is not.

        Raises:
            ValueError: If the file is missing or can't be decoded; names csv, row and file.
        """
        # Late, as in picture_files.
        from keras_affect.runtime.crops import rounded
        from keras_affect.runtime.pictures import gray_or_rgb

        path = self._table.parent / self._names[index]
        where = f"{self._table}, row {self._lines[index]}"
        try:
            with Image.open(path) as picture:
                # Without EXIF's turn: the table's boxes are of the pixels as they are stored.
                gray = rounded(gray_or_rgb(picture, str(path), upright=False)).convert("L")
        except FileNotFoundError:
            raise ValueError(f"{where}: picture {path} is missing") from None
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            reason = "not a picture" if isinstance(error, UnidentifiedImageError) else str(error)
            raise ValueError(f"{where}: picture {path} can't be decoded ({reason})") from None
        box = self._boxes[index]
        if box is not None and box != (0, 0, *gray.size):
            gray = gray.crop(box)
        if gray.size != (SIDE, SIDE):
            gray = gray.resize((SIDE, SIDE), Image.Resampling.BILINEAR)
        return np.asarray(gray)


class PixelColumn:
    """Pictures as text, 2,304 numbers in one column of a csv (Kaggle's FER2013).

    Args:
        table: The csv file.
        lines: The line of each row, from 1.
        offsets: The byte at which each row begins.
        column: The place of the column that holds the pixels.
    """

    def __init__(
        self, table: Path, lines: Sequence[int], offsets: Sequence[int], column: int
    ) -> None:
        self._table = table
        self._lines = lines
        self._offsets = offsets
        self._column = column

    def read(self, index: int) -> Picture:
        """The picture of that row.

        Raises:
            ValueError: If the row does not hold 2,304 numbers from 0 to 255; names file and row.
        """
        with self._table.open("rb") as file:
            file.seek(self._offsets[index])
            text = file.readline().decode("utf-8", errors="replace")
        fields = split_csv_line(text)
        pixels = fields[self._column].split() if self._column < len(fields) else []
        try:
            values = np.array(pixels, np.int64)
        except ValueError:
            values = np.array([-1])
        if values.size != SIDE * SIDE or values.min() < 0 or values.max() > 255:
            raise ValueError(
                f"{self._table}, row {self._lines[index]}: expected {SIDE * SIDE} pixels from "
                f"0 to 255 in one column, found {len(pixels)} words"
            )
        return values.astype(np.uint8).reshape(SIDE, SIDE)
