from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

keras = pytest.importorskip("keras")
if keras.backend.backend() != "tensorflow":
    pytest.skip("made of TensorFlow's operations", allow_module_level=True)

import tensorflow as tf  # noqa: E402

from keras_affect.augmentation.camera import blurred, compressed  # noqa: E402


def pictures(count: int = 4, height: int = 48, width: int = 48) -> np.ndarray:
    rng = np.random.default_rng(0)
    low = rng.uniform(30, 220, (count, height // 4 + 1, width // 4 + 1)).astype(np.float32)
    size = (width, height)
    made = [Image.fromarray(one).resize(size, Image.Resampling.BICUBIC) for one in low]
    return np.clip(np.rint(np.stack(made)), 0, 255).astype(np.float32)[..., None]


def by_pillow(image: np.ndarray, quality: int) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(image[..., 0].astype(np.uint8)).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file), np.float32)[..., None]


@pytest.mark.parametrize(("height", "width"), [(48, 48), (24, 56)])
def test_compression_is_that_of_the_codec(height, width):
    images = pictures(6, height, width)
    qualities = [1, 10, 15, 50, 75, 98]
    found = compressed(tf.constant(images), tf.constant(qualities, tf.float32)).numpy()
    for image, ours, quality in zip(images, found, qualities, strict=True):
        theirs = by_pillow(image, quality)
        # The codec computes its cosines in whole numbers: a level here and there is another, and
        # seldom a frequency is rounded to the other side.
        assert (ours == theirs).mean() > 0.75, quality
        assert np.abs(ours - theirs).mean() < 0.4, quality
        # The negative control: another quality is further off.
        other = by_pillow(image, 30)
        assert np.abs(ours - other).mean() > 8 * np.abs(ours - theirs).mean(), quality


def test_sides_that_are_no_multiple_of_eight_keep_their_size():
    images = pictures(1, 45, 51)
    found = compressed(tf.constant(images), tf.constant([60.0])).numpy()
    assert found.shape == images.shape
    # Whole blocks do not see what was added.
    theirs = by_pillow(images[0], 60)
    assert (found[0, :40, :48] == theirs[:40, :48]).mean() > 0.75


def by_numpy(image: np.ndarray, deviation: float, reach: int) -> np.ndarray:
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / deviation) ** 2)
    weights /= weights.sum()
    padded = np.pad(image[..., 0].astype(np.float64), reach, mode="symmetric")
    rows = np.apply_along_axis(np.convolve, 0, padded, weights, "valid")
    return np.apply_along_axis(np.convolve, 1, rows, weights, "valid")[..., None]


def test_blur_is_a_convolution_with_a_gaussian():
    images = pictures()
    deviations = [0.0, 0.4, 1.0, 1.6]
    found = blurred(tf.constant(images), tf.constant(deviations, tf.float32), 1.6).numpy()
    np.testing.assert_array_equal(found[0], images[0])
    for image, ours, deviation in zip(images[1:], found[1:], deviations[1:], strict=True):
        np.testing.assert_allclose(ours, by_numpy(image, deviation, 5), atol=1e-2)


def test_a_blurred_point_has_its_spread():
    image = np.zeros((1, 33, 33, 1), np.float32)
    image[0, 16, 16] = 1000
    found = blurred(tf.constant(image), tf.constant([1.2]), 1.5).numpy()[0, ..., 0]
    assert found.sum() == pytest.approx(1000, rel=1e-4)
    variance = (found.sum(axis=1) * (np.arange(33) - 16) ** 2).sum() / found.sum()
    assert np.sqrt(variance) == pytest.approx(1.2, rel=0.02)


def test_channels_are_done_apart():
    images = np.concatenate([pictures(2), 255 - pictures(2)], axis=-1)
    both = compressed(tf.constant(images), tf.constant([20.0, 40.0])).numpy()
    second = compressed(tf.constant(images[..., 1:]), tf.constant([20.0, 40.0])).numpy()
    np.testing.assert_array_equal(both[..., 1:], second)
