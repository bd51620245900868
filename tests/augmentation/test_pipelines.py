import math

import numpy as np
import pytest
import tensorflow as tf

from keras_affect.augmentation import FacePipeline, face_pipeline
from keras_affect.datasets.draws import example_keys

STILL = {
    "mirror": 0.0, "radians": 0.0, "zoom": 1.0, "shift_y": 0.0, "shift_x": 0.0,
    "contrast": 1.0, "brightness": 1.0, "cut_y": -1e6, "cut_x": 0.0,
}  # fmt: skip


def parameters(**changed):
    return {name: tf.constant([value], tf.float32) for name, value in (STILL | changed).items()}


def picture(height=48, width=48, seed=0):
    return np.random.default_rng(seed).uniform(0, 255, (1, height, width, 1)).astype(np.float32)


def keys_of(count, seed=0, epoch=0):
    return example_keys(seed, tf.constant(epoch, tf.int64), tf.range(count, dtype=tf.int64))


def reflect(place, size):
    """Where a place beyond the border comes to lie: |dcba|abcd|dcba|."""
    place %= 2 * size
    return place if place < size else 2 * size - 1 - place


def moved(image, radians=0.0, zoom=1.0, shift_y=0.0, shift_x=0.0, mirror=0.0):
    """The geometry once more, pixel by pixel: undo the shift, the rotation and zoom, the mirror."""
    height, width = image.shape
    centre_y, centre_x = (height - 1) / 2, (width - 1) / 2
    out = np.zeros_like(image)
    for y in range(height):
        for x in range(width):
            dy, dx = y - centre_y - shift_y, x - centre_x - shift_x
            from_x = (math.cos(radians) * dx + math.sin(radians) * dy) / zoom
            from_y = (-math.sin(radians) * dx + math.cos(radians) * dy) / zoom
            from_x, from_y = (-from_x if mirror else from_x) + centre_x, from_y + centre_y
            y0, x0 = math.floor(from_y), math.floor(from_x)
            value = 0.0
            for yy, wy in ((y0, 1 - (from_y - y0)), (y0 + 1, from_y - y0)):
                for xx, wx in ((x0, 1 - (from_x - x0)), (x0 + 1, from_x - x0)):
                    value += wy * wx * image[reflect(yy, height), reflect(xx, width)]
            out[y, x] = value
    return out


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"mirror": 1.0},
        {"shift_y": 3.0, "shift_x": -2.0},
        {"zoom": 1.25},
        {"radians": 0.3},
        {"radians": -0.2, "zoom": 0.9, "shift_y": 1.5, "shift_x": 2.25, "mirror": 1.0},
    ],
    ids=str,
)
def test_geometry_against_pixel_by_pixel(change):
    image = picture(20, 16)
    ours = FacePipeline().apply(tf.constant(image), parameters(**change)).numpy()[0, ..., 0]
    expected = moved(image[0, ..., 0].astype(np.float64), **change)
    # A place that falls on a pixel's border rounds to either side in float32.
    np.testing.assert_allclose(ours, expected, atol=0.05)


def test_contrast_then_brightness():
    image = picture()
    ours = FacePipeline().apply(tf.constant(image), parameters(contrast=0.5, brightness=1.2))
    mean = image.mean()
    np.testing.assert_allclose(ours, ((image - mean) * 0.5 + mean) * 1.2, rtol=1e-4)
    bright = FacePipeline().apply(tf.constant(image), parameters(brightness=9.0)).numpy()
    assert bright.max() == 255


def test_cutout_is_a_square_of_the_mean():
    image = picture()
    ours = FacePipeline(cutout=10).apply(tf.constant(image), parameters(cut_y=20.0, cut_x=30.0))
    changed = np.argwhere(np.abs(ours.numpy() - image)[0, ..., 0] > 1e-3)
    assert changed.min(axis=0).tolist() == [15, 25]
    assert changed.max(axis=0).tolist() == [24, 34]
    assert len(changed) == 100
    np.testing.assert_allclose(ours[0, 15:25, 25:35], image.mean(), rtol=1e-5)


