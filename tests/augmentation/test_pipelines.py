import math

import keras
import numpy as np
import pytest

tf = pytest.importorskip("tensorflow", reason="the pipeline is made of TensorFlow's operations")

from keras_affect.augmentation import (  # noqa: E402
    FacePipeline,
    Mixup,
    face_pipeline,
    with_keys,
)
from keras_affect.datasets import draws  # noqa: E402
from keras_affect.datasets.draws import example_keys  # noqa: E402

mixing = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow",
    reason="mixup in tf.data runs on the TensorFlow backend alone",
)

STILL = {
    "mirror": 0.0, "radians": 0.0, "zoom": 1.0, "shift_y": 0.0, "shift_x": 0.0,
    "contrast": 1.0, "brightness": 1.0, "cut_y": -1_000_000, "cut_x": 0,
}  # fmt: skip


def parameters(**changed):
    return {
        name: tf.constant([value], tf.int32 if name in ("cut_y", "cut_x") else tf.float32)
        for name, value in (STILL | changed).items()
    }


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
    ours = FacePipeline(cutout=10).apply(tf.constant(image), parameters(cut_y=20, cut_x=30))
    changed = np.argwhere(np.abs(ours.numpy() - image)[0, ..., 0] > 1e-3)
    assert changed.min(axis=0).tolist() == [15, 25]
    assert changed.max(axis=0).tolist() == [24, 34]
    assert len(changed) == 100
    np.testing.assert_allclose(ours[0, 15:25, 25:35], image.mean(), rtol=1e-5)


@pytest.mark.parametrize("inside_data", [False, True], ids=["eager", "tf.data"])
@pytest.mark.parametrize("strength", ["light", "moderate", "strong", "camera"])
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


@pytest.mark.parametrize("size", [13, 14])
def test_squares_are_those_around_any_place_of_the_picture(size):
    """Pixels nearer than half a side to a place drawn uniformly: whole squares, but at borders."""
    pipeline = FacePipeline(cutout=size, cutout_probability=1)
    drawn = pipeline.draw(keys_of(3_000), tf.constant(48), tf.constant(40))
    points = draws.uniform(keys_of(3_000), 10).numpy().astype("float64")
    for name, point, side in (("cut_y", points[:, 7], 48), ("cut_x", points[:, 8], 40)):
        places = np.arange(-20, side + 20)
        near = np.abs(places + 0.5 - (point * side)[:, None]) < size / 2
        first = drawn[name].numpy()[:, None] - size // 2
        ours = (places >= first) & (places < first + size)
        assert (ours.sum(axis=1) == size).all()
        # A place midway between two squares, 1 in 2^18, belongs to one of them.
        assert (ours == near).all(axis=1).mean() > 0.999


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
    # The middle of an even square may be the border itself.
    assert drawn["cut_x"].max() <= 40
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


def test_the_camera_comes_in_its_order():
    """The lens blurs, the sensor adds noise, and the file loses what it can."""
    images = np.repeat(picture(), 64, axis=0)
    settings = {"blur": 1.5, "noise": 20, "compression": 10}
    keys = keys_of(64)
    found = face_pipeline("none", **settings)(images, keys).numpy()
    by_steps = face_pipeline("none", blur=1.5)(images, keys)
    by_steps = face_pipeline("none", noise=20)(by_steps, keys)
    by_steps = face_pipeline("none", compression=10)(by_steps, keys).numpy()
    np.testing.assert_array_equal(found, by_steps)
    # Strengths differ from picture to picture, down to next to nothing.
    changes = np.abs(face_pipeline("none", blur=1.5)(images, keys).numpy() - images).mean((1, 2, 3))
    assert changes.min() < 0.1 * changes.max()


def test_a_share_of_pictures_is_left_as_sharp_as_it_came():
    images = np.repeat(picture(), 2_000, axis=0)
    settings = {"blur": 1.5, "noise": 20, "compression": 10}
    keys = keys_of(2_000)
    found = face_pipeline("none", degradation_probability=0.3, **settings)(images, keys).numpy()
    degraded = (found != images).any((1, 2, 3))
    assert abs(degraded.mean() - 0.3) < 0.05
    every = face_pipeline("none", **settings)(images, keys).numpy()
    np.testing.assert_array_equal(found[degraded], every[degraded])
    # Which pictures these are says nothing of how strongly they are degraded.
    strengths = np.abs(every - images).mean((1, 2, 3))
    assert abs(strengths[degraded].mean() / strengths.mean() - 1) < 0.1


