"""Picture files named by a table: found inside their folder, cut to the face, brought to a size."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

__all__ = ["SUFFIXES", "Box", "decode", "inside", "landmark_box", "pictures_in"]

#: How the names of picture files end.
SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")

#: left, top, right, bottom in pixels.
Box = tuple[int, int, int, int]


def inside(root: str, name: str, where: str) -> str:
    r"""The path of a file that a table names, made sure to lie in a folder.

    Args:
        root: The folder's real path.
        name: As it stands in the table, relative to the folder; ``\`` counts as ``/``, for
            tables that were written on Windows.
        where: Table and row, for messages.

    Raises:
        ValueError: If the name is absolute, climbs out of the folder, or is or passes through a
            symbolic link that leads out of it.
    """
    relative = name.replace("\\", "/")
    parts = relative.split("/")
    if not relative or "\0" in relative:
        raise ValueError(f"{where}: expected the name of a picture, found {name!r}")
    if relative.startswith("/") or (len(parts[0]) == 2 and parts[0][1] == ":") or ".." in parts:
        raise ValueError(
            f"{where}: picture {name!r} is not inside the folder {root}; expected a path "
            "relative to it"
        )
    path = os.path.join(root, relative)  # noqa: PTH118  ten times as fast as pathlib, a row each
    real = os.path.realpath(path)
    if real != path and not real.startswith(root.rstrip("/") + os.sep):
        raise ValueError(
            f"{where}: picture {name!r} is a symbolic link that leads out of the folder {root}"
        )
    return path


def pictures_in(folder: Path, *, within: bool = False) -> list[Path]:
    """A folder's picture files, in the order of their paths.

    Hidden ones are passed over, and hidden folders: they hold what systems lay beside pictures, as
    thumbnails, a notebook's checkpoints and macOS's "._face.jpg".

    Args:
        folder: Where they lie.
        within: Whether those of the folders within it are pictures of it too.

    Raises:
        ValueError: If there is none; names the folder.
    """
    found = sorted(
        path
        for path in (folder.rglob("*") if within else folder.iterdir())
        if path.suffix.lower() in SUFFIXES
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
    if not found:
        raise ValueError(f"{folder}: holds no picture ({', '.join(SUFFIXES)})")
    return found


def decode(
    path: str, where: str, size: int, channels: int, box: Box | None
) -> npt.NDArray[np.uint8]:
    """One picture, uint8 `(size, size, channels)`.

    Pixels are read and faces cut as `runtime` does on a device: 16 bits by their upper eight,
    transparency on white; a square, whose border is repeated where it reaches over the picture's;
    and never squeezed.

    Args:
        path: The file.
        where: Table and row, for messages.
        size: Height and width to give, in pixels.
        channels: 1, gray, or 3, RGB.
        box: The face in the picture's stored pixels; a square of its longer side is cut around
            its centre. None takes the whole picture, turned upright by its EXIF.

    Raises:
        ValueError: If the file is missing or can't be decoded, or the box lies outside of it.
    """
    # Late: datasets come before runtime, which alone knows how pictures are cut.
    from keras_affect.runtime.crops import fit, rounded, square
    from keras_affect.runtime.pictures import gray_or_rgb

    try:
        with Image.open(path) as file:
            picture = rounded(gray_or_rgb(file, path, upright=box is None))
    except FileNotFoundError:
        raise ValueError(f"{where}: picture {path} is missing") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = "not a picture" if isinstance(error, UnidentifiedImageError) else str(error)
        raise ValueError(f"{where}: picture {path} can't be decoded ({reason})") from None
    if box is not None:
        left, top, right, bottom = box
        if right <= 0 or bottom <= 0 or left >= picture.width or top >= picture.height:
            raise ValueError(
                f"{where}: the face's box {box} lies outside of picture {path}, "
                f"{picture.width} x {picture.height}"
            )
        picture = square(
            picture, ((left + right) / 2, (top + bottom) / 2), max(right - left, bottom - top)
        )
    return np.asarray(fit(picture, size, size, channels), np.uint8)


def landmark_box(points: npt.NDArray[np.float64], margin: float) -> Box | None:
    """The box around landmarks `(points, 2)`, (x, y) in pixels, widened on each side.

    Args:
        points: Where eyes, nose, mouth and chin are.
        margin: Share of the box's longer side that is added on each side.

    Returns:
        The box, or None if the points span none.
    """
    if not np.isfinite(points).all() or len(points) < 2:
        return None
    low, high = points.min(axis=0), points.max(axis=0)
    widened = widen((*low, *high), margin)
    return widened if low[0] < high[0] and low[1] < high[1] else None


def widen(box: tuple[float, float, float, float], margin: float) -> Box:
    """A box with `margin` of its longer side added on each side."""
    left, top, right, bottom = box
    added = margin * max(right - left, bottom - top)
    return (
        int(np.floor(left - added)),
        int(np.floor(top - added)),
        int(np.ceil(right + added)),
        int(np.ceil(bottom + added)),
    )
