"""AffectNet: faces from the web with one of eleven expressions, valence and arousal.

Reads both forms in which it is handed out:

- The lists of 2017: ``training.csv`` and ``validation.csv`` (subDirectory_filePath, face_x, face_y,
  face_width, face_height, facial_landmarks, expression, valence, arousal; -2 for a rating that is
  not known) beside ``Manually_Annotated_Images``, and ``automatically_annotated.csv`` beside
  ``Automatically_Annotated_Images``.
- The folders of eight labels: ``train_set`` and ``val_set``, each with ``images/N.jpg`` and
  ``annotations/N_exp.npy``, ``N_val.npy``, ``N_aro.npy`` and ``N_lnd.npy``; already cut to faces.

The set is not free. Its authors give it for research, to those who ask for it from their
institution's address and sign its licence (students through their supervisor): see
http://mohammadmahoor.com/affectnet. It may not be passed on.

Mollahosseini, Hasani and Mahoor 2017, "AffectNet: A Database for Facial Expression, Valence, and
Arousal Computing in the Wild", IEEE Transactions on Affective Computing (arXiv:1708.03985).
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from keras_affect import emotions
from keras_affect.datasets.faults import Faults, OnError
from keras_affect.datasets.labelled_pictures import LabelledPictures
from keras_affect.datasets.picture_files import Box, landmark_box, widen
from keras_affect.datasets.picture_index import Check, IndexWriter
from keras_affect.datasets.tables import open_table

if TYPE_CHECKING:
    import tensorflow as tf

__all__ = ["CROPS", "SPLITS", "is_one_split", "load", "read"]

#: Split: (csv of 2017, the folder of its pictures, the folder of eight labels).
SPLITS = {
    "train": ("training.csv", "Manually_Annotated_Images", "train_set"),
    "valid": ("validation.csv", "Manually_Annotated_Images", "val_set"),
    "automatic": ("automatically_annotated.csv", "Automatically_Annotated_Images", ""),
}

#: What is cut out of a picture.
CROPS = ("box", "landmarks", "whole")

_HEADER = (
    "subDirectory_filePath",
    "face_x",
    "face_y",
    "face_width",
    "face_height",
    "facial_landmarks",
    "expression",
    "valence",
    "arousal",
)
_UNKNOWN = -2.0
_REASONS = {8: "none", 9: "uncertain", 10: "no face"}


def read(
    root: str | Path,
    split: str = "train",
    *,
    crop: Literal["box", "landmarks", "whole"] | None = None,
    margin: float = 0.0,
    keep_none: bool = True,
    size: int = 48,
    channels: int = 1,
    check: Check = "exists",
    on_error: OnError = "raise",
) -> LabelledPictures:
    """One split of AffectNet, every row checked.

    The eleven expression codes become eight emotions. Code 8 ("none" of them) has a valence and
    an arousal, but no emotion; codes 9 ("uncertain") and 10 ("no face") have no label at all and
    are left out, and counted in the result's `left_out`.

    Args:
        root: The folder that holds either form; the csv may also stand in
            ``Manually_Annotated_file_lists``, and the pictures in ``Manually_Annotated``.
        split: "train", "valid", or "automatic": labelled by a network, 2017's form alone.
        crop: "box" cuts a square around the detected face, "landmarks" one around its 68 points,
            "whole" takes all of the picture. None: "box" for the lists, and "whole" for the
            folders, whose pictures are cut already and which have no boxes.
        margin: Share of the face's longer side that is added on each side, 0 or more.
        keep_none: Whether to keep code 8, with its emotion missing.
        size: Height and width to bring faces to.
        channels: 1 for gray, 3 for RGB.
        check: "exists" looks whether each picture is there. "decode" also decodes each: for the
            whole set that takes hours, which `keras-affect prepare` spends anyway. "none" does
            neither.
        on_error: "raise" stops at the first row or picture at fault; "skip" leaves such out and
            warns once with their count.

    Returns:
        The index; pictures are decoded when their turn comes.

    Raises:
        FileNotFoundError: If `root` holds the split in neither form.
        ValueError: If an argument is out of its range; if a row or picture is at fault, named
            with file and row; if no row is left.
    """
    if split not in SPLITS:
        raise ValueError(
            f"Invalid value for argument `split`. Expected one of {', '.join(SPLITS)}. "
            f"Received: split={split!r}"
        )
    if crop is not None and crop not in CROPS:
        raise ValueError(
            f"Invalid value for argument `crop`. Expected one of {', '.join(CROPS)}. "
            f"Received: crop={crop!r}"
        )
    if isinstance(margin, bool) or not isinstance(margin, int | float) or not 0 <= margin < 10:
        raise ValueError(
            "Invalid value for argument `margin`. Expected a number in [0, 10). "
            f"Received: margin={margin!r}"
        )
    root = Path(root)
    csv_name, pictures, folder = SPLITS[split]
    table = _first(root, csv_name, ("", "Manually_Annotated_file_lists", "Manually_Annotated"))
    labels = _Labels(keep_none)
    settings: dict[str, Any] = {
        "size": size,
        "channels": channels,
        "check": check,
        "faults": Faults(on_error),
    }
    if table is not None:
        places = ("", pictures.removesuffix("_Images"), "Manually_Annotated_compressed")
        images = _first(root, pictures, places) or root
        return _read_list(table, images, crop or "box", margin, labels, settings).finish(split)
    annotated = [root / folder] if folder else []
    others = [other for *_, other in SPLITS.values() if other not in ("", folder)]
    if folder and root.resolve().name not in others:
        annotated.append(root)
    for place in annotated:
        if is_one_split(place):
            index = _read_folders(place, crop or "whole", margin, labels, settings)
            return index.finish(split)
    raise FileNotFoundError(
        f"{root}: no AffectNet {split} split here. Expected {csv_name} (2017)"
        + (f", or {folder}/images beside {folder}/annotations (eight labels)" if folder else "")
    )


def is_one_split(folder: Path) -> bool:
    """Whether a folder is itself a split of eight labels, and holds none."""
    return (folder / "images").is_dir() and (folder / "annotations").is_dir()


def load(
    root: str | Path,
    split: str = "train",
    *,
    batch_size: int = 128,
    shuffle: bool | None = None,
    seed: int = 0,
    cache: Any = None,
    augment: Any = None,
    initial_epoch: int = 0,
    repeat: bool = False,
    **reading: Any,
) -> tf.data.Dataset:
    """One split of AffectNet for `model.fit`.

    Args:
        root: As in `read`, and so are `split` and all of `reading`.
        split: "
        batch_size: As in `LabelledPictures.batches`, and so are the rest.
        shuffle: None: for all but valid.
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
    return read(root, split, **reading).batches(
        batch_size=batch_size,
        shuffle=split != "valid" if shuffle is None else shuffle,
        seed=seed,
        cache=cache,
        augment=augment,
        initial_epoch=initial_epoch,
        repeat=repeat,
    )


