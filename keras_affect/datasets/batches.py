"""From a split that was read to a `tf.data.Dataset` of batches: caching, drawing, augmenting."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from keras_affect.datasets import draws
from keras_affect.datasets.epochs import epochs

__all__ = ["augmented", "batches_of", "check_batch_size"]

# Augmentation draws from the streams 0, 1, ...: labels and shifts must not go together.
_LABEL_STREAM = 1_000


class Pictures(Protocol):
    """What `batches_of` needs of a split."""

    @property
    def digests(self) -> tuple[bytes, ...]:
        """A hash of each picture's pixels."""

    def __len__(self) -> int: ...

    def picture(self, index: int) -> npt.NDArray[np.uint8]:
        """Picture `index`, uint8 `(height, width, channels)`."""


def check_batch_size(batch_size: int) -> None:
    """Raise ValueError unless `batch_size` is an integer of 1 or more."""
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise ValueError(
            "Invalid value for argument `batch_size`. Expected an integer of 1 or more. "
            f"Received: batch_size={batch_size!r}"
        )


def batches_of(
    data: Pictures,
    emotion: npt.NDArray[np.float32],
    valence_arousal: npt.NDArray[np.float32] | None,
    *,
    draw_labels: bool,
    batch_size: int,
    shuffle: bool,
    seed: int,
    cache: str | Path | None,
    augment: Callable[..., Any] | None,
    initial_epoch: int,
    repeat: bool,
) -> tf.data.Dataset:
    """Batches of `(images, {"emotion": ..., "valence_arousal": ...})`, all float32.

    Args:
        data: The pictures.
        emotion: `(images, classes)`.
        valence_arousal: `(images, 2)`, or None to leave it out of the batches.
        draw_labels: Whether to draw one class an image from its row of `emotion`, each epoch.
        batch_size: As in `datasets.ferplus.load`, and so are the rest.
        shuffle: "
        seed: "
        cache: "
        augment: "
        initial_epoch: "
        repeat: "
    """
    if len(data) == 0:
        raise ValueError("No image is left: every one was dropped by the label rule or skipped.")
    pictures = _reader(data, cache)
    labels = tf.constant(emotion)
    points = None if valence_arousal is None else tf.constant(valence_arousal)

    def fetch(indices: tf.Tensor, keys: tf.Tensor) -> tuple[Any, ...]:
        images = tf.cast(pictures(indices), tf.float32)
        chosen = tf.gather(labels, indices)
        if draw_labels:
            chosen = _draw(chosen, keys)
        targets = {"emotion": chosen}
        if points is not None:
            targets["valence_arousal"] = tf.gather(points, indices)
        return augmented(augment, images, keys, targets)

    return epochs(
        len(data),
        fetch,
        batch_size=batch_size,
        shuffle=shuffle,
        seed=seed,
        initial_epoch=initial_epoch,
        repeat=repeat,
    )


def augmented(
    augment: Callable[..., Any] | None, images: tf.Tensor, keys: tf.Tensor, targets: Any
) -> tuple[Any, ...]:
    """A batch once it is augmented, by a pipeline that mixes labels or leaves them alone."""
    if augment is None:
        return images, targets
    if getattr(augment, "mixes_labels", False):
        mixed: tuple[Any, ...] = augment(images, keys, targets)
        return mixed
    return augment(images, keys), targets


def _draw(shares: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
    """One-hot rows drawn from rows of shares that sum to 1."""
    point = draws.uniform(keys, 1, stream=_LABEL_STREAM)
    drawn = tf.reduce_sum(tf.cast(tf.cumsum(shares, axis=1) <= point, tf.int32), axis=1)
    # Rounding may leave the last sum just below a point drawn close to 1.
    last = tf.reduce_max(tf.where(shares > 0, tf.range(tf.shape(shares)[1])[None], 0), axis=1)
    return tf.one_hot(tf.minimum(drawn, last), tf.shape(shares)[1])


def _reader(data: Pictures, cache: str | Path | None) -> Callable[[tf.Tensor], tf.Tensor]:
    shape = data.picture(0).shape
    if cache == "memory":
        held = tf.constant(np.stack([data.picture(i) for i in range(len(data))]))
        return lambda indices: tf.gather(held, indices)
    if cache is None:

        def decode(indices: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
            return np.stack([data.picture(int(i)) for i in indices])

    else:
        mapped = _mapped(data, Path(cache), shape)

        def decode(indices: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
            return mapped[indices]

    def read(indices: tf.Tensor) -> tf.Tensor:
        images = tf.numpy_function(decode, [indices], tf.uint8)
        return tf.ensure_shape(images, (None, *shape))

    return read


def _mapped(data: Pictures, path: Path, shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """The pictures in a ``.npy`` file, mapped into memory; written first if it isn't there."""
    path = path if path.suffix == ".npy" else path.with_name(path.name + ".npy")
    wanted = (len(data), *shape)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            written = np.lib.format.open_memmap(beside, "w+", np.uint8, wanted)
            for i in range(len(data)):
                written[i] = data.picture(i)
            written.flush()
            del written
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
    try:
        mapped = np.load(path, mmap_mode="r")
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: not a cache of pictures ({error}); delete it") from None
    if mapped.shape != wanted or mapped.dtype != np.uint8 or not _same(data, mapped):
        raise ValueError(
            f"{path}: holds other pictures than asked for (another split, label rule or data "
            "set); delete it or name another cache"
        )
    return mapped


def _same(data: Pictures, mapped: npt.NDArray[np.uint8]) -> bool:
    return all(
        hashlib.blake2b(picture.tobytes(), digest_size=16).digest() == digest
        for picture, digest in zip(mapped, data.digests, strict=True)
    )
