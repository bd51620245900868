"""AFEW-VA: 600 clips of films, rated a frame for valence and arousal.

The folder as it comes, its twelve archives unpacked side by side: ``001/00000.png``,
``001/00001.png``, ..., and ``001/001.json`` with, for each frame, 68 landmarks, and valence and
arousal in whole numbers from -10 to 10. It is for research alone; ask its authors for it.

Reference: Kossaifi, Tzimiropoulos, Todorovic and Pantic 2017, "AFEW-VA database for valence and
arousal estimation in-the-wild", Image and Vision Computing 65, 23-36.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from keras_affect import emotions
from keras_affect.datasets.clips import Box, Clip

__all__ = ["read"]

_LANDMARKS = 68


def read(root: str | Path, margin: float = 0.1) -> list[Clip]:
    """The clips of a folder, in the order of their names. Pictures are not opened yet.

    A face is the box around its landmarks, from the brows to the chin. Clips have no emotion: a
    model trained on them learns it from elsewhere, or not at all.

    Args:
        root: The folder that holds ``001``, ``002``, ...; it need not hold all.
        margin: Share of the box's longer side that is added on each side, 0 or more. Landmarks
            leave out the forehead, which detectors' boxes hold in part.

    Raises:
        NotADirectoryError: If there is no such folder.
        ValueError: If it holds no clip, or a clip's json is damaged or misses a rating; names
            file and frame.

    Example:
        >>> clips = keras_affect.datasets.afew_va.read("AFEW-VA")
        >>> dataset = keras_affect.datasets.clips.load(clips, time=64, shuffle=True)
    """
    root = Path(root)
    if isinstance(margin, bool) or not isinstance(margin, int | float) or not 0 <= margin < 10:
        raise ValueError(
            "Invalid value for argument `margin`. Expected a number in [0, 10). "
            f"Received: margin={margin!r}"
        )
    if not root.is_dir():
        raise NotADirectoryError(f"{root}: no such folder")
    files = sorted(
        file for folder in root.iterdir() if (file := folder / f"{folder.name}.json").is_file()
    )
    if not files:
        raise ValueError(f"{root}: holds no clip of AFEW-VA, as 001/001.json")
    return [_read_clip(file, margin) for file in files]


def _read_clip(file: Path, margin: float) -> Clip:
    try:
        frames = json.loads(file.read_bytes())["frames"]
        names = sorted(frames, key=int)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{file}: not a clip of AFEW-VA ({type(error).__name__}: {error})"
        ) from None
    if not names:
        raise ValueError(f"{file}: holds no frames")
    ratings = np.empty((len(names), 2), np.float32)
    boxes: list[Box] = []
    for place, name in enumerate(names):
        where = f"{file}, frame {name}"
        ratings[place] = _ratings(frames[name], where)
        boxes.append(_face(frames[name], margin, where))
    return Clip(
        name=file.stem,
        source=str(file),
        frames=tuple(str(file.parent / f"{name}.png") for name in names),
        valence_arousal=emotions.convert_scale(ratings, "afew_va", "unit").astype(np.float32),
        emotion=np.zeros((len(names), len(emotions.NAMES)), np.float32),
        boxes=tuple(boxes),
    )


def _ratings(frame: Any, where: str) -> tuple[float, float]:
    try:
        valence, arousal = float(frame["valence"]), float(frame["arousal"])
        if not (-10 <= valence <= 10 and -10 <= arousal <= 10):
            raise ValueError(f"({valence:g}, {arousal:g})")
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{where}: expected valence and arousal from -10 to 10 "
            f"({type(error).__name__}: {error})"
        ) from None
    return valence, arousal


def _face(frame: Any, margin: float, where: str) -> Box:
    try:
        points: npt.NDArray[np.float64] = np.array(frame["landmarks"], np.float64)
        low, high = points.min(axis=0), points.max(axis=0)
        if points.shape != (_LANDMARKS, 2) or not (low < high).all():  # not of NaN
            raise ValueError(f"shape {points.shape}")
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{where}: expected {_LANDMARKS} landmarks (x, y) around a face "
            f"({type(error).__name__}: {error})"
        ) from None
    added = margin * (high - low).max()
    left, top = np.floor(low - added).astype(int).tolist()
    right, bottom = np.ceil(high + added).astype(int).tolist()
    return left, top, right, bottom
