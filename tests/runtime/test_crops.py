from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from keras_affect.runtime.crops import fit, rounded, square


def _ramp(width, height, mode="L"):
    values = np.arange(width * height, dtype=np.float32).reshape(height, width) % 251
    if mode == "RGB":
        return Image.fromarray(np.dstack([values, values[::-1], 255 - values]).astype(np.uint8))
    return Image.fromarray(values if mode == "F" else values.astype(np.uint8))


def _reference_square(pixels, left, top, length):
    """Pixel by pixel, from the definition."""
    height, width = pixels.shape[:2]
    return np.array(
        [
            [
                pixels[min(max(y, 0), height - 1), min(max(x, 0), width - 1)]
                for x in range(left, left + length)
            ]
            for y in range(top, top + length)
        ]
    )


@pytest.mark.parametrize("mode", ["L", "RGB", "F"])
@pytest.mark.parametrize(
    ("left", "top", "length"),
    [(2, 3, 5), (0, 0, 10), (-4, -2, 9), (10, 6, 8), (-5, -5, 40), (30, 2, 4), (-9, -9, 4)],
)
def test_square_repeats_the_border(mode, left, top, length):
    image = _ramp(14, 10, mode)
    found = square(image, (left + length / 2, top + length / 2), length)
    assert found.mode == mode
    np.testing.assert_array_equal(
        np.asarray(found), _reference_square(np.asarray(image), left, top, length)
    )


def test_square_is_at_least_a_pixel():
    assert square(_ramp(14, 10), (3, 3), 0.2).size == (1, 1)


def test_a_picture_of_the_model_s_size_is_left_alone():
    for mode, dtype in (("L", np.uint8), ("F", np.float32)):
        image = _ramp(48, 48, mode)
        pixels = fit(image, 48, 48, 1)
        assert pixels.dtype == dtype
        np.testing.assert_array_equal(pixels[..., 0], np.asarray(image))
    np.testing.assert_array_equal(fit(_ramp(48, 48, "RGB"), 48, 48, 3), _ramp(48, 48, "RGB"))


@pytest.mark.parametrize(
    ("size", "inner"),
    [
        ((100, 50), (48, 24)),
        ((50, 100), (24, 48)),
        ((20, 10), (48, 24)),
        ((4000, 3), (48, 1)),
        ((1, 1), (48, 48)),
    ],
)
def test_aspect_is_kept_and_the_border_repeated(size, inner):
    image = _ramp(*size)
    pixels = fit(image, 48, 48, 1)[..., 0]
    left, top = (48 - inner[0]) // 2, (48 - inner[1]) // 2
    expected = np.asarray(image.resize(inner, Image.Resampling.BILINEAR)).astype(int)
    found = pixels[top : top + inner[1], left : left + inner[0]]
    assert abs(found - expected).max() <= 3  # large pictures are halved by a box filter first
    for row in range(48):
        inside = min(max(row, top), top + inner[1] - 1)
        np.testing.assert_array_equal(pixels[row], pixels[inside])
    for column in range(48):
        inside = min(max(column, left), left + inner[0] - 1)
        np.testing.assert_array_equal(pixels[:, column], pixels[:, inside])


def test_a_circle_stays_round():
    y, x = np.mgrid[0:300, 0:200]
    image = Image.fromarray((255 * ((x - 100) ** 2 + (y - 150) ** 2 < 80**2)).astype(np.uint8))
    inside = np.argwhere(fit(image, 48, 48, 1)[..., 0] > 127)
    height, width = np.ptp(inside, axis=0) + 1
    assert abs(height - width) <= 1


def test_reduction_does_not_alias():
    """A chequerboard of single pixels is gray from far away; taking every tenth would not be."""
    y, x = np.mgrid[0:480, 0:480]
    board = Image.fromarray((255 * ((x + y) % 2)).astype(np.uint8))
    assert abs(fit(board, 48, 48, 1).astype(float) - 127.5).max() < 3
    assert set(np.unique(np.asarray(board)[::10, ::10])) == {0}


def test_gray_and_colour_become_each_other():
    gray, colour = _ramp(48, 48), _ramp(48, 48, "RGB")
    np.testing.assert_array_equal(fit(gray, 48, 48, 3), np.dstack([np.asarray(gray)] * 3))
    np.testing.assert_array_equal(fit(colour, 48, 48, 1)[..., 0], colour.convert("L"))
    assert fit(_ramp(48, 48, "F"), 48, 48, 3).dtype == np.uint8


def test_rounded():
    image = Image.fromarray(np.array([[0.4, 0.6, 254.7]], np.float32))
    assert np.asarray(rounded(image)).tolist() == [[0, 1, 255]]
    gray = _ramp(5, 5)
    assert rounded(gray) is gray