class _Labels:
    """From an expression's code and two ratings to what the index holds."""

    def __init__(self, keep_none: bool) -> None:
        self._keep_none = keep_none
        self._rows = np.eye(len(emotions.NAMES))

    def read(
        self, code: str, valence: str, arousal: str, *, where: str
    ) -> tuple[npt.NDArray[np.float64] | None, float, float] | str:
        """Shares, valence and arousal; or why the picture is left out.

        Raises:
            ValueError: If one of them is out of its range.
        """
        try:
            number = int(code)
            name = emotions.from_affectnet(number)
        except ValueError:
            raise ValueError(f"{where}: expected an expression, 0 to 10, found {code!r}") from None
        ratings = self._rating(valence, "valence", where), self._rating(arousal, "arousal", where)
        if name is None:
            if number != 8 or not self._keep_none or any(map(math.isnan, ratings)):
                return _REASONS[number]
            return None, *ratings
        return self._rows[emotions.NAMES.index(name)], *ratings

    def _rating(self, text: str, what: str, where: str) -> float:
        try:
            value = float(text)
            if value == _UNKNOWN:
                return math.nan
            if not -1 <= value <= 1:
                raise ValueError
        except ValueError:
            raise ValueError(
                f"{where}: expected {what} in [-1, 1], or -2 where it is not known, found {text!r}"
            ) from None
        return value


