from __future__ import annotations

import numpy as np
import pytest

from keras_affect.runtime.arrays import check_pixels, is_batch, to_image


@pytest.mark.parametrize(
    ("shape", "batch"),
    [
        ((48, 48), False),
        ((48, 48, 1), False),
        ((48, 48, 3), False),
        ((48, 48, 4), False),
        ((7, 48, 48), True),
        ((1, 48, 48), True),
        ((3, 48, 48), True),  # channels in front are not known
        ((48, 48, 2), True),
        ((1, 48, 48, 1), True),
        ((7, 20, 30, 3), True),
        ((7, 20, 30, 4), True),
    ],
)
def test_shapes(shape, batch):
    assert is_batch(np.zeros(shape, np.uint8)) is batch


@pytest.mark.parametrize(
    "shape", [(), (48,), (2, 3, 48, 48), (2, 48, 48, 2), (1, 1, 48, 48, 1), (0, 48), (0, 48, 48, 1)]
)
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match=r"an array of shape \(.*\)$"):
        is_batch(np.zeros(shape, np.uint8))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([-1, 5], r"pixels in \[0, 255\]. Received: values from -1 to 5"),
        ([0, 256], r"values from 0 to 256"),
        ([0.0, 255.5], r"values from 0 to 255.5"),
        ([0.0, np.nan], r"values from nan to nan"),
        ([0.0, np.inf], r"values from 0 to inf"),
        ([0.0, 1.0], r"look scaled to \[0, 1\]"),
        ([0.2, 0.7], r"look scaled to \[0, 1\]"),
        ([True, False], r"an array of bool"),
        ([1j, 2], r"an array of complex128"),
        (["a", "b"], r"an array of <U1"),
        ([None, 3], r"an array of object"),
    ],
)
def test_what_cannot_be_pixels_is_refused(values, message):
    with pytest.raises(ValueError, match=message):
        check_pixels(np.array(values))


@pytest.mark.parametrize(
    "values",
    [
        np.array([0, 255], np.uint8),
        np.array([0, 1], np.uint8),  # whole numbers of a nearly black picture
        np.array([0, 255], np.int64),
        np.array([0, 1.5], np.float32),
        np.array([0, 255], np.float16),
        np.zeros(4, np.float64),  # black on either scale
    ],
)
def test_pixels_are_taken(values):
    check_pixels(values)


def test_values_stay_what_they_are():
    gray = np.array([[0, 12.25], [254.5, 255]])
    assert to_image(gray).mode == "F"
    np.testing.assert_array_equal(np.asarray(to_image(gray)), gray)
    np.testing.assert_array_equal(np.asarray(to_image(gray[..., None])), gray)
    colour = np.random.default_rng(0).integers(0, 256, (5, 7, 3))
    assert to_image(colour).mode == "RGB"
    np.testing.assert_array_equal(np.asarray(to_image(colour)), colour)
    np.testing.assert_array_equal(np.asarray(to_image(colour - 0.4 * (colour > 0))), colour)
    assert to_image(np.zeros((5, 7, 4))).mode == "RGBA"