@pytest.mark.parametrize("inside_data", [False, True], ids=["eager", "tf.data"])
@pytest.mark.parametrize("strength", ["light", "strong", "camera"])
def test_a_function_of_the_key_alone(strength, inside_data):
    images = np.concatenate([picture(seed=s) for s in range(6)])
    pipeline = face_pipeline(strength)

    def run(chosen):
        keys = tf.gather(keys_of(6), chosen)
        batch = tf.gather(tf.constant(images), chosen)
        if not inside_data:
            return pipeline(batch, keys).numpy()
        dataset = tf.data.Dataset.from_tensors((batch, keys)).map(pipeline)
        assert dataset.element_spec.shape == batch.shape
        return next(iter(dataset)).numpy()

    whole = run([0, 1, 2, 3, 4, 5])
    np.testing.assert_allclose(run([4, 2]), whole[[4, 2]], atol=1e-3)
    assert whole.min() >= 0
    assert whole.max() <= 255
    assert not np.allclose(whole, images, atol=5)


def test_draws_fill_their_ranges():
    pipeline = FacePipeline(rotation=20, scale=1.5, shift=5, contrast=2, brightness=1.4)
    drawn = pipeline.draw(keys_of(4_000), tf.constant(48), tf.constant(40))
    drawn = {name: value.numpy() for name, value in drawn.items()}
    assert abs(drawn["mirror"].mean() - 0.5) < 5 * 0.5 / np.sqrt(4_000)
    for name, low, high in (
        ("radians", -20 * math.pi / 180, 20 * math.pi / 180),
        ("shift_y", -5, 5),
        ("shift_x", -5, 5),
        ("zoom", 1 / 1.5, 1.5),
        ("contrast", 0.5, 2),
        ("brightness", 1 / 1.4, 1.4),
    ):
        values = drawn[name]
        span = high - low
        assert low - 1e-5 <= values.min() < low + 0.01 * span
        assert high - 0.01 * span < values.max() <= high + 1e-5
    cut = drawn["cut_y"] > -1e5
    assert abs(cut.mean() - 0.5) < 5 * 0.5 / np.sqrt(4_000)
    assert drawn["cut_x"].max() < 40
    # No parameter tells another: a picture that is turned is not for that reason darker.
    table = np.stack([drawn[name] for name in ("radians", "shift_y", "shift_x", "contrast")])
    assert np.abs(np.corrcoef(table) - np.eye(4)).max() < 5 / np.sqrt(4_000)


def test_noise_has_the_strength_asked_for():
    images = np.full((2_000, 16, 16, 1), 128, np.float32)
    quiet = FacePipeline(
        flip=0, rotation=0, scale=1, shift=0, contrast=1, brightness=1, cutout=0, noise=20
    )
    spread = quiet(images, keys_of(2_000)).numpy().std(axis=(1, 2, 3))
    # Uniform in [0, 20]: mean 10, and its own spread.
    assert abs(spread.mean() - 10) < 0.7
    assert spread.min() < 0.5
    assert 18.5 < spread.max() < 23


def test_nothing_asked_nothing_done():
    images = picture()
    still = FacePipeline(flip=0, rotation=0, scale=1, shift=0, contrast=1, brightness=1, cutout=0)
    np.testing.assert_allclose(still(images, keys_of(1)), images, atol=1e-3)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("flip", 1.5, r"argument `flip`. Expected a number in \[0, 1\]. Received: flip=1.5"),
        ("scale", 0.5, r"argument `scale`. Expected a number in \[1, 4\]"),
        ("noise", float("nan"), r"noise=nan"),
        ("rotation", "15", r"rotation='15'"),
    ],
)
def test_bad_settings(name, value, message):
    with pytest.raises(ValueError, match=message):
        FacePipeline(**{name: value})
    with pytest.raises(ValueError, match=r"argument `strength`\. Expected one of light, strong"):
        face_pipeline("weak")
