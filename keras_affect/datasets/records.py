"""A data set in shards of TFRecords, written once and then read at disk speed.

A folder of shards ``NAME-00000-of-00008.tfrecord`` with ``index.json``. Each record is a
`tf.train.Example` of three features, so that anything that knows TFRecords can read them:

- ``image``: one byte string, the pixels, uint8 `(height, width, channels)`, row by row;
- ``emotion``: eight floats;
- ``valence_arousal``: two floats, NaN where missing.

All records of a data set have the same length, so a record's place follows from its number, and
any order can be read without an index of places.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from keras_affect import emotions

if TYPE_CHECKING:
    import tensorflow as tf

__all__ = ["INDEX", "Index", "Shard", "load", "read_index", "verify"]

INDEX = "index.json"
#: What the index says it is; a reader of another version refuses it.
FORMAT = "keras_affect records 1"

# A record stands between its length with a checksum and a checksum of its own.
_BEFORE, _AFTER = 12, 4


@dataclass(frozen=True)
class Shard:
    """One file of a data set.

    Attributes:
        file: Its name.
        records: How many it holds.
        sha256: Of the whole file.
    """

    file: str
    records: int
    sha256: str


@dataclass(frozen=True)
class Index:
    """What ``index.json`` says.

    Attributes:
        format: `FORMAT`.
        split: Which part of the data set.
        shape: `(height, width, channels)` of every picture.
        record_bytes: Length of each record, without what frames it.
        classes: The columns of ``emotion``.
        shards: The files in their order.
        skipped: How many pictures were left out as they could not be decoded.
        source: What they were made of, in words.
    """

    format: str
    split: str
    shape: tuple[int, int, int]
    record_bytes: int
    classes: tuple[str, ...]
    shards: tuple[Shard, ...]
    skipped: int
    source: str

    def __len__(self) -> int:
        return sum(shard.records for shard in self.shards)

    def as_json(self) -> str:
        """The text of ``index.json``."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n"


def read_index(folder: str | Path) -> Index:
    """The index of a folder of shards, compared with the files' sizes.

    Raises:
        FileNotFoundError: If there is no index, or a shard is missing.
        ValueError: If the index is damaged, or a shard has another size than it says.
    """
    path = Path(folder) / INDEX
    if not path.is_file():
        raise FileNotFoundError(f"{path}: missing; `keras-affect prepare` writes it, last of all")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if values["format"] != FORMAT:
            raise ValueError(f"its format is {values['format']!r}, expected {FORMAT!r}")
        values["shards"] = tuple(Shard(**shard) for shard in values["shards"])
        values["shape"] = tuple(map(int, values["shape"]))
        values["classes"] = tuple(values["classes"])
        index = Index(**{field.name: values[field.name] for field in fields(Index)})
        height, width, channels = index.shape
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: not an index of records ({error})") from None
    if index.classes != emotions.NAMES or min(height, width, channels, index.record_bytes) < 1:
        raise ValueError(f"{path}: not an index of records (its classes or shape)")
    if len(index) == 0:
        raise ValueError(f"{path}: the {index.split} split is empty")
    for shard in index.shards:
        file = path.parent / shard.file
        if Path(shard.file).name != shard.file:
            raise ValueError(f"{path}: names a shard in another folder, {shard.file!r}")
        if not file.is_file():
            raise FileNotFoundError(f"{file}: missing, though {INDEX} lists it")
        expected = shard.records * (_BEFORE + index.record_bytes + _AFTER)
        if file.stat().st_size != expected:
            raise ValueError(
                f"{file}: {file.stat().st_size:,} bytes, expected {expected:,}; it may be cut short"
            )
    return index


def verify(folder: str | Path) -> Index:
    """Read every byte of every shard and compare it with the index.

    Raises:
        FileNotFoundError, ValueError: As `read_index`; and if a shard holds other bytes.
    """
    index = read_index(folder)
    for shard in index.shards:
        path = Path(folder) / shard.file
        if sha256(path) != shard.sha256:
            raise ValueError(f"{path}: damaged; its SHA-256 is not what {INDEX} says")
    return index


