"""Pictures from wherever they are: a path, bytes, a Pillow image or an array, brought upright."""

from __future__ import annotations

import contextlib
import io
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from keras_affect.runtime import arrays, jpeg

__all__ = [
    "PIXEL_LIMIT",
    "FileLike",
    "ImageLike",
    "Picture",
    "PictureError",
    "gray_or_rgb",
    "read_picture",
    "read_pictures",
]

#: The most pixels that a file is decoded to. An RGBA picture of this size takes 256 MiB. The
#: largest JPEG that can be, 65,535 x 65,535, has exactly so many at an eighth of its sides.
PIXEL_LIMIT = 8192 * 8192

FileLike: TypeAlias = str | os.PathLike[str] | bytes | bytearray | memoryview
ImageLike: TypeAlias = FileLike | Image.Image | npt.NDArray[Any]

# What transparent parts are laid on: what a browser or a printed page shows there.
_PAPER = (255, 255, 255)

# Pillow opens some fifty formats, some by running other programs (EPS) and some that no first
# bytes announce. A photograph comes in one of these, told by its first bytes, not by its name.
_SIGNATURES: tuple[tuple[str, int, bytes], ...] = (
    ("PNG", 0, b"\x89PNG\r\n\x1a\n"),
    ("GIF", 0, b"GIF8"),
    ("WEBP", 8, b"WEBP"),
    ("BMP", 0, b"BM"),
    ("TIFF", 0, b"II*\x00"),
    ("TIFF", 0, b"MM\x00*"),
    ("TIFF", 0, b"II+\x00"),
    ("AVIF", 4, b"ftypavif"),
    ("JPEG2000", 0, b"\x00\x00\x00\x0cjP  \r\n\x87\n"),
    ("JPEG2000", 0, b"\xff\x4f\xff\x51"),
    *(("PPM", 0, b"P%d" % kind) for kind in range(1, 7)),
)
_HEIC = (b"ftyphei", b"ftyphev", b"ftypmif", b"ftypmsf")

# EXIF's tag of that name, and what undoes each of its values (CIPA DC-008, 4.6.4).
_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_TURNED = (5, 6, 7, 8)


class PictureError(ValueError):
    """A picture that can't be read; the message names it."""


@dataclass(frozen=True)
class Picture:
    """A decoded picture.

    Attributes:
        image: The pixels, upright, in mode "L", "RGB" or, from a gray array of floats, "F".
        size: (width, height) of the upright picture in full. `image` is smaller where a JPEG is
            above `PIXEL_LIMIT`.
        name: What to call it in messages.
    """

    image: Image.Image
    size: tuple[int, int]
    name: str


def read_picture(source: ImageLike | Picture, name: str | None = None) -> Picture:
    """Read one picture.

    EXIF's orientation is undone, transparent parts are laid on white, 16-bit gray keeps its
    upper eight bits, CMYK becomes RGB, and of an animation the first frame is read.

    Args:
        source: A path; the bytes of a picture file (JPEG, PNG, GIF, WebP, BMP, TIFF, AVIF,
            JPEG 2000, PNM); a Pillow image of any mode; an array `(height, width)` or
            `(height, width, channels)` of pixels in [0, 255], gray, RGB or RGBA.
        name: What to call it in messages; by default its path or its kind.

    Returns:
        The picture. One that was read already comes back as it is.

    Raises:
        PictureError: If the file holds no picture, a broken one, or one of more than
            `PIXEL_LIMIT` pixels; of a JPEG that is decoded in strips, as most are, any size is
            read, at a half, a quarter or an eighth if it has to be.
        OSError: If the file is missing, is a folder or can't be opened; names it.
        ValueError: If an array has another shape, or values that are not pixels.
    """
    if isinstance(source, Picture):
        return source
    if isinstance(source, bytes | bytearray | memoryview):
        return _decode(io.BytesIO(source), name or "the bytes given")
    if isinstance(source, Image.Image):
        name = name or "the image given"
        with _named(name):
            return _upright(source, source.size, name)
    if isinstance(source, np.ndarray):
        if arrays.is_batch(source):
            raise ValueError(
                "Invalid value for argument `image`. Expected one picture, (height, width) or "
                f"(height, width, channels). Received: an array of shape {source.shape}"
            )
        arrays.check_pixels(source)
        return _from_pixels(source, name or "the array given")
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        if path.is_dir():
            raise IsADirectoryError(f"{path}: a folder; expected a picture")
        try:
            with path.open("rb") as file:
                return _decode(file, name or str(path))
        except FileNotFoundError:
            raise FileNotFoundError(f"{path}: no such file") from None
        except PermissionError:
            raise PermissionError(f"{path}: may not be read") from None
    raise ValueError(
        "Invalid value for argument `image`. Expected a path, bytes, a Pillow image or a NumPy "
        f"array. Received: {type(source).__name__}"
    )


def read_pictures(
    sources: ImageLike | Picture | Iterable[ImageLike | Picture],
) -> tuple[Iterator[Picture], bool]:
    """Read one picture or many, each when its turn comes.

    Args:
        sources: What `read_picture` takes, any iterable of that, or an array of many pictures,
            `(batch, height, width)` or `(batch, height, width, channels)`. `arrays.is_batch`
            says how the two shapes with three lengths are told apart.

    Returns:
        (pictures, whether one was given and not a collection).

    Raises:
        ValueError, OSError: As `read_picture`; for a collection while it is gone through.
    """
    if isinstance(sources, np.ndarray):
        if arrays.is_batch(sources):
            arrays.check_pixels(sources)  # all at once: one of them may well be almost black
            return (
                _from_pixels(pixels, f"picture {place} of the array")
                for place, pixels in enumerate(sources)
            ), False
        return iter([read_picture(sources)]), True
    is_one = isinstance(
        sources, str | os.PathLike | bytes | bytearray | memoryview | Image.Image | Picture
    )
    if is_one or not isinstance(sources, Iterable):
        return iter([read_picture(sources)]), True  # type: ignore[arg-type]
    return (_item(source, place) for place, source in enumerate(sources)), False


