"""Any folder of pictures with a csv: emotion or votes, valence, arousal, any of them missing.

The csv has a header and a row a picture. It may be separated by ``,``, ``;``, tab or ``|``, and be
in UTF-8, with a byte order mark or without, or in an encoding that is named.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from keras_affect import emotions
from keras_affect.datasets.faults import Faults, OnError
from keras_affect.datasets.labelled_pictures import LabelledPictures
from keras_affect.datasets.picture_files import Box
from keras_affect.datasets.picture_index import Check, IndexWriter
from keras_affect.datasets.tables import Table, open_table

if TYPE_CHECKING:
    import tensorflow as tf

__all__ = ["CODES", "COLUMNS", "MISSING", "load", "read"]

#: What a column can hold, with the headings it goes by; capitals don't matter. Votes go by the
#: emotions' names and aliases.
COLUMNS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "picture": (
            "picture",
            "path",
            "image",
            "file",
            "filename",
            "file_name",
            "image_path",
            "image name",
            "subdirectory_filepath",
        ),
        "emotion": ("emotion", "expression", "label", "class"),
        "valence": ("valence",),
        "arousal": ("arousal",),
        "split": ("split", "usage", "subset"),
        "left": ("left", "face_x"),
        "top": ("top", "face_y"),
        "width": ("width", "face_width"),
        "height": ("height", "face_height"),
        **{
            name: (name, *(alias for alias, of in emotions.ALIASES.items() if of == name))
            for name in emotions.NAMES
        },
    }
)

#: Numbers that stand for emotions, by whose they are.
CODES: Mapping[str, Mapping[int, str | None]] = MappingProxyType(
    {
        "ferplus": dict(enumerate(emotions.NAMES)),
        "affectnet": emotions.AFFECTNET_CODES,
        # Kaggle's FER2013: Goodfellow et al. 2013, arXiv:1307.0414.
        "fer2013": {
            0: "anger",
            1: "disgust",
            2: "fear",
            3: "happiness",
            4: "sadness",
            5: "surprise",
            6: "neutral",
        },
    }
)

#: Fields that say nothing, in lower case.
MISSING = ("", "na", "n/a", "nan", "none", "null", "-", "?")

_BOX = ("left", "top", "width", "height")


def read(
    table: str | Path,
    root: str | Path | None = None,
    split: str | None = None,
    *,
    columns: Mapping[str, str] | None = None,
    codes: str | Mapping[int, str | None] | None = None,
    scale: str | Sequence[float] = "unit",
    size: int = 48,
    channels: int = 1,
    check: Check = "decode",
    encoding: str | None = None,
    delimiter: str | None = None,
    on_error: OnError = "raise",
) -> LabelledPictures:
    """A csv and its pictures, every row checked.

    Args:
        table: The csv. Its header is matched with `COLUMNS`; it needs a picture and at least
            one of emotion, votes, valence and arousal. With ``left``, ``top``, ``width`` and
            ``height``, in pixels of the stored picture, the face is cut out.
        root: The folder that the pictures' paths start from. None: the csv's own.
        split: Take only the rows whose split column says this; None takes all.
        columns: Headings of this csv's own, as {"picture": "img_name", "emotion": "mood"}.
        codes: What numbers in the emotion column stand for: "ferplus", "affectnet" or
            "fer2013" (see `CODES`), or a mapping of one's own to names. None: the column holds
            names or aliases of `emotions`.
        scale: The scale of valence and arousal, as in `emotions.convert_scale`.
        size: Height and width to bring pictures to.
        channels: 1 for gray, 3 for RGB.
        check: "decode" decodes each picture once, so that a fault is found now and not in the
            middle of a training; "exists" looks whether it is there; "none" does neither.
        encoding: As in `tables.open_table`, and so is `delimiter`.
        delimiter: "
        on_error: "raise" stops at the first row or picture at fault; "skip" leaves such out and
            warns once with their count.

    Returns:
        The index. A row of votes gives their shares. What a row lacks is missing in the index:
        an emotion of zeros, a valence or arousal of NaN.

    Raises:
        FileNotFoundError: If the table or the folder is not there.
        ValueError: If the header lacks what is needed; if a row or picture is at fault (a label
            out of range, no label at all, a path out of the folder, a picture twice, missing or
            not decodable), named with file and row; if no row is left.

    Example:
        >>> data = read("faces.csv", scale="sam", on_error="skip")  # doctest: +SKIP
        >>> train, test = data.divide(0.2)  # doctest: +SKIP
    """
    table = Path(table)
    faults = Faults(on_error)
    numbers = _codes(codes)
    low, high = _bounds(scale)
    opened = open_table(
        table,
        COLUMNS,
        ("picture",),
        columns=columns,
        encoding=encoding,
        delimiter=delimiter,
    )
    row_of = _RowReader(opened, numbers, (low, high), split)
    index = IndexWriter(
        table,
        table.parent if root is None else root,
        size=size,
        channels=channels,
        check=check,
        faults=faults,
    )
    for row, fields in opened.rows:
        where = f"{table}, row {row}"
        try:
            read_row = row_of(fields, where)
        except ValueError as error:
            index.fault(str(error))
            continue
        if read_row is not None:
            name, shares, valence, arousal, box = read_row
            index.add(name, row, shares, valence, arousal, box)
    return index.finish(split or "whole")


def load(
    table: str | Path,
    root: str | Path | None = None,
    split: str | None = None,
    *,
    batch_size: int = 128,
    shuffle: bool = True,
    seed: int = 0,
    cache: Any = None,
    augment: Any = None,
    initial_epoch: int = 0,
    repeat: bool = False,
    **reading: Any,
) -> tf.data.Dataset:
    """A csv and its pictures for `model.fit`.

    Args:
        table: As in `read`, and so are `root`, `split` and all of `reading`.
        root: "
        split: "
        batch_size: As in `LabelledPictures.batches`, and so are the rest.
        shuffle: "
        seed: "
        cache: "
        augment: "
        initial_epoch: "
        repeat: "
        **reading: "

    Returns:
        A `tf.data.Dataset`, see `LabelledPictures.batches`.

    Raises:
        FileNotFoundError, ValueError: As `read`.
    """
    return read(table, root, split, **reading).batches(
        batch_size=batch_size,
        shuffle=shuffle,
        seed=seed,
        cache=cache,
        augment=augment,
        initial_epoch=initial_epoch,
        repeat=repeat,
    )


class _RowReader:
    """Turns a row's fields into (name, shares, valence, arousal, box); None: another split."""

    def __init__(
        self,
        table: Table,
        codes: Mapping[int, str | None] | None,
        bounds: tuple[float, float],
        split: str | None,
    ) -> None:
        places = table.columns
        votes = [name for name in emotions.NAMES if name in places]
        if "emotion" in places and votes:
            raise ValueError(
                f"{table.path}, row 1: has a column for the emotion and columns of votes "
                f"({', '.join(votes)}); name the one to read in `columns`, or take the other out"
            )
        if not votes and not {"emotion", "valence", "arousal"} & set(places):
            raise ValueError(
                f"{table.path}, row 1: expected a header with a column for emotion, for votes, "
                f"for valence or for arousal; found {', '.join(table.header)[:200]}"
            )
        if split is not None and "split" not in places:
            raise ValueError(
                f"{table.path}, row 1: split={split!r} was asked for, and no column says which "
                f"({', '.join(COLUMNS['split'])})"
            )
        boxed = [name for name in _BOX if name in places]
        if boxed and len(boxed) < len(_BOX):
            raise ValueError(
                f"{table.path}, row 1: a face's box needs {', '.join(_BOX)}; found only "
                f"{', '.join(boxed)}"
            )
        self._places = places
        self._fields = max(places.values()) + 1
        self._votes = votes
        self._codes = codes
        self._bounds = bounds
        self._split = split
        self._boxed = bool(boxed)

    def __call__(
        self, fields: Sequence[str], where: str
    ) -> tuple[str, npt.NDArray[np.float64] | None, float, float, Box | None] | None:
        if len(fields) < self._fields:
            raise ValueError(
                f"{where}: expected at least {self._fields} columns, found {len(fields)}"
            )
        if self._split is not None and self._field(fields, "split") != self._split:
            return None
        shares = self._shares_of_votes(fields, where) if self._votes else self._one(fields, where)
        valence = self._rating(fields, "valence", where)
        arousal = self._rating(fields, "arousal", where)
        if shares is None and math.isnan(valence) and math.isnan(arousal):
            raise ValueError(f"{where}: holds no label")
        box = self._box(fields, where) if self._boxed else None
        return self._field(fields, "picture"), shares, valence, arousal, box

    def _field(self, fields: Sequence[str], name: str) -> str:
        place = self._places.get(name)
        return "" if place is None else fields[place]

    def _one(self, fields: Sequence[str], where: str) -> npt.NDArray[np.float64] | None:
        text = self._field(fields, "emotion")
        if text.lower() in MISSING:
            return None
        name: str | None
        if self._codes is not None:
            try:
                name = self._codes[int(text)]
            except (KeyError, ValueError):
                raise ValueError(
                    f"{where}: expected an emotion's code ({', '.join(map(str, self._codes))}), "
                    f"found {text!r}"
                ) from None
        else:
            try:
                name = emotions.canonical(text)
            except ValueError:
                hint = "; what numbers stand for is said with codes=" if text.isdigit() else ""
                raise ValueError(
                    f"{where}: expected an emotion ({', '.join(emotions.NAMES)}), found "
                    f"{text!r}{hint}"
                ) from None
        return None if name is None else np.eye(len(emotions.NAMES))[emotions.NAMES.index(name)]

    def _shares_of_votes(self, fields: Sequence[str], where: str) -> npt.NDArray[np.float64] | None:
        counts = np.zeros(len(emotions.NAMES))
        for name in self._votes:
            text = self._field(fields, name)
            count = 0.0 if text.lower() in MISSING else _number(text, where, name)
            if count < 0:
                raise ValueError(f"{where}: expected votes for {name} of 0 or more, found {text!r}")
            counts[emotions.NAMES.index(name)] = count
        return counts / counts.sum() if counts.sum() > 0 else None

    def _rating(self, fields: Sequence[str], name: str, where: str) -> float:
        text = self._field(fields, name)
        if text.lower() in MISSING:
            return math.nan
        value = _number(text, where, name)
        low, high = self._bounds
        if not low <= value <= high:
            raise ValueError(
                f"{where}: expected {name} in [{low:g}, {high:g}], found {text!r}; another scale "
                "is named with scale="
            )
        return float(emotions.convert_scale(value, self._bounds, "unit"))

    def _box(self, fields: Sequence[str], where: str) -> Box | None:
        texts = [self._field(fields, name) for name in _BOX]
        if all(text.lower() in MISSING for text in texts):
            return None
        left, top, width, height = (
            _number(text, where, name) for text, name in zip(texts, _BOX, strict=True)
        )
        if not (width > 0 and height > 0):
            raise ValueError(
                f"{where}: expected a face's width and height above 0, found {width:g} x {height:g}"
            )
        return math.floor(left), math.floor(top), math.ceil(left + width), math.ceil(top + height)


def _number(text: str, where: str, what: str) -> float:
    try:
        # A decimal comma is a number's own only where the comma doesn't separate columns.
        value = float(text.replace(",", "."))
        if not math.isfinite(value):
            raise ValueError
    except ValueError:
        raise ValueError(f"{where}: expected a number for {what}, found {text!r}") from None
    return value


def _codes(codes: str | Mapping[int, str | None] | None) -> Mapping[int, str | None] | None:
    if codes is None:
        return None
    if isinstance(codes, str):
        if codes not in CODES:
            raise ValueError(
                f"Invalid value for argument `codes`. Expected one of {', '.join(CODES)}, or a "
                f"mapping of numbers to emotions. Received: codes={codes!r}"
            )
        return CODES[codes]
    return {
        number: None if name is None else emotions.canonical(name) for number, name in codes.items()
    }


def _bounds(scale: str | Sequence[float]) -> tuple[float, float]:
    """The lowest and highest rating of a scale, by way of the function that knows them all."""
    low, high = emotions.convert_scale([-1.0, 1.0], "unit", scale)
    return float(low), float(high)
