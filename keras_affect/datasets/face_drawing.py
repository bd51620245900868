"""A face drawn from parameters: who it is, how the head stands, which muscles pull.

Muscles are given as action units of the Facial Action Coding System (FACS: Ekman, Friesen and
Hager 2002), each with a strength from 0 to 1, and for the right and the left half of the picture
apart. `render` turns a `Face` into gray tones with Pillow: every point lies on an ellipsoid that
is turned by yaw and pitch, projected, rolled, scaled and shifted; shapes are drawn at four times
the size and averaged down, which smooths their edges.

Lengths are in head units: the middle of the head is (0, 0), the top of the skull (0, -1), the
chin (0, 1), x grows to the right of the picture and y downwards.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

__all__ = ["SIZE", "Face", "render"]

#: Height and width of a drawing in pixels.
SIZE = 48

_OVERSAMPLING = 4
_EYE_LINE, _NOSE_TIP, _MOUTH_LINE = -0.10, 0.22, 0.55
_CIRCLE = np.linspace(0, 2 * np.pi, 24, endpoint=False)
# Along a lid or a lip, from one corner (-1) to the other (1), and how far each place can open.
_ALONG = np.linspace(-1, 1, 13)
_ARCH = (1 - _ALONG**2) ** 0.7
# The front of a head: an ellipsoid with these half axes (across, down), in head units.
_FLATTENING = np.array([0.9, 1.2]) ** -2.0


@dataclass(frozen=True, kw_only=True)
class Face:
    """All that one drawing depends on. Lengths in head units, tones in [0, 255].

    Attributes:
        head_width: Half the width of the head.
        jaw_width: Half the width of the jaw as a share of the head's, about 0.6 to 1.
        eye_distance: From the middle of the face to the middle of an eye.
        eye_size: Half the length of an eye.
        eye_opening: How far the relaxed eye is open, 1 being usual.
        brow_height: From the eyes up to the relaxed brows.
        brow_thickness: Thickness of the brows.
        nose_width: Half the width of the nose.
        mouth_width: Half the width of the relaxed mouth.
        lip_thickness: Thickness of one lip.
        hair_line: Where the forehead meets the hair, from -1 (bald) to about -0.55.
        hair_length: How far down the hair falls beside the face, from -0.6 to 1.
        skin: Tone of the skin.
        hair: Tone of hair and brows.
        iris: Tone of the irises.
        background: Tone behind the head.
        clothes: Tone of the shoulders.
        yaw: Head turned aside, in radians.
        pitch: Head turned up or down, in radians.
        roll: Head tilted, in radians.
        scale: Pixels for one head unit.
        shift: The head's offset from the middle of the picture (x, y), in pixels.
        gaze: Offset of the irises (x, y), as a share of the eye's length.
        units: Action unit number to its strength in the (left, right) half of the picture, each
            in [0, 1]. Units that are not named are relaxed.
    """

    head_width: float = 0.76
    jaw_width: float = 0.9
    eye_distance: float = 0.34
    eye_size: float = 0.19
    eye_opening: float = 1.0
    brow_height: float = 0.25
    brow_thickness: float = 0.07
    nose_width: float = 0.11
    mouth_width: float = 0.32
    lip_thickness: float = 0.055
    hair_line: float = -0.68
    hair_length: float = -0.2
    skin: float = 175.0
    hair: float = 50.0
    iris: float = 50.0
    background: float = 120.0
    clothes: float = 80.0
    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    scale: float = 21.0
    shift: tuple[float, float] = (0.0, 0.0)
    gaze: tuple[float, float] = (0.0, 0.0)
    units: Mapping[int, tuple[float, float]]

    def unit(self, number: int, side: int = 0) -> float:
        """Strength of an action unit: in the left half (-1), the right (1), or the mean (0)."""
        left, right = self.units.get(number, (0.0, 0.0))
        return {-1: left, 0: (left + right) / 2, 1: right}[side]


class _Sketch:
    """A picture four times too large, and the way from head units to its pixels."""

    def __init__(self, face: Face) -> None:
        side = SIZE * _OVERSAMPLING
        self.image = Image.new("L", (side, side), round(face.background))
        self._draw = ImageDraw.Draw(self.image)
        self._face = face
        self._shrink = np.cos([face.yaw, face.pitch])
        self._slide = np.sin([face.yaw, face.pitch])
        turn = np.array(
            [[np.cos(face.roll), np.sin(face.roll)], [-np.sin(face.roll), np.cos(face.roll)]]
        )
        self._turn = face.scale * _OVERSAMPLING * turn
        self._origin = _OVERSAMPLING * (SIZE / 2 + np.array(face.shift))

    def _pixels(self, x: npt.ArrayLike, y: npt.ArrayLike, flat: bool) -> list[float]:
        points = np.empty((max(np.size(x), np.size(y)), 2))
        points[:, 0], points[:, 1] = x, y
        if not flat:
            # The height of the ellipsoid over the picture's plane: what lies higher moves further.
            depth = 0.8 * np.sqrt(np.maximum(1 - points**2 @ _FLATTENING, 0))
            points *= self._shrink
            points += depth[:, np.newaxis] * self._slide
        flattened: list[float] = (points @ self._turn + self._origin).ravel().tolist()
        return flattened

    def shape(self, x: npt.ArrayLike, y: npt.ArrayLike, tone: float, flat: bool = False) -> None:
        """Fill the polygon through these points; `flat` leaves yaw and pitch out."""
        self._draw.polygon(self._pixels(x, y, flat), fill=_gray(tone))

    def stroke(self, x: npt.ArrayLike, y: npt.ArrayLike, tone: float, thickness: float) -> None:
        """Draw a line through these points; the thickness is in head units."""
        width = max(1, round(thickness * self._face.scale * _OVERSAMPLING))
        self._draw.line(self._pixels(x, y, False), fill=_gray(tone), width=width, joint="curve")

    def crease(
        self, x: npt.ArrayLike, y: npt.ArrayLike, strength: float, thickness: float = 0.03
    ) -> None:
        """Draw a fold of the skin, the darker the stronger; below a tenth nothing shows."""
        if strength > 0.1:
            self.stroke(x, y, self._face.skin * (1 - 0.45 * min(strength, 1)), thickness)


def _gray(tone: float) -> int:
    return int(min(max(tone, 0), 255))


def _head(sketch: _Sketch, face: Face) -> None:
    jaw_drop = 0.16 * face.unit(26)
    shadow = 0.8 * face.skin
    if face.hair_line > -0.95:
        # Hair behind the face: a cap, and what falls beside the cheeks.
        cap = np.minimum(1.12 * np.sin(_CIRCLE) - 0.05, face.hair_length)
        sketch.shape(1.17 * face.head_width * np.cos(_CIRCLE), cap, face.hair, flat=True)
    sketch.shape([-0.36, 0.36, 0.4, -0.4], [0.6, 0.6, 1.6, 1.6], shadow, flat=True)
    sketch.shape([-1.5, -0.35, 0.35, 1.5], [1.7, 1.12, 1.12, 1.7], face.clothes, flat=True)
    for side in (-1, 1):
        ear = side * (face.head_width + 0.02 - 0.5 * side * np.sin(face.yaw))
        sketch.shape(ear + 0.09 * np.cos(_CIRCLE), 0.17 * np.sin(_CIRCLE), shadow, flat=True)
    # The jaw narrows and, where it drops, lengthens the lower half of the outline.
    down = np.sin(_CIRCLE)
    below = np.maximum(down, 0)
    narrowing = 1 - (1 - face.jaw_width) * below**1.5 * (1 - 0.4 * below)
    outline = face.head_width * np.cos(_CIRCLE) * narrowing
    sketch.shape(outline, down * (1 + jaw_drop * below), face.skin, flat=True)
    if face.hair_line > -0.95:
        above = down < -0.3
        edge = np.linspace(0.9, -0.9, 9)
        fringe = face.hair_line + 0.3 * np.abs(edge) ** 3
        x = np.concatenate([1.04 * outline[above], face.head_width * edge])
        y = np.concatenate([1.04 * down[above], fringe])
        sketch.shape(x, y, face.hair, flat=True)


def _brow(sketch: _Sketch, face: Face, side: int) -> None:
    raised, outer, lowered, wrinkled = (face.unit(n, side) for n in (1, 2, 4, 9))
    rest = _EYE_LINE - face.brow_height
    eye = face.eye_distance
    x = np.array([eye - 0.20 - 0.06 * lowered, eye - 0.04, eye + 0.10, eye + 0.22])
    y = rest + np.array(
        [
            0.02 - 0.19 * raised + 0.13 * lowered + 0.09 * wrinkled - 0.05 * outer,
            -0.03 - 0.09 * raised - 0.11 * outer + 0.08 * lowered + 0.06 * wrinkled,
            -0.03 - 0.16 * outer + 0.05 * lowered + 0.02 * wrinkled,
            0.05 - 0.15 * outer + 0.02 * lowered,
        ]
    )
    sketch.stroke(side * x, y, face.hair, face.brow_thickness)
    for height in (0.14, 0.24):  # the forehead folds over a raised brow, as far as it shows
        fold = y[:3].min() - height + np.array([0.03, 0, 0.03])
        if fold.min() > face.hair_line + 0.06:
            sketch.crease(side * x[:3], fold, raised, 0.025)
    # Brows drawn together fold the skin between them.
    sketch.crease([side * 0.06] * 2, [rest - 0.06, rest + 0.14], lowered, 0.04)


def _eye(sketch: _Sketch, face: Face, side: int) -> None:
    wide, cheek, tight = (face.unit(n, side) for n in (5, 6, 7))
    length, middle = face.eye_size, side * face.eye_distance
    upper = length * face.eye_opening * max(0.1, 0.50 + 0.45 * wide - 0.30 * tight - 0.16 * cheek)
    lower = length * face.eye_opening * max(0.05, 0.36 - 0.24 * tight - 0.34 * cheek)
    droop = 0.05 * face.unit(15, side) * face.unit(1, side) * side * _ALONG
    x = middle + length * _ALONG
    top, bottom = _EYE_LINE - upper * _ARCH + droop, _EYE_LINE + lower * _ARCH + droop
    white = min(250.0, face.skin + 60)
    sketch.shape(np.concatenate([x, x[::-1]]), np.concatenate([top, bottom[::-1]]), white)
    radius = 0.5 * length
    across = middle + length * face.gaze[0] + radius * np.cos(_CIRCLE)
    down = _EYE_LINE - 0.01 + length * face.gaze[1] + radius * np.sin(_CIRCLE)
    # The lids cover what the iris would show beyond them.
    down = np.clip(down, np.interp(across, x, top), np.interp(across, x, bottom))
    sketch.shape(across, down, face.iris)
    sketch.stroke(x, top, 0.3 * face.skin, 0.035)
    sketch.stroke(x, bottom, 0.65 * face.skin, 0.02)
    # Raised cheeks bulge under the eye and fan out beyond its outer corner.
    sketch.crease(x, _EYE_LINE + 0.13 + 0.05 * _ARCH, max(cheek, 0.6 * tight), 0.035)
    corner = middle + side * length * np.array([1.15, 1.5])
    for slope in (-0.05, 0.06):
        sketch.crease(corner, [_EYE_LINE + slope / 2, _EYE_LINE + 1.6 * slope], cheek, 0.025)


def _nose(sketch: _Sketch, face: Face) -> None:
    wrinkled = face.unit(9)
    tip = _NOSE_TIP - 0.07 * wrinkled
    side = 1 if face.yaw >= 0 else -1
    half = face.nose_width * (1 + 0.35 * wrinkled)
    ridge = side * np.array([0.07, 0.08, half])
    sketch.crease(ridge, [_EYE_LINE, 0.08, tip - 0.04], 0.5, 0.03)
    for wing in (-1, 1):
        x = wing * (0.55 * half + 0.035 * np.cos(_CIRCLE))
        sketch.shape(x, tip + 0.02 * np.sin(_CIRCLE), 0.4 * face.skin)
        x = wing * half * np.array([0.9, 1.05, 0.85])
        sketch.crease(x, tip + np.array([-0.05, 0, 0.05]), 1)
    for height in (-0.20, -0.12, -0.04, 0.04):
        sketch.crease([-0.10, 0, 0.10], height + np.array([0.03, 0, 0.03]), wrinkled, 0.03)


def _mouth(sketch: _Sketch, face: Face) -> None:
    smile, frown, stretch, tight = (face.unit(n) for n in (12, 15, 20, 23))
    jaw, parted, sneer, lower_lip = (face.unit(n) for n in (26, 25, 9, 16))
    half = face.mouth_width * (1 + 0.30 * smile + 0.35 * stretch - 0.22 * tight - 0.34 * jaw)
    middle = _MOUTH_LINE + 0.05 * smile - 0.07 * frown - 0.03 * sneer + 0.03 * jaw
    line = np.full_like(_ALONG, middle)
    for side in (-1, 1):
        corner = (
            -0.21 * face.unit(12, side) - 0.04 * face.unit(14, side)
            + 0.20 * face.unit(15, side) + 0.07 * face.unit(20, side)
        )  # fmt: skip
        line += np.where(side * _ALONG > 0, corner * np.abs(_ALONG) ** 1.8, 0)
    x = half * _ALONG
    # The jaw carries the lower lip down; sneering lifts the upper one.
    rise = 0.03 * parted + 0.09 * jaw + 0.05 * sneer + 0.02 * stretch
    drop = 0.06 * parted * (1 + 1.2 * smile) + 0.26 * jaw + 0.07 * lower_lip + 0.04 * stretch
    upper, lower = line - rise * _ARCH, line + drop * _ARCH
    lip = face.lip_thickness * (1 - 0.65 * tight) * (1 - 0.3 * smile)
    both_ways = np.concatenate([x, x[::-1]])
    outer = np.concatenate([upper - 0.8 * lip * _ARCH, (lower + 1.2 * lip * _ARCH)[::-1]])
    sketch.shape(both_ways, outer, 0.72 * face.skin)
    sketch.shape(both_ways, np.concatenate([upper, lower[::-1]]), 25)
    # Teeth show under a lip that is drawn up or aside, less where only the jaw hangs.
    teeth = upper + min(0.09, 0.03 + 0.12 * max(smile, stretch, sneer, lower_lip)) * _ARCH
    if rise + drop > 0.04:
        rows = np.concatenate([upper, np.minimum(teeth, lower)[::-1]])
        sketch.shape(both_ways, rows, min(245.0, face.skin + 65))
    sketch.stroke(x, np.minimum(upper + 0.01, line), 0.35 * face.skin, 0.035)
    for side in (-1, 1):
        _mouth_corner(sketch, face, side, half, line[-1 if side > 0 else 0])
    chin = lower[6] + 1.2 * lip + 0.09
    boss = chin + np.array([0.02, 0, 0.02])
    sketch.crease([-0.10, 0, 0.10], boss, max(tight, 0.6 * frown), 0.035)


def _mouth_corner(sketch: _Sketch, face: Face, side: int, half: float, height: float) -> None:
    """Folds around the corner of a mouth of that half width, the corner at that height."""
    smile, frown, dimple, sneer = (face.unit(n, side) for n in (12, 15, 14, 9))
    # A bracket from the wing of the nose around the corner.
    x = side * np.array([face.nose_width + 0.05, half + 0.06, half + 0.11])
    y = [_NOSE_TIP - 0.03, max(height - 0.08, _NOSE_TIP + 0.06), height + 0.10]
    sketch.crease(x, y, max(smile, 0.9 * sneer), 0.03)
    beside = [side * (half + 0.05)] * 2
    sketch.crease(beside, [height - 0.05, height + 0.05], max(dimple, 0.7 * smile), 0.04)
    hanging = side * np.array([half + 0.02, half + 0.06])
    sketch.crease(hanging, [height + 0.04, height + 0.15], frown, 0.03)


def render(face: Face) -> npt.NDArray[np.uint8]:
    """Draw a face.

    Args:
        face: Its parameters.

    Returns:
        uint8 gray tones in [0, 255], shape `(48, 48)`.
    """
    sketch = _Sketch(face)
    _head(sketch, face)
    _nose(sketch, face)
    for side in (-1, 1):
        _eye(sketch, face, side)
        _brow(sketch, face, side)
    _mouth(sketch, face)
    return np.asarray(sketch.image.reduce(_OVERSAMPLING))
