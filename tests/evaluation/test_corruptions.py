from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from keras_affect.evaluation import CORRUPTIONS, corrupt


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    low = rng.uniform(60, 140, (4, 8, 8)).astype(np.float32)
    blocks = np.repeat(np.repeat(low, 6, axis=1), 6, axis=2)
    return np.rint(blocks).astype(np.uint8)[..., None]


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_pictures_stay_pictures(images, name):
    before = images.copy()
    found = corrupt(images, name)
    assert found.shape == images.shape
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(images, before)
    np.testing.assert_array_equal(found, corrupt(images, name))
    # Each changes its picture, which can still be told from another: what it does apart from
    # making it brighter or darker is less than what another picture would be.
    assert np.abs(found.astype(int) - images).mean() > 1
    correlation = np.corrcoef(found.reshape(4, -1), images.reshape(4, -1))[:4, 4:]
    assert (correlation.argmax(axis=1) == np.arange(4)).all()


def reference(images: np.ndarray, matrix: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """TensorFlow's transform about the centre: output = matrix @ input + shift, (row, column)."""
    import tensorflow as tf

    inverse = np.linalg.inv(matrix)
    centre = (np.array(images.shape[1:3]) - 1) / 2
    offset = centre - inverse @ (centre + shift)
    # It takes x before y.
    row = [inverse[1, 1], inverse[1, 0], offset[1], inverse[0, 1], inverse[0, 0], offset[0], 0, 0]
    moved = tf.raw_ops.ImageProjectiveTransformV3(
        images=images.astype(np.float32),
        transforms=np.tile(np.array(row, np.float32), (len(images), 1)),
        output_shape=images.shape[1:3],
        interpolation="BILINEAR",
        fill_mode="REFLECT",
        fill_value=0.0,
    )
    return np.rint(moved.numpy())


@pytest.mark.parametrize(
    ("name", "matrix", "shift"),
    [
        ("crop looser, zoom 0.8", 0.8 * np.eye(2), (0, 0)),
        ("crop tighter, zoom 1.2", 1.2 * np.eye(2), (0, 0)),
        ("shift (5, -4)", np.eye(2), (-4, 5)),
        (
            "tilt 15 degrees",
            np.array(
                [
                    [np.cos(np.pi / 12), np.sin(np.pi / 12)],
                    [-np.sin(np.pi / 12), np.cos(np.pi / 12)],
                ]
            ),
            (0, 0),
        ),
    ],
)
def test_moves_are_tensorflows(images, name, matrix, shift):
    found = corrupt(images, name)
    expected = reference(images, matrix, np.array(shift))
    assert np.abs(found - expected).max() <= 1  # where a half is rounded
    assert (found == expected).mean() > 0.99


def test_a_shift_moves_right_and_up():
    image = np.zeros((1, 48, 48, 1), np.uint8)
    image[0, 20, 10] = 200
    ((_, row, column, _),) = np.argwhere(corrupt(image, "shift (5, -4)") == 200)
    assert (row, column) == (16, 15)


def test_light_is_clipped():
    image = np.full((1, 48, 48, 1), 200, np.uint8)
    assert (corrupt(image, "brightness x1.8") == 255).all()
    assert (corrupt(image, "brightness x0.4") == 80).all()


def test_noise_has_its_deviation():
    image = np.full((20, 48, 48, 1), 128, np.uint8)
    noise = corrupt(image, "noise, deviation 18").astype(float) - 128
    assert noise.std() == pytest.approx(18, rel=0.02)
    assert abs(noise.mean()) < 0.5
    assert not np.array_equal(noise[0], noise[1])


def test_jpeg_is_pillows(images):
    file = io.BytesIO()
    Image.fromarray(images[1, ..., 0]).save(file, "JPEG", quality=15)
    expected = np.asarray(Image.open(file))
    np.testing.assert_array_equal(corrupt(images, "JPEG, quality 15")[1, ..., 0], expected)


def test_blur_keeps_the_mean_and_lessens_edges(images):
    blurred = corrupt(images, "blur, radius 1.2").astype(float)
    assert blurred.mean() == pytest.approx(images.mean(), abs=0.6)
    steps = (np.abs(np.diff(of, axis=2)).max() for of in (blurred, images.astype(float)))
    assert next(steps) < next(steps)


def test_no_images_are_no_images():
    for name in CORRUPTIONS:
        assert corrupt(np.zeros((0, 48, 48, 1), np.uint8), name).shape == (0, 48, 48, 1)


@pytest.mark.parametrize(
    ("images", "name", "message"),
    [
        (np.zeros((1, 48, 48, 1), np.uint8), "fog", "`name`. Expected one of crop looser"),
        (
            np.zeros((1, 48, 48), np.uint8),
            "brightness x0.4",
            "Received: uint8 of shape (1, 48, 48)",
        ),
        (np.zeros((1, 48, 48, 1)), "brightness x0.4", "Received: float64 of shape (1, 48, 48, 1)"),
    ],
)
def test_what_is_refused(images, name, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the text is looked for
        corrupt(images, name)
    assert message in str(caught.value)
