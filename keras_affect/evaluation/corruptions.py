"""What a phone's camera and a face detector do to a picture, applied to a whole split.

The set is fixed, so that figures of different models can be compared. Pictures stay 48x48 gray,
and are rounded to whole gray levels after each, as a camera would hand them over.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

__all__ = ["CORRUPTIONS", "corrupt"]

Pixels = npt.NDArray[np.uint8]

_NOISE_SEED = 0


def corrupt(images: Pixels, name: str) -> Pixels:
    """Pictures under one of `CORRUPTIONS`.

    Args:
        images: uint8 `(images, height, width, 1)`.
        name: A name of `CORRUPTIONS`.

    Returns:
        uint8 pictures of the same shape. The same pictures in the same order give the same.

    Raises:
        ValueError: If there is no such name, or `images` is none of that form.
    """
    if name not in CORRUPTIONS:
        raise ValueError(
            f"Invalid value for argument `name`. Expected one of {', '.join(CORRUPTIONS)}. "
            f"Received: name={name!r}"
        )
    if images.ndim != 4 or images.shape[3] != 1 or images.dtype != np.uint8:
        raise ValueError(
            "Invalid value for argument `images`. Expected uint8 of shape (images, height, width, "
            f"1). Received: {images.dtype} of shape {images.shape}"
        )
    return CORRUPTIONS[name](images)


def _moved(
    zoom: float = 1.0, degrees: float = 0.0, shift: tuple[float, float] = (0.0, 0.0)
) -> Callable[[Pixels], Pixels]:
    """Rotated and zoomed about the centre, then shifted by (right, down) pixels of 48.

    Bilinear; what comes in from outside is the picture's reflection, its border repeated.
    """
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))

    def apply(images: Pixels) -> Pixels:
        height, width = images.shape[1:3]
        right, down = shift[0] * width / 48, shift[1] * height / 48
        y, x = np.mgrid[0:height, 0:width].astype(np.float64)
        y -= (height - 1) / 2 + down
        x -= (width - 1) / 2 + right
        # Where each pixel comes from: the inverse of what is done.
        from_y = (cosine * y - sine * x) / zoom + (height - 1) / 2
        from_x = (sine * y + cosine * x) / zoom + (width - 1) / 2
        top, left = np.floor(from_y).astype(int), np.floor(from_x).astype(int)
        part_y, part_x = (from_y - top)[..., None], (from_x - left)[..., None]
        rows = [_reflected(top + step, height) for step in (0, 1)]
        columns = [_reflected(left + step, width) for step in (0, 1)]
        upper, lower = (
            images[:, row, columns[0]] * (1 - part_x) + images[:, row, columns[1]] * part_x
            for row in rows
        )
        return _rounded(upper * (1 - part_y) + lower * part_y)

    return apply


def _reflected(index: npt.NDArray[np.int64], size: int) -> npt.NDArray[np.int64]:
    """Places inside, for any place: d c b a | a b c d | d c b a."""
    place = index % (2 * size)
    return np.minimum(place, 2 * size - 1 - place)


def _brightened(factor: float) -> Callable[[Pixels], Pixels]:
    return lambda images: _rounded(images * factor)


def _noisy(deviation: float) -> Callable[[Pixels], Pixels]:
    def apply(images: Pixels) -> Pixels:
        rng = np.random.default_rng(_NOISE_SEED)
        return _rounded(images + deviation * rng.standard_normal(images.shape, np.float32))

    return apply


def _each(change: Callable[[Image.Image], Image.Image]) -> Callable[[Pixels], Pixels]:
    def apply(images: Pixels) -> Pixels:
        changed = [np.asarray(change(Image.fromarray(image[..., 0]))) for image in images]
        return np.stack(changed)[..., None] if changed else images

    return apply


def _compressed(quality: int) -> Callable[[Image.Image], Image.Image]:
    def change(image: Image.Image) -> Image.Image:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=quality)
        return Image.open(file)

    return change


def _rounded(values: npt.NDArray[np.floating]) -> Pixels:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


#: By name, what is done to uint8 pictures `(images, height, width, 1)`.
CORRUPTIONS: dict[str, Callable[[Pixels], Pixels]] = {
    "crop looser, zoom 0.8": _moved(zoom=0.8),
    "crop tighter, zoom 1.2": _moved(zoom=1.2),
    "shift (5, -4)": _moved(shift=(5, -4)),
    "tilt 15 degrees": _moved(degrees=15),
    "brightness x0.4": _brightened(0.4),
    "brightness x1.8": _brightened(1.8),
    "blur, radius 1.2": _each(lambda image: image.filter(ImageFilter.GaussianBlur(1.2))),
    "noise, deviation 18": _noisy(18),
    "JPEG, quality 15": _each(_compressed(15)),
}
