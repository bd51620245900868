"""Writing a data set as shards of TFRecords, so that it can be stopped and gone on with."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from keras_affect import emotions
from keras_affect._files import written_whole
from keras_affect.datasets.decoding import in_order
from keras_affect.datasets.faults import Faults, OnError
from keras_affect.datasets.records import FORMAT, INDEX, Index, Shard, read_index

__all__ = ["write"]

#: What a run that was stopped left to go on from.
PROGRESS = "progress.json"

# Pictures whose pixels tell one data set from another: decoded once more, so only a few.
_COMPARED = 16


class Labelled(Protocol):
    """What `write` needs of a data set: `LabelledPictures` and `ferplus.Labelled` have it."""

    @property
    def emotion(self) -> npt.NDArray[np.float32]:
        """`(pictures, 8)`."""

    @property
    def valence_arousal(self) -> npt.NDArray[np.float32]:
        """`(pictures, 2)`."""

    def __len__(self) -> int: ...

    def picture(self, index: int) -> npt.NDArray[np.uint8]:
        """Picture `index`, uint8 `(height, width, channels)`; ValueError if it's at fault."""


def write(
    data: Labelled,
    folder: str | Path,
    *,
    split: str,
    source: str,
    shards: int | None = None,
    on_error: OnError = "raise",
    progress: Callable[[int, int], None] | None = None,
) -> Index:
    """Write pictures and labels as shards, each whole or not at all.

    A run that was stopped goes on after the last shard that is whole, if it is asked for the same
    data in as many shards; with other data, it refuses. The same data give the same bytes.

    Args:
        data: What to write.
        folder: Where to; made if it isn't there.
        split: Its name: the shards are called ``SPLIT-00000-of-00008.tfrecord``.
        source: What it is made of, in words, for the index.
        shards: How many files. None: as many as make them about 64 MB each.
        on_error: "raise" stops at the first picture at fault; "skip" leaves such out and warns
            once with their count.
        progress: Called as ``progress(done, of)`` after each picture.

    Returns:
        The index that was written, last of all.

    Raises:
        FileExistsError: If the folder holds a finished data set.
        ValueError: If the folder holds part of another; if a picture is at fault, named with
            table, row and file; if none is left; if an argument is out of its range.
    """
    import tensorflow as tf

    folder = Path(folder)
    count = len(data)
    if not split or Path(split).name != split:
        raise ValueError(
            f"Invalid value for argument `split`. Expected a name. Received: split={split!r}"
        )
    if (folder / INDEX).exists():
        raise FileExistsError(f"{folder / INDEX}: exists already; name another folder")
    faults = Faults(on_error)
    shape = _shape(data)
    record_bytes = len(_record(tf, np.zeros(shape, np.uint8), np.zeros(8), np.zeros(2)))
    if shards is None:
        shards = max(1, round(count * record_bytes / 2**26))
    if isinstance(shards, bool) or not isinstance(shards, int) or not 1 <= shards <= count:
        raise ValueError(
            f"Invalid value for argument `shards`. Expected an integer from 1 to {count}. "
            f"Received: shards={shards!r}"
        )
    folder.mkdir(parents=True, exist_ok=True)
    plan = {
        "format": FORMAT,
        "split": split,
        "shape": list(shape),
        "shards": shards,
        "data": _fingerprint(data, shape),
    }
    done = _done(folder, plan)
    skipped = sum(shard["skipped"] for shard in done)
    for number in range(len(done), shards):
        name = f"{split}-{number:05d}-of-{shards:05d}.tfrecord"
        written = left_out = 0
        with written_whole(folder / name, overwrite=True) as beside:
            with tf.io.TFRecordWriter(str(beside)) as file:
                part = range(count * number // shards, count * (number + 1) // shards)
                for index, pixels in in_order(data, part):
                    if isinstance(pixels, ValueError):
                        faults.add(str(pixels))
                        left_out += 1
                    else:
                        labels = data.emotion[index], data.valence_arousal[index]
                        file.write(_record(tf, pixels, *labels))
                        written += 1
                    if progress is not None:
                        progress(index + 1, count)
            with beside.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        skipped += left_out
        done.append({**asdict(Shard(name, written, digest)), "skipped": left_out})
        with written_whole(folder / PROGRESS, overwrite=True) as beside:
            beside.write_text(json.dumps({"plan": plan, "done": done}), encoding="utf-8")
    faults.report(folder, count, stacklevel=3)
    index_ = Index(
        FORMAT,
        split,
        shape,
        record_bytes,
        emotions.NAMES,
        tuple(Shard(each["file"], each["records"], each["sha256"]) for each in done),
        skipped,
        source,
    )
    if len(index_) == 0:
        raise ValueError(f"{folder}: the {split} split is empty: no picture could be decoded")
    with written_whole(folder / INDEX) as beside:
        beside.write_text(index_.as_json(), encoding="utf-8")
    (folder / PROGRESS).unlink(missing_ok=True)
    return read_index(folder)


def _shape(data: Labelled) -> tuple[int, int, int]:
    """The shape of all pictures: that of the first that can be decoded."""
    problem = "there is none"
    for index in range(len(data)):
        try:
            height, width, channels = data.picture(index).shape
        except ValueError as error:
            problem = str(error)
        else:
            return height, width, channels
    raise ValueError(f"no picture can be decoded; the last: {problem}")


def _record(
    tf: Any,
    pixels: npt.NDArray[np.uint8],
    emotion: npt.NDArray[np.floating],
    valence_arousal: npt.NDArray[np.floating],
) -> bytes:
    def floats(values: npt.NDArray[np.floating]) -> Any:
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))

    example = tf.train.Example(
        features=tf.train.Features(
            feature={
                "image": tf.train.Feature(
                    bytes_list=tf.train.BytesList(value=[np.ascontiguousarray(pixels).tobytes()])
                ),
                "emotion": floats(emotion),
                "valence_arousal": floats(valence_arousal),
            }
        )
    )
    # Without this the order of the features, and so the bytes, may differ between runs.
    return bytes(example.SerializeToString(deterministic=True))


def _fingerprint(data: Labelled, shape: tuple[int, int, int]) -> str:
    """What tells one data set from another without decoding all of it.

    Labels and names, and the pixels of some pictures: the same names may lie in another folder,
    or be cut otherwise.
    """
    digest = hashlib.sha256(repr((len(data), shape)).encode())
    digest.update(np.ascontiguousarray(data.emotion).tobytes())
    digest.update(np.ascontiguousarray(data.valence_arousal).tobytes())
    for name in getattr(data, "names", ()):
        digest.update(name.encode("utf-8", "surrogateescape") + b"\0")
    for index in np.unique(np.linspace(0, len(data) - 1, _COMPARED).astype(int)).tolist():
        try:
            digest.update(np.ascontiguousarray(data.picture(index)).tobytes())
        except ValueError:
            digest.update(b"at fault")
    return digest.hexdigest()


def _done(folder: Path, plan: dict[str, Any]) -> list[dict[str, Any]]:
    """The shards that an earlier run finished."""
    path = folder / PROGRESS
    if not path.is_file():
        return []
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
        same = before["plan"] == plan
        done = [dict(shard) for shard in before["done"]]
        names = [shard["file"] for shard in done]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: not the progress of a writer of records ({error})") from None
    if not same:
        raise ValueError(
            f"{folder}: holds part of another data set, or of this one in other shards; name "
            "another folder, or delete it"
        )
    for place, name in enumerate(names):
        if not (folder / name).is_file():
            return done[:place]
    return done
