"""Arrays of pixels: what shapes and values are taken for pictures, and how they are checked."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

__all__ = ["check_pixels", "is_batch", "to_image"]

_CHANNELS = (1, 3, 4)
_SHAPES = (
    "(height, width), (height, width, channels), (batch, height, width) or "
    "(batch, height, width, channels) with 1, 3 or 4 channels"
)


def is_batch(array: npt.NDArray[Any]) -> bool:
    """Whether an array holds many pictures (True) or one (False).

    `(height, width)` is one picture. `(a, b, c)` is one picture if c is 1, 3 or 4, its channels,
    and `a` gray pictures otherwise: no picture is 1, 3 or 4 pixels wide. `(batch, height, width,
    channels)` is many, also when the batch is 1. Channels in front are not known: `(3, 48, 48)`
    is three gray pictures.

    Raises:
        ValueError: If it is none of these, or a length in it is 0.
    """
    shape = array.shape
    fits = {
        2: True,
        3: True,
        4: shape[-1:] and shape[-1] in _CHANNELS,
    }.get(array.ndim, False)
    if not fits or 0 in shape:
        raise ValueError(
            f"Invalid value for argument `images`. Expected an array of shape {_SHAPES}. "
            f"Received: an array of shape {shape}"
        )
    return array.ndim == 4 or (array.ndim == 3 and shape[-1] not in _CHANNELS)


def check_pixels(array: npt.NDArray[Any]) -> None:
    """See that an array holds numbers in [0, 255], and not pixels that were scaled to [0, 1].

    Scaled pixels would be read as a black picture, without a word. So an array of floats whose
    largest value is in (0, 1] is refused; a black one, all 0, is the same on either scale.

    Raises:
        ValueError: If a value is no number, not finite or outside [0, 255], or all look scaled.
    """
    if array.dtype.kind not in "uif":
        raise ValueError(
            "Invalid value for argument `images`. Expected pixels as integers or floats. "
            f"Received: an array of {array.dtype}"
        )
    low, high = array.min(), array.max()
    if not (low >= 0 and high <= 255):  # NaN fails both
        raise ValueError(
            "Invalid value for argument `images`. Expected pixels in [0, 255]. "
            f"Received: values from {low:g} to {high:g}"
        )
    if array.dtype.kind == "f" and 0 < high <= 1:
        raise ValueError(
            "Invalid value for argument `images`. Expected raw pixels in [0, 255]; these look "
            "scaled to [0, 1]: multiply them by 255. "
            f"Received: floats from {low:g} to {high:g}"
        )


def to_image(array: npt.NDArray[Any]) -> Image.Image:
    """One picture's checked pixels as a Pillow image.

    Args:
        array: `(height, width)` or `(height, width, channels)`, with 1, 3 or 4 channels, in
            [0, 255].

    Returns:
        Mode "L", "RGB" or "RGBA"; a gray array of floats becomes mode "F" and keeps its
        fractions. Floats in colour are rounded: Pillow has no mode for them.
    """
    if array.ndim == 3 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.dtype.kind == "f":
        if array.ndim == 2:
            return Image.fromarray(np.ascontiguousarray(array, np.float32))
        array = np.rint(array)
    return Image.fromarray(np.ascontiguousarray(array, np.uint8))
