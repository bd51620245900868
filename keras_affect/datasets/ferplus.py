"""FER+: the faces of FER2013 with ten crowd votes each.

Reads what people have: the folders of FER+'s own tools (``FER2013Train/label.csv`` beside its
pictures), or Kaggle's ``fer2013.csv`` or ``icml_face_data.csv`` beside FER+'s ``fer2013new.csv``.

The votes are at github.com/microsoft/FERPlus (MIT); the pictures come from the Kaggle challenge
FER2013 (Goodfellow et al. 2013) and may be used for research, not passed on.
"""

from __future__ import annotations

import csv
import hashlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from keras_affect.datasets import votes as rules
from keras_affect.datasets.pictures import (
    SIDE,
    Box,
    FolderPictures,
    PictureSource,
    PixelColumn,
)
from keras_affect.datasets.votes import (
    distribution,
    majority,
    multi_label,
    outlier_free,
    valence_arousal,
)

if TYPE_CHECKING:
    import tensorflow as tf

__all__ = [
    "LABELS",
    "SPLITS",
    "FerPlus",
    "Labelled",
    "distribution",
    "duplicates",
    "labelled",
    "load",
    "majority",
    "multi_label",
    "outlier_free",
    "read",
    "valence_arousal",
]

#: Split: (folder of FER+'s tools, "Usage" in Kaggle's csv).
SPLITS = {
    "train": ("FER2013Train", "Training"),
    "valid": ("FER2013Valid", "PublicTest"),
    "test": ("FER2013Test", "PrivateTest"),
}

#: What `load` gives as labels.
LABELS = ("distribution", "majority", "multi_label", "drawn", "outlier_free", "votes")

OnError = Literal["raise", "skip"]


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


