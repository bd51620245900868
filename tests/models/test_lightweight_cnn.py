import subprocess
import sys

import keras
import numpy as np
import pytest

from keras_affect import emotions
from keras_affect.models import LightweightCNN
from keras_affect.models.heads import class_names_of
from keras_affect.runtime import AffectInterpreter
from keras_affect.weights import catalog
from keras_affect.weights.storage import (
    load_weights,
    save_weights_float16,
    variables_by_key,
)


def pictures(count=4, height=48, width=48, channels=1):
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (count, height, width, channels)).astype(np.float32)


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return LightweightCNN(weights=None)


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


def test_a_stem_of_several_convolutions(tmp_path):
    model = LightweightCNN(weights=None, stem_convolutions=2)
    assert model.count_params() == 447_546
    assert LightweightCNN(weights=None).count_params() + 3 * 3 * 32 * 32 + 4 * 32 == 447_546
    # The second one reads the whole picture, before the first pooling.
    second = model.get_layer("stem_2_conv")
    assert second.input.shape == second.output.shape == (None, 48, 48, 32)
    assert model.get_layer("stem_pool").input is model.get_layer("stem_2_relu").output
    assert "stem_3_conv" not in {layer.name for layer in model.layers}
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    assert loaded.stem_convolutions == loaded.get_config()["stem_convolutions"] == 2
    images = pictures()
    np.testing.assert_array_equal(
        np.asarray(loaded(images)["emotion"]), np.asarray(model(images)["emotion"])
    )


def test_mirror_images_are_seen_as_the_weights_were_trained():
    model = LightweightCNN(weights="ferplus_tiny_v4")
    assert model.mirrored is True
    assert LightweightCNN(weights="ferplus_tiny_v3").mirrored is False
    alone = LightweightCNN(weights="ferplus_tiny_v4", mirrored=False)
    assert alone.mirrored is False
    for one, other in zip(model.get_weights(), alone.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert LightweightCNN(weights="ferplus_tiny_v4", include_top=False).mirrored is True


def test_the_int8_file_says_the_same_of_a_mirror_image():
    face = np.random.default_rng(0).uniform(0, 255, (48, 48)).astype("uint8")
    faces = [face, np.ascontiguousarray(face[:, ::-1])]
    differences = {}
    for name in ("ferplus_tiny_v3", "ferplus_tiny_v4"):
        interpreter = AffectInterpreter(name)
        one, other = (interpreter.run(image[None, ..., None])["emotion"] for image in faces)
        differences[name] = np.abs(one - other).max()
    assert differences["ferplus_tiny_v4"] <= 1 / 256 < 2 / 256 < differences["ferplus_tiny_v3"]


def test_the_stem_is_that_of_the_weights(tmp_path):
    """Those of before the argument have one convolution; another one is refused, not skipped."""
    assert LightweightCNN(weights="ferplus_tiny_v3").stem_convolutions == 2
    assert LightweightCNN(weights="ferplus_tiny_v2").stem_convolutions == 1
    deep = LightweightCNN(weights=None, width=0.25, stem_convolutions=2)
    path = tmp_path / "deep.weights.h5"
    save_weights_float16(deep, path)
    loaded = LightweightCNN(weights=str(path), width=0.25, stem_convolutions=2)
    assert loaded.count_params() == deep.count_params()
    with pytest.raises(
        ValueError, match=r"deep\.weights\.h5: holds stem_2_.*lightweight_cnn lacks"
    ):
        LightweightCNN(weights=str(path), width=0.25)
    with pytest.raises(ValueError, match=r"holds stem_2_"):
        LightweightCNN(weights="ferplus_tiny_v3", stem_convolutions=1)
    LightweightCNN(weights=str(path), width=0.25, skip_mismatch=True)
    LightweightCNN(weights=str(path), width=0.25, stem_convolutions=2, include_top=False)
    assert LightweightCNN(weights="ferplus_v1").stem_convolutions == 1
    with pytest.raises(ValueError, match="stem_2"):
        LightweightCNN(weights="ferplus_v1", stem_convolutions=2)


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
        ({"stem_convolutions": 0}, r"`stem_convolutions`. Expected an integer of 1 or more"),
        ({"stem_convolutions": True}, r"`stem_convolutions`.*stem_convolutions=True"),
        ({"width": 0}, r"argument `width`. Expected a number in \[0.1, 8\].*width=0"),
        ({"input_shape": (48, 48)}, r"argument `input_shape`. Expected \(height, width, channels"),
        ({"input_shape": (8, 48, 1)}, r"sides of at least 16"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        LightweightCNN(weights=None, **arguments)


def as_first_trained():
    """The network in Keras's own layers, as it was when ferplus_v1 was trained."""
    layers = keras.layers

    def convolution(x, channels, name, kernel=3, strides=1):
        x = layers.Conv2D(
            channels, kernel, strides, padding="same", use_bias=False, name=f"{name}_conv"
        )(x)
        return layers.BatchNormalization(momentum=0.9, name=f"{name}_bn")(x)

    image = keras.Input((48, 48, 1))
    x = layers.ReLU()(convolution(layers.Rescaling(1 / 255)(image), 32, "stem"))
    x = layers.MaxPooling2D(2)(x)
    for stage, channels in enumerate((32, 64, 88), 1):
        for block in (1, 2):
            name = f"stage{stage}_block{block}"
            strides = 2 if stage > 1 and block == 1 else 1
            branch = layers.ReLU()(convolution(x, channels, f"{name}_1", strides=strides))
            branch = convolution(branch, channels, f"{name}_2")
            if strides > 1:
                x = layers.AveragePooling2D(2, padding="same")(x)
                x = convolution(x, channels, f"{name}_shortcut", kernel=1)
            x = layers.ReLU()(layers.Add()([x, branch]))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(
        image,
        {
            "emotion": layers.Dense(8, "softmax", name="emotion")(x),
            "valence_arousal": layers.Dense(2, "tanh", name="valence_arousal")(x),
        },
    )


@pytest.mark.parametrize("arguments", [{}, {"drop_connect": 0.5, "l2": 1e-4, "dropout": 0.1}])
def test_shipped_weights_give_what_they_gave(arguments):
    """To the bit, whatever arguments the class has got since, and whatever regularises."""
    path = catalog.find("LightweightCNN", "ferplus_v1", "keras").verified_path()
    reference = as_first_trained()
    assert load_weights(reference, path) == []
    model = LightweightCNN(weights="ferplus_v1", **arguments)
    assert sorted(variables_by_key(model)) == sorted(variables_by_key(reference))
    images = pictures()
    for name, values in reference(images, training=False).items():
        np.testing.assert_array_equal(
            keras.ops.convert_to_numpy(model(images, training=False)[name]),
            keras.ops.convert_to_numpy(values),
        )


def test_shipped_weights_are_adapted_to_stochastic_depth():
    images = pictures()
    shipped = LightweightCNN(weights="ferplus_v1")
    expected = shipped.predict(images, verbose=0)
    deep = LightweightCNN(weights="ferplus_v1", stochastic_depth=0.5)
    found = deep.predict(images, verbose=0)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-4, atol=1e-5)
    # The control: without that they would be another network's.
    deep.set_weights(shipped.get_weights())
    assert np.abs(deep.predict(images, verbose=0)["emotion"] - expected["emotion"]).max() > 0.02


def test_dropout_reaches_the_layer():
    assert LightweightCNN(weights=None, dropout=0.45).get_layer("dropout").rate == 0.45