def sha256(path: Path) -> str:
    """SHA-256 of a file, as hexadecimal text."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load(
    folder: str | Path,
    *,
    batch_size: int = 128,
    shuffle: bool = True,
    seed: int = 0,
    mixed_shards: int = 8,
    augment: Callable[[Any, Any], Any] | None = None,
    initial_epoch: int = 0,
    repeat: bool = False,
) -> tf.data.Dataset:
    """A folder of shards for `model.fit`.

    Each epoch goes through the shards in an order of its own, a few at a time, and through the
    records of these few in any order: a disk reads long stretches, and pictures that stand close
    together in the source don't come close together. With no more shards than `mixed_shards`
    that is an even shuffling of the whole set.

    Args:
        folder: Where `index.json` is.
        batch_size: Pictures in a batch; the last of an epoch may be smaller.
        shuffle: Whether to give each epoch its own order; else the order is that of writing.
        seed: Order and augmentation are functions of (seed, epoch, index).
        mixed_shards: How many shards are mixed with each other, 1 or more.
        augment: As in `datasets.ferplus.load`.
        initial_epoch: "
        repeat: "

    Returns:
        A `tf.data.Dataset` of `(images, {"emotion": ..., "valence_arousal": ...})`: float32
        `(batch, height, width, channels)` in [0, 255]; float32 `(batch, 8)`, all 0 where the
        emotion is missing; float32 `(batch, 2)` in [-1, 1], NaN where missing.

    Raises:
        FileNotFoundError, ValueError: As `read_index`; and if an argument is out of its range.
    """
    import tensorflow as tf

    from keras_affect.datasets.batches import augmented, check_batch_size
    from keras_affect.datasets.epochs import epochs

    check_batch_size(batch_size)
    if isinstance(mixed_shards, bool) or not isinstance(mixed_shards, int) or mixed_shards < 1:
        raise ValueError(
            "Invalid value for argument `mixed_shards`. Expected an integer of 1 or more. "
            f"Received: mixed_shards={mixed_shards!r}"
        )
    index = read_index(folder)
    take = _Reader(Path(folder), index).take
    features = {
        "image": tf.io.FixedLenFeature((), tf.string),
        "emotion": tf.io.FixedLenFeature((len(index.classes),), tf.float32),
        "valence_arousal": tf.io.FixedLenFeature((2,), tf.float32),
    }

    def fetch(indices: tf.Tensor, keys: tf.Tensor) -> tuple[Any, ...]:
        records = tf.ensure_shape(tf.numpy_function(take, [indices], tf.string), (None,))
        parsed = tf.io.parse_example(records, features)
        pixels = tf.io.decode_raw(parsed.pop("image"), tf.uint8)
        images = tf.cast(tf.reshape(pixels, (-1, *index.shape)), tf.float32)
        return augmented(augment, images, keys, parsed)

    return epochs(
        len(index),
        fetch,
        batch_size=batch_size,
        shuffle=shuffle,
        seed=seed,
        initial_epoch=initial_epoch,
        repeat=repeat,
        order=_order(index, seed, mixed_shards) if shuffle else None,
    )


def _order(index: Index, seed: int, mixed: int) -> Callable[[tf.Tensor], tf.Tensor] | None:
    """The order of an epoch's records: a function of (seed, epoch). None: an even shuffling."""
    shards = len(index.shards)
    if shards <= mixed:
        return None
    import tensorflow as tf

    from keras_affect.datasets.draws import example_keys

    shard_of = tf.constant(np.repeat(np.arange(shards), [shard.records for shard in index.shards]))

    def order(epoch: tf.Tensor) -> tf.Tensor:
        pair = tf.stack([tf.constant(seed, tf.int64), epoch])
        turn = tf.argsort(tf.random.experimental.stateless_shuffle(tf.range(shards), pair))
        group = tf.gather(turn // mixed, shard_of)
        # Sorting by the group and within it by a hash; another seed's keys than augmentation's.
        keys = example_keys(~seed, epoch, tf.range(len(index), dtype=tf.int64))
        within = tf.argsort(tf.bitcast(keys, tf.int64))
        return tf.cast(
            tf.gather(within, tf.argsort(tf.gather(group, within), stable=True)), tf.int64
        )

    return order


class _Reader:
    """Takes records by their number out of files that are mapped into memory.

    The operating system keeps what was read in its page cache and lets go of it when memory is
    short; the process itself holds one batch.
    """

    def __init__(self, folder: Path, index: Index) -> None:
        self._stride = _BEFORE + index.record_bytes + _AFTER
        self._ends = np.cumsum([shard.records for shard in index.shards])
        self._files: list[npt.NDArray[np.uint8]] = [
            np.memmap(folder / shard.file, np.uint8, "r").reshape(shard.records, self._stride)
            if shard.records
            else np.empty((0, self._stride), np.uint8)
            for shard in index.shards
        ]

    def take(self, indices: npt.NDArray[np.int64]) -> npt.NDArray[np.object_]:
        """Records as byte strings, object `(batch,)`."""
        shards = np.searchsorted(self._ends, indices, side="right")
        records = np.empty(len(indices), object)
        for place, (shard, number) in enumerate(zip(shards, indices, strict=True)):
            file = self._files[shard]
            row = number - (self._ends[shard] - len(file))
            records[place] = file[row, _BEFORE:-_AFTER].tobytes()
        return records
