"""Clips with labels a frame: what their readers give, and batches of stretches of them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from keras_affect.datasets.picture_files import Box, decode

if TYPE_CHECKING:
    import tensorflow as tf

__all__ = ["PADDING", "Box", "Clip", "load", "stretches"]

#: What frames behind a clip's end are filled with: no pixel is below 0.
PADDING = -1.0


@dataclass(frozen=True)
class Clip:
    """A face over time, as an index of picture files.

    Attributes:
        name: What the data set calls it.
        source: The file that its labels come from, for messages.
        frames: The picture file of each frame, in their order.
        valence_arousal: float32 `(frames, 2)` in [-1, 1], NaN where missing.
        emotion: float32 `(frames, 8)`, rows summing to 1, or 0 where it is missing.
        boxes: The face in each frame's picture, or None for all of the picture.
    """

    name: str
    source: str
    frames: tuple[str, ...]
    valence_arousal: npt.NDArray[np.float32]
    emotion: npt.NDArray[np.float32]
    boxes: tuple[Box | None, ...]

    def __len__(self) -> int:
        return len(self.frames)

    def picture(self, index: int, size: int, channels: int) -> npt.NDArray[np.uint8]:
        """A frame's face, uint8 `(size, size, channels)`.

        It is cut as `runtime` cuts faces on a device: a square of the box's longer side around
        its centre, whose border is repeated where it reaches over the picture's.

        Args:
            index: Which frame.
            size: Height and width to give, in pixels.
            channels: 1, gray, or 3, RGB.

        Raises:
            ValueError: If the file is missing or can't be decoded, or the box lies outside of
                the picture; names the labels' file and the picture's.
        """
        with warnings.catch_warnings():
            # Pillow's remarks on broken EXIF, which don't keep a picture from being read.
            warnings.filterwarnings("ignore", module="PIL")
            return decode(self.frames[index], self.source, size, channels, self.boxes[index])


def stretches(clips: Sequence[Clip], time: int, stride: int) -> list[tuple[int, int]]:
    """Where stretches of `time` frames begin, as (clip, first frame).

    They begin every `stride` frames, until one reaches the clip's end: every frame up to there is
    in one, if `stride` is not above `time`, and only a clip's last stretch may be shorter.
    """
    return [
        (place, start)
        for place, clip in enumerate(clips)
        for start in range(0, max(1, len(clip) - time + stride), stride)
        if start < len(clip)
    ]


def load(
    clips: Sequence[Clip],
    time: int = 64,
    *,
    stride: int | None = None,
    size: int = 48,
    channels: int = 1,
    batch_size: int = 8,
    shuffle: bool = False,
    seed: int = 0,
    initial_epoch: int = 0,
    repeat: bool = False,
) -> tf.data.Dataset:
    """Batches of stretches of clips, for `TemporalAffect.fit`.

    Args:
        clips: What a reader gave, as `datasets.afew_va.read`.
        time: Frames of a stretch.
        stride: Frames from one stretch's beginning to the next one's; None for `time`.
        size: Height and width that faces are brought to, in pixels.
        channels: 1, gray, or 3, RGB.
        batch_size: Stretches in a batch; the last of an epoch may be smaller.
        shuffle: Whether to give each epoch its own order.
        seed: The order is a function of (seed, epoch).
        initial_epoch: As in `datasets.ferplus.load`.
        repeat: Likewise.

    Returns:
        A `tf.data.Dataset` of `(frames, {"emotion": ..., "valence_arousal": ...})`: float32
        `(batch, time, size, size, channels)` in [0, 255], and -1 behind a clip's end; float32
        `(batch, 8)`, the mean over those of the stretch's frames that have an emotion, all 0 where
        none has; float32 `(batch, time, 2)` in [-1, 1], NaN where missing and behind the end.
        The losses of `keras_affect.losses` leave out what is missing.

    Raises:
        ValueError: If there are no frames, or an argument is out of its range.
    """
    stride = time if stride is None else stride
    for name, value in (
        ("time", time), ("stride", stride), ("size", size), ("batch_size", batch_size),
    ):  # fmt: skip
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise _invalid(name, "an integer of 1 or more", value)
    if channels not in (1, 3):
        raise _invalid("channels", "1 (gray) or 3 (RGB)", channels)
    places = stretches(clips, time, stride)
    if not places:
        raise _invalid("clips", "clips with frames", clips)

    import tensorflow as tf

    from keras_affect.datasets.epochs import epochs

    def read(indices: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.float32], ...]:
        rows = [_stretch(clips, places[int(i)], time, size, channels) for i in indices]
        frames, emotion, points = (np.stack(of) for of in zip(*rows, strict=True))
        return frames, emotion, points

    def fetch(indices: tf.Tensor, keys: tf.Tensor) -> tuple[Any, Any]:
        frames, emotion, points = tf.numpy_function(read, [indices], [tf.float32] * 3)
        return tf.ensure_shape(frames, (None, time, size, size, channels)), {
            "emotion": tf.ensure_shape(emotion, (None, clips[0].emotion.shape[1])),
            "valence_arousal": tf.ensure_shape(points, (None, time, 2)),
        }

    return epochs(
        len(places),
        fetch,
        batch_size=batch_size,
        shuffle=shuffle,
        seed=seed,
        initial_epoch=initial_epoch,
        repeat=repeat,
    )


def _stretch(
    clips: Sequence[Clip], place: tuple[int, int], time: int, size: int, channels: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    clip, start = clips[place[0]], place[1]
    count = min(time, len(clip) - start)
    frames = np.full((time, size, size, channels), PADDING, np.float32)
    points = np.full((time, 2), np.nan, np.float32)
    points[:count] = clip.valence_arousal[start : start + count]
    for offset in range(count):
        frames[offset] = clip.picture(start + offset, size, channels)
    emotions = clip.emotion[start : start + count]
    labelled = emotions.sum(axis=1) > 0
    emotion = emotions.sum(axis=0) / max(1, int(labelled.sum()))
    return frames, emotion.astype(np.float32), points


def _invalid(name: str, expected: str, value: object) -> ValueError:
    return ValueError(
        f"Invalid value for argument `{name}`. Expected {expected}. Received: {name}={value!r}"
    )
