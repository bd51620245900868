"""From a picture to what a model reads: a square around a face, and a picture fitted to a size."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

__all__ = ["fit", "square"]


def square(image: Image.Image, centre: tuple[float, float], side: float) -> Image.Image:
    """A square cut from an image; where it reaches over the border, the border is repeated.

    Repeated, not black: the face pictures that models learn from have no hard bars beside them.

    Args:
        image: Mode "L", "RGB" or "F".
        centre: (x, y) in pixels.
        side: The square's side in pixels; rounded, at least 1.
    """
    length = max(1, round(side))
    left = round(centre[0] - length / 2)
    top = round(centre[1] - length / 2)
    if left >= 0 and top >= 0 and left + length <= image.width and top + length <= image.height:
        return image.crop((left, top, left + length, top + length))
    columns = np.clip(np.arange(left, left + length), 0, image.width - 1)
    rows = np.clip(np.arange(top, top + length), 0, image.height - 1)
    # Only the part that the square covers becomes an array, not a whole large picture.
    inside = (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
    pixels = np.asarray(image.crop(inside))
    return Image.fromarray(pixels[rows - rows[0]][:, columns - columns[0]])


def fit(image: Image.Image, height: int, width: int, channels: int) -> npt.NDArray[Any]:
    """An image brought to a model's size with its aspect kept.

    An image of another aspect is made small enough to fit, in the middle, and its border is
    repeated in the room that is left. Cutting it instead could cut the face.

    Pillow's bilinear filter widens with the reduction, so that nothing aliases, and it never
    overshoots; Lanczos's halos beside edges are in no picture that models learn from. Gray is
    ITU-R 601's luma, Pillow's "L", as in the pictures that FER+ is read from.

    Args:
        image: Mode "L", "RGB" or "F".
        height: The height in pixels.
        width: The width in pixels.
        channels: 1, gray, or 3, RGB.

    Returns:
        `(height, width, channels)` in [0, 255]; uint8, but float32 for gray from mode "F".
    """
    scale = min(width / image.width, height / image.height)
    inner = (
        min(width, max(1, round(image.width * scale))),
        min(height, max(1, round(image.height * scale))),
    )
    if image.size != inner:
        image = image.resize(inner, Image.Resampling.BILINEAR, reducing_gap=4.0)
    if channels == 1 and image.mode == "RGB":
        image = image.convert("L")
    if channels == 3:
        image = rounded(image).convert("RGB")
    pixels = np.asarray(image).reshape(inner[1], inner[0], channels)
    left, top = (width - inner[0]) // 2, (height - inner[1]) // 2
    rest = ((top, height - inner[1] - top), (left, width - inner[0] - left), (0, 0))
    return np.pad(pixels, rest, mode="edge")


def rounded(image: Image.Image) -> Image.Image:
    """The image itself, or, of mode "F", rounded to mode "L"."""
    if image.mode != "F":
        return image
    return Image.fromarray(np.rint(np.asarray(image)).astype(np.uint8))
