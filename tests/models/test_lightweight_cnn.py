import subprocess
import sys

import keras
import numpy as np
import pytest

from keras_affect import emotions
from keras_affect.models import LightweightCNN
from keras_affect.models.heads import class_names_of


def pictures(count=4, height=48, width=48, channels=1):
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (count, height, width, channels)).astype(np.float32)


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return LightweightCNN(weights=None)


def counted(channels=(32, 64, 88), classes=8):
    """Parameters and multiply-adds by hand: kernels, four numbers a channel of normalisation."""
    parameters = 9 * channels[0] + 4 * channels[0]
    multiply_adds = 9 * channels[0] * 48 * 48
    before = channels[0]
    for place, after in enumerate(channels):
        pixels = (24 >> place) ** 2
        convolutions = [(9, before, after), (9, after, after), (9, after, after), (9, after, after)]
        if before != after:
            convolutions.append((1, before, after))
        for taps, source, target in convolutions:
            parameters += taps * source * target + 4 * target
            multiply_adds += taps * source * target * pixels
        before = after
    for outputs in (classes, 2):
        parameters += (before + 1) * outputs
        multiply_adds += before * outputs
    return parameters, multiply_adds


def multiply_adds_of(model):
    total = 0
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D):
            total += int(np.prod(layer.kernel.shape)) * int(np.prod(layer.output.shape[1:3]))
        elif isinstance(layer, keras.layers.Dense):
            total += int(np.prod(layer.kernel.shape))
    return total


def test_size_is_what_was_asked_for(model):
    parameters, multiply_adds = counted()
    assert model.count_params() == parameters <= 500_000
    assert multiply_adds_of(model) == multiply_adds <= 60_000_000
    said = LightweightCNN.__doc__.splitlines()[0]
    assert f"{parameters:,} parameters" in said
    assert f"{multiply_adds / 1e6:.1f} million" in said


def test_outputs(model):
    outputs = model.predict(pictures(), verbose=0)
    assert set(outputs) == {"emotion", "valence_arousal"}
    assert outputs["emotion"].shape == (4, 8)
    np.testing.assert_allclose(outputs["emotion"].sum(axis=1), 1, rtol=1e-5)
    assert outputs["valence_arousal"].shape == (4, 2)
    assert np.abs(outputs["valence_arousal"]).max() <= 1
    assert np.ptp(outputs["emotion"], axis=0).max() > 0


def test_inference_is_deterministic_and_training_is_not(model):
    images = pictures()
    first, second = (np.asarray(model(images, training=False)["emotion"]) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    trained = LightweightCNN(weights=None, dropout=0.5)
    one, two = (np.asarray(trained(images, training=True)["emotion"]) for _ in range(2))
    assert not np.allclose(one, two)


def test_scaling_lives_inside(model):
    """Raw pixels in [0, 255]: pixels in [0, 1] are another picture, nearly black."""
    images = pictures()
    assert model.get_layer("rescaling").scale == 1 / 255
    raw, scaled = model(images)["emotion"], model(images / 255)["emotion"]
    assert np.abs(np.asarray(raw) - np.asarray(scaled)).max() > 1e-3


def test_saved_and_loaded_without_custom_objects(tmp_path):
    names = ["calm", "tense", "other"]
    model = LightweightCNN((32, 40, 3), None, names, width=0.5, dropout=0.1, valence_arousal=False)
    images = pictures(2, 32, 40, 3)
    model.save(tmp_path / "m.keras")
    expected = np.asarray(model(images)["emotion"])
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    assert type(loaded) is LightweightCNN
    assert loaded.class_names == tuple(names)
    assert loaded.get_config() == model.get_config()
    np.testing.assert_array_equal(np.asarray(loaded(images)["emotion"]), expected)
    # Class and names also come back in a process that only imports the package's models.
    code = (
        "import sys, keras, keras_affect.models as _\n"
        "print(','.join(keras.saving.load_model(sys.argv[1]).class_names))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "m.keras"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "calm,tense,other"


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_fit_learns_and_batch_norm_follows(dtype):
    keras.utils.set_random_seed(0)
    model = LightweightCNN(weights=None, width=0.25, dropout=0.0, dtype=dtype)
    assert model.get_layer("stem_conv").compute_dtype == dtype.replace("mixed_", "")
    # Dark pictures are one class and bright ones another: a net that can't learn this is broken.
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, 128)
    images = (rng.uniform(0, 100, (128, 48, 48, 1)) + 120 * label[:, None, None, None]).astype(
        np.float32
    )
    targets = {
        "emotion": np.eye(8, dtype=np.float32)[label],
        "valence_arousal": np.stack([label - 0.5, 0.5 - label], axis=1).astype(np.float32),
    }
    model.compile(
        keras.optimizers.Adam(3e-3),
        loss={"emotion": "categorical_crossentropy", "valence_arousal": "mse"},
        jit_compile=False,
    )
    history = model.fit(images, targets, batch_size=32, epochs=12, verbose=0).history
    assert history["loss"][-1] < 0.25 * history["loss"][0]
    outputs = model.predict(images, verbose=0)
    assert outputs["emotion"].dtype == np.float32
    assert np.mean(outputs["emotion"].argmax(axis=1) == label) > 0.95


def test_width_scales_channels_in_eights():
    narrow = LightweightCNN(weights=None, width=0.3)
    channels = {layer.filters for layer in narrow.layers if isinstance(layer, keras.layers.Conv2D)}
    assert channels == {8, 16, 24}
    assert multiply_adds_of(narrow) < multiply_adds_of(LightweightCNN(weights=None)) / 8


def test_class_names():
    assert class_names_of(8) == emotions.NAMES
    assert class_names_of(3) == ("class_0", "class_1", "class_2")
    assert class_names_of(["a", "b"]) == ("a", "b")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"classes": 1}, r"argument `classes`. Expected an integer of 2 or more.*classes=1"),
        ({"classes": ["a", "a"]}, r"argument `classes`"),
        ({"classes": "happy"}, r"argument `classes`"),
        ({"classes": ["a", ""]}, r"argument `classes`"),
        ({"dropout": 1.0}, r"argument `dropout`. Expected a float in \[0, 1\).*dropout=1.0"),
        ({"dropout": float("nan")}, r"dropout=nan"),
        ({"width": 0}, r"argument `width`. Expected a number in \[0.1, 8\].*width=0"),
        ({"input_shape": (48, 48)}, r"argument `input_shape`. Expected \(height, width, channels"),
        ({"input_shape": (8, 48, 1)}, r"sides of at least 16"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        LightweightCNN(weights=None, **arguments)


def test_dropout_reaches_the_layer():
    assert LightweightCNN(weights=None, dropout=0.45).get_layer("dropout").rate == 0.45