def _read_list(
    table: Path,
    images: Path,
    crop: str,
    margin: float,
    labels: _Labels,
    settings: dict[str, Any],
) -> IndexWriter:
    opened = open_table(table, {name: [name] for name in _HEADER}, _HEADER, headerless=_HEADER)
    places = [opened.columns[name] for name in _HEADER]
    index = IndexWriter(table, images, **settings)
    for row, fields in opened.rows:
        where = f"{table}, row {row}"
        try:
            if len(fields) <= max(places):
                raise ValueError(
                    f"{where}: expected {max(places) + 1} columns, found {len(fields)}"
                )
            chosen = [fields[place] for place in places]
            found = labels.read(chosen[6], chosen[7], chosen[8], where=where)
            if isinstance(found, str):
                index.leave_out(found)
                continue
            box = None if crop == "whole" else _face(chosen, crop, margin, where)
        except ValueError as error:
            index.fault(str(error))
            continue
        index.add(chosen[0], row, *found, box)
    return index


def _face(fields: Sequence[str], crop: str, margin: float, where: str) -> Box:
    if crop == "landmarks":
        return _around(_numbers(fields[5].split(";")), margin, where)
    left, top, width, height = _numbers(fields[1:5])
    if not (width > 0 and height > 0):
        raise ValueError(
            f"{where}: expected face_x, face_y, face_width, face_height, found "
            f"{', '.join(fields[1:5])}"
        )
    return widen((left, top, left + width, top + height), margin)


def _numbers(texts: Sequence[str]) -> list[float]:
    try:
        return [float(text) for text in texts]
    except ValueError:
        return [math.nan] * len(texts)


def _around(values: Sequence[float], margin: float, where: str) -> Box:
    points = np.array(values, np.float64)
    box = landmark_box(points.reshape(-1, 2), margin) if points.size == 136 else None
    if box is None:
        raise ValueError(f"{where}: expected 68 landmarks as 136 numbers, found {points.size}")
    return box


def _read_folders(
    folder: Path, crop: str, margin: float, labels: _Labels, settings: dict[str, Any]
) -> IndexWriter:
    if crop == "box":
        raise ValueError(
            "Invalid value for argument `crop`. Expected 'whole' or 'landmarks' for the folders of "
            "eight labels, which have no boxes. Received: crop='box'"
        )
    annotations = folder / "annotations"
    index = IndexWriter(annotations, folder / "images", **settings)
    with os.scandir(folder / "images") as entries:
        names = sorted((entry.name for entry in entries), key=_by_number)
    stems: set[str] = set()
    for name in names:
        stem = Path(name).stem
        try:
            if stem in stems:
                raise ValueError(f"{folder / 'images' / name}: another picture has this number too")
            stems.add(stem)
            code, *ratings = (
                _scalar(annotations / f"{stem}_{part}.npy") for part in ("exp", "val", "aro")
            )
            found = labels.read(code, *ratings, where=str(annotations / f"{stem}_exp.npy"))
            if isinstance(found, str):
                index.leave_out(found)
                continue
            box = None
            if crop == "landmarks":
                path = annotations / f"{stem}_lnd.npy"
                box = _around(_array(path).ravel().tolist(), margin, str(path))
        except ValueError as error:
            index.fault(str(error))
            continue
        index.add(name, 0, *found, box)
    return index


def _by_number(name: str) -> tuple[int, str]:
    stem = Path(name).stem
    return (int(stem) if stem.isdecimal() else -1, name)


def _array(path: Path) -> npt.NDArray[Any]:
    """An annotation as numbers; some copies hold them as text."""
    try:
        # Never pickles: a label file is no program.
        return np.asarray(np.load(path, allow_pickle=False)).astype(np.float64)
    except FileNotFoundError:
        raise ValueError(f"{path}: missing") from None
    except (OSError, ValueError, EOFError) as error:
        raise ValueError(f"{path}: not an array of numbers ({error})") from None


def _scalar(path: Path) -> str:
    values = _array(path)
    if values.size != 1:
        raise ValueError(f"{path}: expected one number, found {values.size}")
    return f"{values.item():.9g}"


def _first(root: Path, name: str, places: Sequence[str]) -> Path | None:
    return next((root / place / name for place in places if (root / place / name).exists()), None)
