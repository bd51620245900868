"""Faces in a picture, by OpenCV's Haar cascades (the extra ``faces``)."""

from __future__ import annotations

import functools
import threading
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from keras_affect.runtime.crops import rounded, square
from keras_affect.runtime.pictures import ImageLike, Picture, read_picture
from keras_affect.runtime.prediction import Face

__all__ = ["CROP_SCALE", "check_available", "find_faces"]

_CASCADE = "haarcascade_frontalface_alt.xml"

#: FER+'s pictures are this many times as wide as the cascade's box for the same face.
CROP_SCALE = 1.04

# The cascade's own parameters: the step between the sizes that are tried, how many overlapping
# hits make a face, and the smallest face in pixels of the picture that is searched.
_STEP, _NEIGHBOURS, _SMALLEST = 1.1, 5, 32

# The longer side of the picture that is searched. Above it, time grows and only faces narrower
# than a fortieth of the picture are won. Small pictures are enlarged: of 300 FER+ pictures, 48
# pixels wide, 212 are found at 192 pixels and 195 as they are.
_LONGEST, _SHORTEST = 1280, 192

# The picture's border is repeated by this share of its shorter side before it is searched: the
# cascade needs some room around a face. Of the same 300, 176 are found without.
_ROOM = 1 / 8

_per_thread = threading.local()


def find_faces(image: ImageLike | Picture) -> tuple[Face, ...]:
    """Find the faces that look at the camera, the largest first.

    FER2013's faces were cut by OpenCV's face detector (Goodfellow et al. 2013), so its box is
    the crop that models trained on FER+ know. Measured: in 1,000 FER+ train pictures with their
    border repeated around them, this finds 733 faces; its box is centred on the picture and
    0.964 times as wide (medians; the width is 0.80 to 1.10 between the 10th and the 90th
    percentile). So a crop is the box widened by 1.04. Of OpenCV's cascades it runs "alt": in 50
    pictures without a face (scenes, textures and pages that scikit-image and scikit-learn ship,
    at two sizes, and noise) that reports 3, "alt2" 6 (and 739 of the 1,000) and "default" 43.

    A picture whose longer side is above 1280 pixels is searched at 1280, and no face narrower
    than 32 pixels there is found. Turned, tilted and covered faces are often missed.

    Args:
        image: One picture: whatever `read_picture` takes.

    Returns:
        The faces, none if there is none. Boxes are in pixels of the upright picture, in full
        size also where a very large JPEG was decoded at less.

    Raises:
        ImportError: If OpenCV is not installed, or ships no Haar cascades.
        ValueError, OSError: As `read_picture`.
    """
    cascade = _cascade()
    picture = read_picture(image)
    gray = rounded(picture.image).convert("L")
    longest = max(gray.size)
    scale = min(1.0, _LONGEST / longest) * max(1.0, _SHORTEST / longest)
    if scale != 1.0:
        size = (max(1, round(gray.width * scale)), max(1, round(gray.height * scale)))
        gray = gray.resize(size, Image.Resampling.BILINEAR, reducing_gap=4.0)
    room = round(min(gray.size) * _ROOM)
    found = cascade.detectMultiScale(
        np.pad(np.asarray(gray), room, mode="edge"),
        scaleFactor=_STEP,
        minNeighbors=_NEIGHBOURS,
        minSize=(_SMALLEST, _SMALLEST),
    )
    # From the searched picture's pixels to those of the decoded one, and of the full one.
    to_decoded = picture.image.width / gray.width, picture.image.height / gray.height
    to_full = picture.size[0] / gray.width, picture.size[1] / gray.height
    faces = []
    for left, top, width, height in sorted(np.asarray(found).tolist(), key=lambda box: -box[2]):
        x, y = left - room + width / 2, top - room + height / 2
        if not (0 <= x < gray.width and 0 <= y < gray.height):
            continue
        edges = (left - room, top - room, left - room + width, top - room + height)
        faces.append(
            Face(
                box=tuple(
                    min(max(round(edge * to_full[axis % 2]), 0), picture.size[axis % 2])
                    for axis, edge in enumerate(edges)
                ),
                crop=square(
                    picture.image,
                    (x * to_decoded[0], y * to_decoded[1]),
                    CROP_SCALE * width * to_decoded[0],
                ),
            )
        )
    return tuple(faces)


def check_available() -> None:
    """See that `find_faces` can run.

    Raises:
        ImportError: If OpenCV is not installed, or ships no Haar cascades.
    """
    _cascade_path()


@functools.cache
def _cascade_path() -> Path:
    install = 'pip install "keras-affect[faces]"'
    try:
        import cv2
    except ImportError as error:
        raise ImportError(f"finding faces needs OpenCV ({error}): {install}") from None
    folder = getattr(getattr(cv2, "data", None), "haarcascades", None)
    path = Path(folder or "", _CASCADE)
    if folder is None or not path.is_file() or not hasattr(cv2, "CascadeClassifier"):
        raise ImportError(f"OpenCV {cv2.__version__} ships no Haar cascades: {install}")
    return path


def _cascade() -> Any:
    # A classifier keeps the picture that it works on, so two threads may not share one.
    path = _cascade_path()
    cascade = getattr(_per_thread, "cascade", None)
    if cascade is None:
        import cv2

        cascade = cv2.CascadeClassifier(str(path))
        if cascade.empty():
            raise OSError(f"{path}: OpenCV can't read it; install opencv-python-headless again")
        _per_thread.cascade = cascade
    return cascade
