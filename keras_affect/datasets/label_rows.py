"""A row of somebody's csv: its labels and its face's box, understood and checked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from keras_affect import emotions
from keras_affect.datasets.picture_files import Box
from keras_affect.datasets.tables import Table

__all__ = ["CODES", "COLUMNS", "MISSING", "RowReader", "codes_of"]

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


class RowReader:
    """Turns a row's fields into (name, shares, valence, arousal, box), or None: another split.

    Args:
        table: The csv, whose columns were matched with `COLUMNS`.
        codes: What numbers in the emotion column stand for; None: names stand there.
        bounds: Lowest and highest rating.
        split: The split to take, or None for all.

    Raises:
        ValueError: If the columns don't go together, when it is made; if a row is at fault, when
            it is called.
    """

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
        """What a row's fields say; `where` is table and row, for messages."""
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


def codes_of(codes: str | Mapping[int, str | None] | None) -> Mapping[int, str | None] | None:
    """What numbers stand for: a name in `CODES`, a mapping of one's own, or None for nothing.

    Raises:
        ValueError: If the name is not known, or an emotion of the mapping isn't.
    """
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