class _Faults:
    """What is wrong with a split's rows: raised at once, or counted."""

    def __init__(self, on_error: OnError) -> None:
        if on_error not in ("raise", "skip"):
            raise ValueError(
                "Invalid value for argument `on_error`. Expected 'raise' or 'skip'. "
                f"Received: on_error={on_error!r}"
            )
        self._raise = on_error == "raise"
        self._messages: list[str] = []

    def add(self, message: str) -> None:
        if self._raise:
            raise ValueError(message)
        self._messages.append(message)

    def report(self, place: Path, total: int) -> None:
        if self._messages:
            warnings.warn(
                f"{place}: {len(self._messages)} of {total} rows or pictures skipped; "
                f"the first: {self._messages[0]}",
                UserWarning,
                stacklevel=4,
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
    faults = _Faults(on_error)
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
            fields = next(csv.reader([text.rstrip("\r\n")]), [])
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


def _read_folder(table: Path, faults: _Faults) -> tuple[list[str], list[list[int]], FolderPictures]:
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
    pixel_csv: Path, usage: str, faults: _Faults
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


@dataclass(frozen=True)
class Labelled:
    """Images with their labels, before they are batched.

    Attributes:
        data: The images that the label rule keeps.
        emotion: float32 `(images, 8)`, or `(images, 10)` for "votes".
        valence_arousal: float32 `(images, 2)`.
    """

    data: FerPlus
    emotion: npt.NDArray[np.float32]
    valence_arousal: npt.NDArray[np.float32]


def labelled(
    root: str | Path,
    split: str,
    labels: str,
    *,
    drop_duplicates: str | Sequence[str] | None = None,
    on_error: OnError = "raise",
) -> Labelled:
    """A split's images and labels as arrays, without TensorFlow; arguments as in `load`."""
    if labels not in LABELS:
        raise ValueError(
            f"Invalid value for argument `labels`. Expected one of {', '.join(LABELS)}. "
            f"Received: labels={labels!r}"
        )
    data = read(root, split, on_error)
    if drop_duplicates is not None:
        others = [drop_duplicates] if isinstance(drop_duplicates, str) else drop_duplicates
        if split in others:
            raise ValueError(
                "Invalid value for argument `drop_duplicates`. Expected other splits than "
                f"split={split!r}. Received: drop_duplicates={drop_duplicates!r}"
            )
        data = data.take(~duplicates(data, *(read(root, name, on_error) for name in others)))
    targets = _targets(data.votes, labels)
    # "votes" drops no image, not even one that nobody voted on.
    kept = np.asarray(targets.any(axis=1) | (labels == "votes"))
    data = data.take(kept)
    return Labelled(data, targets[kept], valence_arousal(data.votes))


def load(
    root: str | Path,
    split: str = "train",
    labels: str = "distribution",
    *,
    batch_size: int = 128,
    shuffle: bool | None = None,
    seed: int = 0,
    cache: str | Path | None = None,
    drop_duplicates: str | Sequence[str] | None = None,
    on_error: OnError = "raise",
    augment: Callable[[Any, Any], Any] | None = None,
    initial_epoch: int = 0,
    repeat: bool = False,
) -> tf.data.Dataset:
    """FER+ for `model.fit`.

    Args:
        root: As in `read`.
        split: "train", "valid" or "test".
        labels: The rule of `datasets.votes` that makes the labels: "distribution", "majority",
            "multi_label", "outlier_free"; "drawn" draws one emotion an image from
            "distribution", anew each epoch (the paper's probabilistic label drawing); "votes"
            gives all ten columns as they are. Images that the rule drops are left out; "votes"
            drops none.
        batch_size: Images in a batch; the last of an epoch may be smaller.
        shuffle: Whether to give each epoch its own order. None: for train.
        seed: Order, draws and augmentation are functions of (seed, epoch, index).
        cache: None decodes pictures anew each epoch and holds one batch. "memory" holds all,
            2,304 bytes an image. A path keeps them there as a ``.npy`` file that is read through
            the operating system's page cache, and is used again if it holds these pictures.
        drop_duplicates: Leave out images that stand pixel for pixel in this split, or these:
            ``load(root, "train", drop_duplicates="valid")``.
        on_error: As in `read`.
        augment: Called in the graph as ``augment(images, keys)``, float32
            `(batch, 48, 48, 1)` and uint64 `(batch,)`; gives images. See
            `augmentation.face_pipeline`.
        initial_epoch: The first epoch's number.
        repeat: False: each pass is the next epoch. True: one endless pass, for ``fit`` with
            ``steps_per_epoch``; what a run that must be resumed exactly uses.

    Returns:
        A `tf.data.Dataset` of `(images, {"emotion": ..., "valence_arousal": ...})`: float32
        `(batch, 48, 48, 1)` in [0, 255]; float32 `(batch, 8)`, or `(batch, 10)` for "votes";
        float32 `(batch, 2)` in [-1, 1] from `votes.valence_arousal` (NaN, with "votes" alone,
        where no emotion has two votes).

    Raises:
        FileNotFoundError, ValueError: As `read`; and for arguments that are not of these forms.
    """
    # TensorFlow loads here and not above, so that votes can be read and scored without it.
    from keras_affect.datasets.batches import batches_of, check_batch_size

    check_batch_size(batch_size)
    kept = labelled(root, split, labels, drop_duplicates=drop_duplicates, on_error=on_error)
    return batches_of(
        kept.data,
        kept.emotion,
        kept.valence_arousal,
        draw_labels=labels == "drawn",
        batch_size=batch_size,
        shuffle=split == "train" if shuffle is None else shuffle,
        seed=seed,
        cache=cache,
        augment=augment,
        initial_epoch=initial_epoch,
        repeat=repeat,
    )


def _targets(votes: npt.NDArray[np.float32], labels: str) -> npt.NDArray[np.float32]:
    if labels == "votes":
        return votes
    if labels == "majority":
        label = majority(votes)
        one_hot = np.eye(len(rules.COLUMNS) - 2, dtype=np.float32)[label]
        return one_hot * (label >= 0)[:, None].astype(np.float32)
    rule = {"multi_label": multi_label, "outlier_free": outlier_free}.get(labels, distribution)
    return rule(votes)
