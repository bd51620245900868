"""A sheet of faces, each with what a model took it for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from keras_affect import emotions

__all__ = ["FACES_EACH", "choose", "draw_sheet"]

#: Faces of each emotion on a sheet.
FACES_EACH = 2

_COLUMNS, _TILE, _GAP, _TEXT, _LINE = 4, 192, 24, 26, 31
_INK, _WRONG = "#1d1d1f", "#b03a00"


def choose(emotion: npt.NDArray[np.integer]) -> list[int]:
    """The first `FACES_EACH` faces of each emotion, by index: not chosen by how they were read.

    Args:
        emotion: Each face's place in `emotions.NAMES`, `(count,)`.
    """
    return [
        int(index)
        for place in range(len(emotions.NAMES))
        for index in np.flatnonzero(emotion == place)[:FACES_EACH]
    ]


def draw_sheet(
    images: npt.NDArray[np.uint8],
    emotion: npt.NDArray[np.integer],
    probabilities: npt.NDArray[np.floating],
    path: str | Path,
) -> None:
    """Write a PNG of all these faces, four times as large, with the prediction under each.

    Args:
        images: uint8 `(count, height, width, 1)` in [0, 255].
        emotion: What they are: places in `emotions.NAMES`, `(count,)`.
        probabilities: What a model said, `(count, 8)`.
        path: Where to write.
    """
    rows = -(-len(images) // _COLUMNS)
    wide, high = _TILE + _GAP, _TILE + 3 * _LINE
    sheet = Image.new("RGB", (_COLUMNS * wide + _GAP, rows * high + _GAP), "white")
    pen = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=_TEXT)
    for number, (image, wanted, shares) in enumerate(
        zip(images, emotion, probabilities, strict=True)
    ):
        left, top = _GAP + number % _COLUMNS * wide, _GAP + number // _COLUMNS * high
        face = Image.fromarray(image[..., 0]).resize((_TILE, _TILE), Image.Resampling.BICUBIC)
        sheet.paste(face, (left, top))
        found = int(shares.argmax())
        # The second line says it in words; the color only repeats it.
        color = _INK if found == wanted else _WRONG
        said = f"{emotions.NAMES[found]} {shares[found]:.0%}"
        judged = "right" if found == wanted else f"wrong: {emotions.NAMES[wanted]}"
        for line, text in enumerate((said, judged)):
            pen.text((left, top + _TILE + 2 + line * _LINE), text, fill=color, font=font)
    sheet.save(path)
