"""Any folder of pictures with a csv: emotion or votes, valence, arousal, any of them missing.

The csv has a header and a row a picture. It may be separated by ``,``, ``;``, tab or ``|``, and be
in UTF-8, with a byte order mark or without, or in an encoding that is named.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_affect import emotions
from keras_affect.datasets.faults import Faults, OnError
from keras_affect.datasets.label_rows import CODES, COLUMNS, MISSING, RowReader, codes_of
from keras_affect.datasets.labelled_pictures import LabelledPictures
from keras_affect.datasets.picture_index import Check, IndexWriter
from keras_affect.datasets.tables import open_table

if TYPE_CHECKING:
    import tensorflow as tf

__all__ = ["CODES", "COLUMNS", "MISSING", "load", "read"]


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
    numbers = codes_of(codes)
    low, high = _bounds(scale)
    opened = open_table(
        table,
        COLUMNS,
        ("picture",),
        columns=columns,
        encoding=encoding,
        delimiter=delimiter,
    )
    row_of = RowReader(opened, numbers, (low, high), split)
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


def _bounds(scale: str | Sequence[float]) -> tuple[float, float]:
    """The lowest and highest rating of a scale, by way of the function that knows them all."""
    low, high = emotions.convert_scale([-1.0, 1.0], "unit", scale)
    return float(low), float(high)
