"""The pictures from which full int8 learns the ranges of a model's activations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["MINIMUM", "check_images", "from_ferplus", "from_folder", "with_extremes"]

#: Fewer pictures than this say nothing of a model's ranges. Some hundred are usual.
MINIMUM = 8


def check_images(
    images: Any, argument: str, shape: tuple[int, int, int], minimum: int = 1
) -> npt.NDArray[np.float32]:
    """Raw pixels as float32, after it was seen that they are raw pixels of that shape.

    Args:
        images: `(images, height, width, channels)`, pixels in [0, 255], integers or floats.
        argument: The argument's name, for the message.
        shape: (height, width, channels) that the model takes.
        minimum: How many images there must be.

    Raises:
        ValueError: If the shape or the number of images differs, a pixel is not finite or
            outside [0, 255], or float pixels lie in [0, 1], which means that they were scaled:
            scaling lives inside the model.
    """
    wanted = f"raw pixels in [0, 255] of shape (images, {', '.join(map(str, shape))})"
    start = f"Invalid value for argument `{argument}`. Expected {wanted}. Received:"
    try:
        array = np.asarray(images)
        floats = array.astype(np.float32)
    except (TypeError, ValueError):
        raise ValueError(f"{start} {argument}={type(images).__name__}, not an array") from None
    if array.ndim != 4 or array.shape[1:] != shape:
        raise ValueError(f"{start} shape {array.shape}")
    if len(array) < minimum:
        raise ValueError(f"{start} {len(array)} images; at least {minimum} are needed")
    low, high = float(floats.min()), float(floats.max())
    if not (np.isfinite(low) and np.isfinite(high) and low >= 0 and high <= 255):
        raise ValueError(f"{start} pixels from {low:g} to {high:g}")
    if high <= 1 and array.dtype.kind == "f":
        raise ValueError(
            f"{start} float pixels from {low:g} to {high:g}, scaled to [0, 1] it seems; "
            "the model scales by itself, give it the pictures' own numbers"
        )
    return floats


def with_extremes(images: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The images with an all-0 and an all-255 one behind them.

    The input's scale comes from the pixels that calibration sees. With 0 and 255 among them it
    is exactly 1 with zero point 0, so that a picture's bytes are the input; pictures of 20 to
    200 would give 0.784, and every picture would be misread in silence.
    """
    shape = (1, *images.shape[1:])
    black, white = np.zeros(shape, np.float32), np.full(shape, 255, np.float32)
    return np.concatenate([images, black, white])


def from_ferplus(root: str | Path, count: int = 512, seed: int = 0) -> npt.NDArray[np.uint8]:
    """Images drawn from FER+ train without repeats, the same for the same seed.

    Returns:
        uint8 `(count, 48, 48, 1)`, or all of the split where it has fewer.

    Raises:
        OSError, ValueError: As `keras_affect.datasets.ferplus.read`.
    """
    from keras_affect.datasets import ferplus

    split = ferplus.read(root, "train")
    chosen = np.zeros(len(split), bool)
    order = np.random.default_rng(seed).permutation(len(split))
    chosen[order[:count]] = True
    return split.take(chosen).images


def from_folder(
    folder: str | Path, shape: tuple[int, int, int], count: int = 512, seed: int = 0
) -> npt.NDArray[np.uint8]:
    """The pictures of a folder and of those within, in the order of their paths, at a model's size.

    Each is cut to the model's proportions about its middle and resized. They should look like
    what the model will see: faces that fill the picture.

    Args:
        folder: Holds the pictures, or a folder of them for each class.
        shape: (height, width, channels), with 1 channel (gray) or 3 (RGB).
        count: How many are read at most.
        seed: Of more, these are drawn by it, without repeats.

    Returns:
        uint8 `(pictures, height, width, channels)`.

    Raises:
        NotADirectoryError: If there is no such folder.
        ValueError: If it holds no picture, one can't be decoded, or `shape` has neither 1 nor 3
            channels.
    """
    from PIL import Image, ImageOps

    from keras_affect.datasets.picture_files import pictures_in
    from keras_affect.runtime.crops import rounded
    from keras_affect.runtime.pictures import gray_or_rgb

    folder = Path(folder)
    height, width, channels = shape
    if channels not in (1, 3):
        raise ValueError(
            f"Invalid value for argument `shape`. Expected 1 or 3 channels. Received: shape={shape}"
        )
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder}: no such folder")
    files = pictures_in(folder, within=True)
    drawn = np.random.default_rng(seed).permutation(len(files))[:count]
    files = [files[place] for place in sorted(drawn)]
    pictures = np.empty((len(files), height, width, channels), np.uint8)
    for place, file in enumerate(files):
        try:
            with Image.open(file) as opened:
                upright = rounded(gray_or_rgb(opened, str(file)))
                picture = upright.convert("L" if channels == 1 else "RGB")
                fitted = ImageOps.fit(picture, (width, height), Image.Resampling.BILINEAR)
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise ValueError(f"{file}: not a readable picture ({error})") from error
        pictures[place] = np.asarray(fitted).reshape(height, width, channels)
    return pictures
