"""From a table's rows to a `LabelledPictures`, each row and its picture checked."""

from __future__ import annotations

import hashlib
import os
from array import array
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from keras_affect import emotions
from keras_affect.datasets.faults import Faults
from keras_affect.datasets.labelled_pictures import NO_BOX, LabelledPictures
from keras_affect.datasets.picture_files import Box, decode, inside

__all__ = ["CHECKS", "Check", "IndexWriter", "check_size"]

#: How far pictures are looked at when an index is made: not at all; whether each file is there;
#: or decoding each once.
CHECKS = ("none", "exists", "decode")
Check = Literal["none", "exists", "decode"]

_EMOTIONS = len(emotions.NAMES)


class IndexWriter:
    """Gathers rows into a `LabelledPictures`, checking each.

    Args:
        table: What the labels come from.
        root: The folder that holds the pictures.
        size: Height and width to bring pictures to, 1 or more.
        channels: 1 or 3.
        check: One of `CHECKS`.
        faults: Where faults go.

    Raises:
        ValueError: If an argument is out of its range.
        FileNotFoundError: If `root` is no folder.
    """

    def __init__(
        self,
        table: Path,
        root: str | Path,
        *,
        size: int,
        channels: int,
        check: Check,
        faults: Faults,
    ) -> None:
        check_size(size)
        if channels not in (1, 3):
            raise ValueError(
                "Invalid value for argument `channels`. Expected 1 (gray) or 3 (RGB). "
                f"Received: channels={channels!r}"
            )
        if check not in CHECKS:
            raise ValueError(
                f"Invalid value for argument `check`. Expected one of {', '.join(CHECKS)}. "
                f"Received: check={check!r}"
            )
        if not Path(root).is_dir():
            raise FileNotFoundError(f"{root}: no folder of pictures here")
        self._table, self._root = table, os.path.realpath(root)
        self._size, self._channels = size, channels
        self._check, self._faults = check, faults
        self._names = bytearray()
        self._starts = array("q", [0])
        self._rows = array("q")
        self._labels = array("f")
        self._boxes = array("i")
        self._boxed = False
        self._left_out: dict[str, int] = {}
        self._seen = 0

    def leave_out(self, reason: str) -> None:
        """Count a row that has no label to learn from."""
        self._seen += 1
        self._left_out[reason] = self._left_out.get(reason, 0) + 1

    def fault(self, message: str) -> None:
        """A row that cannot be used."""
        self._seen += 1
        self._faults.add(message)

    def add(
        self,
        name: str,
        row: int,
        emotion: npt.ArrayLike | None,
        valence: float,
        arousal: float,
        box: Box | None = None,
    ) -> None:
        """Take a row, unless its picture is at fault.

        Args:
            name: The picture's path, relative to the folder.
            row: Its row in the table, from 1, or 0.
            emotion: Eight shares that sum to 1, or None where it is missing.
            valence: In [-1, 1], or NaN.
            arousal: Likewise.
            box: The face, if the picture is more than that.
        """
        where = f"{self._table}, row {row}" if row else str(self._table)
        try:
            path = inside(self._root, name, where)
            if self._check == "decode":
                decode(path, where, self._size, self._channels, box)
            elif self._check == "exists" and not os.path.isfile(path):  # noqa: PTH113  as in inside
                raise ValueError(f"{where}: picture {path} is missing")
        except ValueError as error:
            self.fault(str(error))
            return
        self._seen += 1
        parts = name.replace("\\", "/").split("/")
        self._names += os.fsencode("/".join(part for part in parts if part not in ("", ".")))
        self._starts.append(len(self._names))
        self._rows.append(row)
        shares = np.zeros(_EMOTIONS) if emotion is None else np.asarray(emotion)
        self._labels.extend([*shares.tolist(), valence, arousal])
        self._boxes.extend(box or NO_BOX)
        self._boxed = self._boxed or box is not None

    def finish(self, split: str) -> LabelledPictures:
        """The index.

        Raises:
            ValueError: If two rows name one picture, or none is left.
        """
        count = len(self._rows)
        labels = np.frombuffer(self._labels, np.float32).reshape(count, _EMOTIONS + 2)
        data = LabelledPictures(
            self._table,
            self._root,
            np.ascontiguousarray(labels[:, :_EMOTIONS]),
            np.ascontiguousarray(labels[:, _EMOTIONS:]),
            np.array(self._rows, np.int64),
            self._size,
            self._channels,
            dict(self._left_out),
            bytes(self._names),
            np.array(self._starts, np.int64),
            np.arange(count),
            np.array(self._boxes, np.int32).reshape(count, 4) if self._boxed else None,
        )
        first = self._first_of_their_name(data)
        data = data if first.all() else data.take(first)
        self._faults.report(self._table, self._seen, stacklevel=5)
        if len(data) == 0:
            raise ValueError(f"{self._table}: the {split} split is empty")
        return data

    def _first_of_their_name(self, data: LabelledPictures) -> npt.NDArray[np.bool_]:
        """Where no earlier row names the same picture; each other is a fault."""
        # Eight bytes a name instead of a set of names; equal hashes are compared as names.
        hashes = np.array(
            [
                int.from_bytes(hashlib.blake2b(os.fsencode(name), digest_size=8).digest())
                for name in data.names
            ],
            np.uint64,
        )
        keep = np.ones(len(data), bool)
        order = np.argsort(hashes, kind="stable")
        for place in np.flatnonzero(hashes[order[1:]] == hashes[order[:-1]]):
            before, after = int(order[place]), int(order[place + 1])
            if data.name(before) == data.name(after):
                keep[after] = False
                self._faults.add(
                    f"{data.where(after)}: picture {data.name(after)} stands in row "
                    f"{int(data.rows[before])} already"
                )
        return keep


def check_size(size: int) -> None:
    """Raise ValueError unless `size` is an integer of 1 or more."""
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise ValueError(
            "Invalid value for argument `size`. Expected an integer of 1 or more. "
            f"Received: size={size!r}"
        )
