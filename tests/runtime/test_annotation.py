from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageColor

from keras_affect import emotions
from keras_affect.runtime import Face, Prediction, annotate
from keras_affect.runtime.annotation import _ink

CROP = Image.new("L", (8, 8))


def _prediction(emotion="happiness", box=(200, 150, 320, 270), affect=(0.5, -0.25)):
    face = None if box is None else Face(box, CROP)
    return Prediction(emotion, {emotion: 0.9, "other": 0.1}, *affect, face)


def _changed(before, after):
    """(left, top, right, bottom) of what differs."""
    return Image.fromarray(
        (np.asarray(before.convert("RGB")) != np.asarray(after)).any(axis=-1)
    ).getbbox()


GRAY = Image.new("L", (640, 480), 120)


def test_the_picture_given_stays_as_it_is():
    picture = Image.new("RGB", (640, 480), (120, 120, 120))
    before = picture.copy()
    annotated = annotate(picture, [_prediction()])
    assert picture == before
    assert annotated.mode == "RGB"
    assert annotated.size == picture.size
    assert annotated != before
    assert annotate(picture, []) == before


@pytest.mark.parametrize("emotion", emotions.NAMES)
def test_box_and_label_are_of_the_emotion_s_colour(emotion):
    annotated = annotate(GRAY, [_prediction(emotion)])
    color = ImageColor.getrgb(emotions.COLORS[emotion])
    for corner in ((200, 150), (319, 150), (200, 269), (319, 269)):
        assert annotated.getpixel(corner) == color
    assert annotated.getpixel((260, 210)) == (120, 120, 120)
    left, top, right, bottom = _changed(GRAY, annotated)
    assert (left, bottom) == (200, 270)
    assert top < 150
    pixels = [color for _, color in annotated.crop((left, top, right, 150)).getcolors(1 << 20)]
    assert color in pixels
    assert _ink(color) in pixels


def _luminance(color):
    channels = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in color]
    return float(np.dot(channels, [0.2126, 0.7152, 0.0722]))


@pytest.mark.parametrize("emotion", emotions.NAMES)
def test_text_can_be_read_on_its_colour(emotion):
    """4.5 is what WCAG 2 asks of text."""
    color = ImageColor.getrgb(emotions.COLORS[emotion])
    one, other = sorted(_luminance([c / 255 for c in rgb]) for rgb in (color, _ink(color)))
    assert (other + 0.05) / (one + 0.05) >= 4.5


@pytest.mark.parametrize(
    "box",
    [(0, 0, 90, 90), (550, 0, 640, 90), (0, 390, 90, 480), (550, 390, 640, 480), (0, 0, 640, 480)],
)
def test_the_label_stays_whole_inside_the_picture(box):
    """As many pixels are drawn as where there is room on every side."""
    color = ImageColor.getrgb(emotions.COLORS["happiness"])
    room = annotate(
        GRAY, [_prediction(box=(260, 200, 260 + box[2] - box[0], 200 + box[3] - box[1]))]
    )
    if box[2] - box[0] == 90:
        count = [
            (np.asarray(a) == color).all(-1).sum()
            for a in (room, annotate(GRAY, [_prediction(box=box)]))
        ]
        assert abs(count[0] - count[1]) < 0.03 * count[0]
    else:
        assert _changed(GRAY, annotate(GRAY, [_prediction(box=box)])) == (0, 0, 640, 480)


def test_a_whole_picture_is_framed():
    assert _changed(GRAY, annotate(GRAY, [_prediction(box=None)])) == (0, 0, 640, 480)


def test_a_model_without_valence_leaves_it_out():
    full = annotate(GRAY, [_prediction()])
    short = annotate(GRAY, [_prediction(affect=(None, None))])
    assert _changed(GRAY, short)[1] > _changed(GRAY, full)[1]


def test_a_class_that_is_no_emotion_has_a_colour_too():
    assert annotate(GRAY, [_prediction("bored")]).getpixel((200, 150)) == (0x76, 0x76, 0x76)


def test_a_small_picture_is_enlarged_until_text_can_be_read():
    annotated = annotate(np.full((48, 40), 120, np.uint8), [_prediction(box=(8, 16, 32, 40))])
    assert annotated.size == (400, 480)
    color = ImageColor.getrgb(emotions.COLORS["happiness"])
    assert annotated.getpixel((80, 160)) == color
    assert annotated.getpixel((319, 399)) == color
