"""Pictures on disk with emotion, valence and arousal, any of them missing: an index, no pixels.

The index holds 64 bytes a picture, 16 more for a face's box, and those of its name; a picture is
decoded when its turn comes, and let go with its batch. So memory does not grow with the pictures,
of which AffectNet has 120 GB.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from keras_affect.datasets.picture_files import Box, decode, inside

if TYPE_CHECKING:
    import tensorflow as tf

__all__ = ["NO_BOX", "LabelledPictures"]

#: Stands in the index for a picture that is taken whole.
NO_BOX = (0, 0, 0, 0)


@dataclass(frozen=True)
class LabelledPictures:
    """One split, as an index of picture files.

    Attributes:
        table: The file or folder that the labels come from, for messages.
        root: The folder that holds the pictures; a real path.
        emotion: float32 `(pictures, 8)`, rows summing to 1, or 0 where the emotion is missing.
        valence_arousal: float32 `(pictures, 2)` in [-1, 1], NaN where missing.
        rows: int64 `(pictures,)`: the row of each in `table`, from 1; 0 where it has no rows.
        size: Height and width that pictures are brought to.
        channels: 1, gray, or 3, RGB.
        left_out: How many were left out, by reason; not faults, but rows that hold no label.
    """

    table: Path
    root: str
    emotion: npt.NDArray[np.float32]
    valence_arousal: npt.NDArray[np.float32]
    rows: npt.NDArray[np.int64]
    size: int
    channels: int
    left_out: dict[str, int]
    # All names in one string, and where each begins: a tenth of what as many objects take.
    _names: bytes = field(repr=False)
    _starts: npt.NDArray[np.int64] = field(repr=False)
    _places: npt.NDArray[np.int64] = field(repr=False)
    _boxes: npt.NDArray[np.int32] | None = field(repr=False)

    def __len__(self) -> int:
        return len(self.rows)

    def name(self, index: int) -> str:
        """The path of picture `index`, relative to `root`."""
        place = self._places[index]
        return os.fsdecode(self._names[self._starts[place] : self._starts[place + 1]])

    @property
    def names(self) -> Iterator[str]:
        """The paths of all, relative to `root`."""
        return (self.name(index) for index in range(len(self)))

    def where(self, index: int) -> str:
        """Table and row of picture `index`, as messages name them."""
        row = int(self.rows[index])
        return f"{self.table}, row {row}" if row else str(self.table)

    def picture(self, index: int) -> npt.NDArray[np.uint8]:
        """Picture `index`, uint8 `(size, size, channels)`, read from its file.

        Raises:
            ValueError: If it is missing, can't be decoded, or lies outside of `root`; names
                table, row and file.
        """
        where = self.where(index)
        path = inside(self.root, self.name(index), where)
        box: Box | None = None
        if self._boxes is not None:
            left, top, right, bottom = self._boxes[index].tolist()
            box = None if (left, top, right, bottom) == NO_BOX else (left, top, right, bottom)
        return decode(path, where, self.size, self.channels, box)

    @property
    def digests(self) -> tuple[bytes, ...]:
        """A hash of each picture's pixels, from decoding all of them."""
        return tuple(
            hashlib.blake2b(self.picture(i).tobytes(), digest_size=16).digest()
            for i in range(len(self))
        )

    def take(self, keep: npt.NDArray[np.bool_]) -> LabelledPictures:
        """Only the pictures where `keep`, `(pictures,)`, is True."""
        chosen = np.flatnonzero(keep)
        return replace(
            self,
            emotion=self.emotion[chosen],
            valence_arousal=self.valence_arousal[chosen],
            rows=self.rows[chosen],
            _places=self._places[chosen],
            _boxes=None if self._boxes is None else self._boxes[chosen],
        )

    def divide(self, share: float, seed: int = 0) -> tuple[LabelledPictures, LabelledPictures]:
        """Two parts: most of the pictures, and about `share` of them to test on.

        Where a picture goes depends on its name and the seed alone, so that it stays there when
        others are added. Pictures of one person belong in one part, or the test is too easy:
        that only you can see to.

        Args:
            share: In (0, 1).
            seed: Which division.

        Raises:
            ValueError: If `share` is out of its range, or a part comes out empty.
        """
        if not (isinstance(share, float) and 0 < share < 1):
            raise ValueError(
                "Invalid value for argument `share`. Expected a float in (0, 1). "
                f"Received: share={share!r}"
            )
        salt = str(seed).encode()
        points = np.array(
            [
                int.from_bytes(
                    hashlib.blake2b(os.fsencode(name), digest_size=8, salt=salt[:16]).digest()
                )
                / 2**64
                for name in self.names
            ]
        )
        test = points < share
        if test.all() or not test.any():
            raise ValueError(
                f"{self.table}: {len(self)} pictures cannot be divided with share={share}: one "
                "part is empty"
            )
        return self.take(~test), self.take(test)

    def batches(
        self,
        *,
        batch_size: int = 128,
        shuffle: bool = False,
        seed: int = 0,
        cache: Literal["memory"] | None = None,
        augment: Callable[[Any, Any], Any] | None = None,
        initial_epoch: int = 0,
        repeat: bool = False,
    ) -> tf.data.Dataset:
        """The pictures for `model.fit`.

        Args:
            batch_size: Pictures in a batch; the last of an epoch may be smaller.
            shuffle: Whether to give each epoch its own order.
            seed: Order and augmentation are functions of (seed, epoch, index).
            cache: None decodes pictures anew each epoch and holds a few batches. "memory" holds
                all. For what fits in neither way: `datasets.records`.
            augment: As in `datasets.ferplus.load`, and so are the rest.
            initial_epoch: "
            repeat: "

        Returns:
            A `tf.data.Dataset` of `(images, {"emotion": ..., "valence_arousal": ...})`: float32
            `(batch, size, size, channels)` in [0, 255]; float32 `(batch, 8)`, all 0 where the
            emotion is missing; float32 `(batch, 2)` in [-1, 1], NaN where missing. A loss must
            not see that NaN, not even with a weight of 0: ``examples/06_your_own_data.py`` shows
            what to do.

        Raises:
            ValueError: If an argument is out of its range.
        """
        if cache not in (None, "memory"):
            raise ValueError(
                "Invalid value for argument `cache`. Expected None or 'memory'; "
                "datasets.records.write puts pictures into files that are read at disk speed. "
                f"Received: cache={cache!r}"
            )
        # TensorFlow loads here and not above, so that tables can be read without it.
        from keras_affect.datasets.batches import batches_of, check_batch_size

        check_batch_size(batch_size)
        return batches_of(
            self,
            self.emotion,
            self.valence_arousal,
            draw_labels=False,
            batch_size=batch_size,
            shuffle=shuffle,
            seed=seed,
            cache=cache,
            augment=augment,
            initial_epoch=initial_epoch,
            repeat=repeat,
        )