def test_nothing_asked_nothing_done():
    images = picture()
    np.testing.assert_array_equal(face_pipeline("none")(images, keys_of(1)), images)
    # Each transform alone is really on, and off where it is at rest.
    changes = (
        {"rotation": 9}, {"shift": 3}, {"contrast": 2}, {"cutout": 9}, {"noise": 9}, {"blur": 1},
        {"compression": 5},
    )  # fmt: skip
    for change in changes:
        keys = keys_of(8)
        changed = face_pipeline("none", **change)(np.repeat(images, 8, axis=0), keys).numpy()
        assert np.abs(changed - images).max() > 5, change


def test_integer_pictures():
    images = picture().astype("uint8")
    pipeline = face_pipeline("strong")
    np.testing.assert_array_equal(
        pipeline(images, keys_of(1)), pipeline(images.astype("float32"), keys_of(1))
    )


@pytest.mark.parametrize("mixup", [0, pytest.param(0.7, marks=mixing)])
def test_same_at_any_number_of_parallel_calls(mixup):
    images, labels = np.concatenate([picture(seed=s) for s in range(32)]), labels_of(32)
    pipeline = face_pipeline("camera", mixup=mixup)

    def passes(calls, seed=0):
        data = with_keys(tf.data.Dataset.from_tensor_slices((images, labels)).batch(4), seed=seed)
        data = data.map(
            lambda keys, images, labels: pipeline(images, keys, labels), num_parallel_calls=calls
        )
        return [
            np.concatenate([np.hstack([x.reshape(4, -1), y["emotion"]]) for x, y in one_pass])
            for one_pass in (data.as_numpy_iterator() for _ in range(2))
        ]

    one, many = passes(1), passes(8)
    np.testing.assert_array_equal(one, many)
    assert not np.array_equal(one[0], one[1]), "each epoch draws anew"
    assert not np.array_equal(one[0], passes(1, seed=1)[0])


def labels_of(count):
    random = np.random.default_rng(1)
    return {
        "emotion": random.dirichlet(np.ones(8), count).astype("float32"),
        "valence_arousal": random.uniform(-1, 1, (count, 2)).astype("float32"),
    }


def test_labels_and_weights_pass_where_nothing_is_mixed():
    images, labels, weights = picture(), labels_of(1), np.ones(1, "float32")
    pipeline = face_pipeline("light")
    assert not pipeline.mixes_labels
    alone = pipeline(images, keys_of(1))
    with_labels = pipeline(images, keys_of(1), labels)
    assert with_labels[1] is labels
    with_weights = pipeline(images, keys_of(1), labels, weights)
    assert with_weights[1:] == (labels, weights)
    for changed in (with_labels[0], with_weights[0]):
        np.testing.assert_array_equal(changed, alone)


@mixing
def test_mixup_comes_last_and_takes_the_labels_along():
    images, labels = np.concatenate([picture(seed=s) for s in range(8)]), labels_of(8)
    weights = np.linspace(0, 2, 8, dtype="float32")
    pipeline = face_pipeline("strong", mixup=0.7)
    assert pipeline.mixes_labels
    augmented = face_pipeline("strong")(images, keys_of(8))
    expected = Mixup(0.7)(augmented, labels, weights, keys=keys_of(8))
    ours = pipeline(images, keys_of(8), labels, weights)
    for one, other in zip(keras.tree.flatten(ours), keras.tree.flatten(expected), strict=True):
        np.testing.assert_array_equal(one, other)
    assert np.abs(ours[0] - augmented).max() > 20
    assert np.abs(ours[1]["emotion"] - labels["emotion"]).max() > 0.05


