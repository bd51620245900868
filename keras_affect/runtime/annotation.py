"""A picture with its predictions drawn on it."""

from __future__ import annotations

from collections.abc import Iterable

from PIL import Image, ImageColor, ImageDraw, ImageFont

from keras_affect import emotions
from keras_affect.runtime.crops import rounded
from keras_affect.runtime.pictures import ImageLike, Picture, read_picture
from keras_affect.runtime.prediction import Prediction

__all__ = ["annotate"]

# A picture smaller than this is enlarged first: text that can be read would hide it.
_LEAST_SIDE = 480

# For classes that are not among the eight emotions.
_OTHER = "#767676"

_BLACK, _WHITE = (0, 0, 0), (255, 255, 255)


def annotate(image: ImageLike | Picture, predictions: Iterable[Prediction]) -> Image.Image:
    """Draw a box around each face, with its emotion, probability, valence and arousal.

    Args:
        image: The picture that was read: whatever `read_picture` takes.
        predictions: What `AffectInterpreter.predict_faces` gave for it. One without a face
            frames the whole picture.

    Returns:
        A new RGB image as large as the picture as it was decoded, or, where its longer side is
        below 480 pixels, enlarged to that.

    Raises:
        ValueError, OSError: As `read_picture`.
    """
    picture = read_picture(image)
    drawn = rounded(picture.image).convert("RGB")  # a copy, also where it is RGB
    longest = max(drawn.size)
    if longest < _LEAST_SIDE:
        size = [max(1, round(length * _LEAST_SIDE / longest)) for length in drawn.size]
        drawn = drawn.resize((size[0], size[1]), Image.Resampling.BICUBIC)
    scale = drawn.width / picture.size[0], drawn.height / picture.size[1]
    draw = ImageDraw.Draw(drawn)
    # The largest face last, so that its label lies above those of the crowd behind it.
    for prediction in sorted(predictions, key=_area):
        box = prediction.face.box if prediction.face else (0, 0, *picture.size)
        edges = tuple(round(edge * scale[axis % 2]) for axis, edge in enumerate(box))
        _draw(draw, drawn.size, edges, prediction)
    return drawn


def _area(prediction: Prediction) -> float:
    face = prediction.face
    return face.width * face.height if face else float("inf")


def _draw(
    draw: ImageDraw.ImageDraw,
    size: tuple[int, int],
    box: tuple[int, ...],
    prediction: Prediction,
) -> None:
    color = ImageColor.getrgb(emotions.COLORS.get(prediction.emotion, _OTHER))[:3]
    ink = _ink(color)
    left, top, right, bottom = box
    line = max(3, min(size) // 150)
    # Lined with the opposite tone, a box of any colour stands out from any picture.
    draw.rectangle((left, top, right - 1, bottom - 1), outline=ink, width=line + 1 + line // 3)
    draw.rectangle((left, top, right - 1, bottom - 1), outline=color, width=line)

    text = _text(prediction)
    font, (width, height) = _font(draw, text, size, right - left)
    margin = max(3, height // 8)
    width, height = width + 2 * margin, height + 2 * margin
    # Above the face if there is room, under it if not, and always inside the picture.
    x = max(0, min(left, size[0] - width))
    y = top - height if top >= height else min(bottom, size[1] - height)
    y = max(0, y)
    draw.rectangle((x, y, x + width - 1, y + height - 1), fill=color, outline=ink)
    draw.multiline_text((x + margin, y + margin), text, fill=ink, font=font)


def _text(prediction: Prediction) -> str:
    lines = [f"{prediction.emotion} {prediction.probability:.0%}"]
    if prediction.valence is not None and prediction.arousal is not None:
        lines.append(f"valence {prediction.valence:+.2f}")
        lines.append(f"arousal {prediction.arousal:+.2f}")
    return "\n".join(lines)


def _font(
    draw: ImageDraw.ImageDraw, text: str, size: tuple[int, int], face_width: int
) -> tuple[ImageFont.ImageFont | ImageFont.FreeTypeFont, tuple[int, int]]:
    # As wide as the face, between what can still be read and a twentieth of the picture.
    least, most = 11.0, max(14.0, min(size) / 20)
    probe = ImageFont.load_default(least)
    width = draw.multiline_textbbox((0, 0), text, font=probe)[2]
    font = ImageFont.load_default(min(most, max(least, least * face_width / width)))
    bounds = draw.multiline_textbbox((0, 0), text, font=font)
    return font, (round(bounds[2]), round(bounds[3]))


def _ink(color: tuple[int, ...]) -> tuple[int, int, int]:
    """Black or white, whichever stands out more by WCAG 2's contrast ratio."""
    red, green, blue = (
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
        for c in (channel / 255 for channel in color)
    )
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return _BLACK if (luminance + 0.05) / 0.05 > 1.05 / (luminance + 0.05) else _WHITE