def _item(source: Any, place: int) -> Picture:
    is_path = isinstance(source, str | os.PathLike | Picture)
    try:
        return read_picture(source, None if is_path else f"picture {place} of the list")
    except PictureError:
        raise
    except ValueError as error:
        raise ValueError(f"Picture {place} of the list: {error}") from None


def _from_pixels(pixels: npt.NDArray[Any], name: str) -> Picture:
    image = arrays.to_image(pixels)
    return Picture(_on_paper(image) if image.mode == "RGBA" else image, image.size, name)


@contextlib.contextmanager
def _named(name: str) -> Iterator[None]:
    """Whatever Pillow raises in the block becomes a `PictureError` that says whose fault it is."""
    try:
        yield
    except PictureError:
        raise
    # On broken files Pillow raises nearly anything: OSError, SyntaxError, ValueError, EOFError,
    # struct.error, zlib.error, IndexError, TypeError, OverflowError, and its own.
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise PictureError(f"{name}: a broken picture ({reason})") from error


def _decode(file: IO[bytes], name: str) -> Picture:
    with _named(name):
        image, full = _open(file, name)
        if image.width * image.height > PIXEL_LIMIT:
            raise _too_large(name, f"{full[0]} x {full[1]} pixels")
        return _upright(image, full, name)


def _too_large(name: str, what: str) -> PictureError:
    return PictureError(
        f"{name}: {what}, more than the {PIXEL_LIMIT:,} that are read of anything but a "
        "sequential JPEG; make it smaller"
    )


def _open(file: IO[bytes], name: str) -> tuple[Image.Image, tuple[int, int]]:
    """The picture, not yet decoded, and its (width, height) in full."""
    start = file.read(16)
    file.seek(0)
    if not start:
        raise PictureError(f"{name}: empty, 0 bytes")
    if start.startswith(jpeg.SIGNATURE):
        return jpeg.open_within(file, PIXEL_LIMIT)
    kinds = [kind for kind, at, signature in _SIGNATURES if start[at:].startswith(signature)]
    if not kinds:
        if start[4:].startswith(_HEIC):
            raise PictureError(f"{name}: HEIC, which Pillow does not read; save it as JPEG")
        raise PictureError(f"{name}: not a picture, or of a kind that is not read here")
    kind = kinds[0]
    try:
        image = Image.open(file, formats=(kind,))
    except Image.DecompressionBombError as error:
        raise _too_large(name, " ".join(re.findall(r"\d+ pixels", str(error))[:1])) from None
    except KeyError:
        raise PictureError(f"{name}: {kind}, which this Pillow does not read") from None
    except UnidentifiedImageError:
        raise PictureError(f"{name}: a broken picture (no {kind} header)") from None
    return image, image.size


def _upright(image: Image.Image, full: tuple[int, int], name: str) -> Picture:
    image.load()
    if _orientation(image) in _TURNED:
        full = full[::-1]
    return Picture(gray_or_rgb(image, name), full, name)


def gray_or_rgb(image: Image.Image, name: str, upright: bool = True) -> Image.Image:
    """The pixels of an image that Pillow opened, as models see them.

    Of 16 bits the upper eight are kept, where Pillow's own `convert("L")` makes white of what is
    above 255; what is transparent lies on white.

    Args:
        image: Of any mode.
        name: For messages.
        upright: Whether to turn it as its EXIF says.

    Returns:
        Mode "L", "RGB" or, of one that holds floats or 32-bit integers, "F".

    Raises:
        PictureError: If floats or 32-bit integers lie outside [0, 255].
    """
    image.load()
    orientation = _orientation(image) if upright else 1
    pixels = _in_eight_bits(image, name)
    if orientation in _UPRIGHT:
        return pixels.transpose(_UPRIGHT[orientation])
    return pixels


def _orientation(image: Image.Image) -> int:
    # Only a decoded picture is asked: PNG may have its EXIF behind the pixels, and Pillow turns
    # TIFF itself while decoding and then drops the tag. A broken EXIF is no reason to refuse a
    # picture whose pixels are whole; what it says is unknown, so the picture stays as stored.
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:
        return 1


def _in_eight_bits(image: Image.Image, name: str) -> Image.Image:
    # Of PNG and PGM Pillow holds 16 bits in 32, a PGM's scaled to the whole range.
    is_held_in_32 = image.mode == "I" and image.format in ("PNG", "PPM")
    if image.mode.startswith("I;16") or is_held_in_32:
        # The upper eight bits, which is also what Pillow keeps of 16-bit colour.
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        pixels = np.asarray(image)
        try:
            arrays.check_pixels(pixels)
        except ValueError as error:
            raise PictureError(f"{name}: {error}") from None
        return arrays.to_image(pixels)
    if image.has_transparency_data:
        return _on_paper(image)
    if image.mode in ("L", "RGB"):
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def _on_paper(image: Image.Image) -> Image.Image:
    if image.mode == "La":
        image = image.convert("LA")
    if image.mode != "RGBA":
        image = image.convert("RGBA")
    paper = Image.new("RGB", image.size, _PAPER)
    paper.paste(image, mask=image.getchannel("A"))
    return paper