@mixing
def test_a_mixup_of_one_s_own():
    """With `mask_missing`, what is missing comes out as sample weights."""
    images, labels = np.concatenate([picture(seed=s) for s in range(4)]), labels_of(4)
    labels["valence_arousal"][:] = np.nan
    pipeline = face_pipeline("none", mixup=Mixup(mask_missing=True))
    _, mixed, weights = pipeline(images, keys_of(4), labels)
    np.testing.assert_array_equal(mixed["valence_arousal"], 0)
    np.testing.assert_array_equal(weights["valence_arousal"], 0)
    np.testing.assert_allclose(weights["emotion"], 1, rtol=1e-6)


def test_settings_of_one_s_own():
    assert face_pipeline("strong", rotation=20.0, cutout=0) == FacePipeline(rotation=20.0, cutout=0)
    light = face_pipeline("light", cutout=9)
    assert (light.rotation, light.cutout, light.cutout_probability) == (11.0, 9, 0.5)
    assert face_pipeline() == FacePipeline()


def message(make):
    with pytest.raises(ValueError) as caught:  # noqa: PT011, the whole text is compared
        make()
    return str(caught.value)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"flip": 1.5}, "`flip`. Expected a number in [0, 1]. Received: flip=1.5"),
        ({"flip": True}, "`flip`. Expected a number in [0, 1]. Received: flip=True"),
        (
            {"degradation_probability": 1.5},
            "`degradation_probability`. Expected a number in [0, 1]. "
            "Received: degradation_probability=1.5",
        ),
        ({"blur": 5}, "`blur`. Expected a number in [0, 4]. Received: blur=5"),
        (
            {"compression": 0},
            "`compression`. Expected a number in [1, 100]. Received: compression=0",
        ),
        ({"scale": 0.5}, "`scale`. Expected a number in [1, 4]. Received: scale=0.5"),
        (
            {"noise": float("nan")},
            "`noise`. Expected a number in [0, 128]. Received: noise=nan",
        ),
        ({"rotation": "15"}, "`rotation`. Expected a number in [0, 180]. Received: rotation='15'"),
        (
            {"shift": float("inf")},
            "`shift`. Expected a finite number of 0 or more. Received: shift=inf",
        ),
        ({"cutout": 8.5}, "`cutout`. Expected an integer of 0 or more. Received: cutout=8.5"),
        (
            {"mixup": -0.1},
            "`mixup`. Expected a finite number of 0 or more, or a Mixup. Received: mixup=-0.1",
        ),
        (
            {"mixup": "0.2"},
            "`mixup`. Expected a finite number of 0 or more, or a Mixup. Received: mixup='0.2'",
        ),
    ],
    ids=str,
)
def test_bad_settings(settings, expected):
    assert message(lambda: FacePipeline(**settings)) == f"Invalid value for argument {expected}"
    assert message(lambda: face_pipeline(**settings)) == f"Invalid value for argument {expected}"


def test_bad_names():
    assert message(lambda: face_pipeline("weak")) == (
        "Invalid value for argument `strength`. Expected one of none, light, strong, camera, "
        "moderate. Received: strength='weak'"
    )
    assert message(lambda: face_pipeline(rotate=3)) == (
        "Invalid value for argument `settings`. Expected some of flip, rotation, scale, shift, "
        "contrast, brightness, noise, blur, compression, degradation_probability, cutout, "
        "cutout_probability, mixup. "
        "Received: rotate=3"
    )


def test_bad_calls():
    assert message(lambda: FacePipeline()(picture()[0], keys_of(1))) == (
        "Invalid value for argument `images`. Expected shape (batch, height, width, channels). "
        "Received: shape (48, 48, 1)"
    )
    assert message(lambda: FacePipeline(cutout=20)(picture(48, 19), keys_of(1))) == (
        "Invalid value for argument `cutout`. Expected at most the images' height and width. "
        "Received: cutout=20 for images of shape (1, 48, 19, 1)"
    )
    assert message(lambda: FacePipeline(mixup=0.2)(picture(), keys_of(1))) == (
        "Invalid value for argument `labels`. Expected the pictures' labels, which mixup mixes "
        "too. Received: labels=None with mixup=0.2"
    )
