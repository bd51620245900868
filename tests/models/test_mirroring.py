"""Models that see each picture mirrored too, and say the same of both."""

import keras
import numpy as np
import pytest

from keras_affect import models
from keras_affect.models import GoogLeNet, LightweightCNN, TemporalAffect

NAMES = ["LightweightCNN", "ResNet18", "ResNet50", "AlexNet", "VGG13", "VGG16", "GoogLeNet"]


@pytest.fixture
def pictures():
    return np.random.default_rng(0).uniform(0, 255, (3, 48, 48, 1)).astype("float32")


def turned(images):
    """Mirrored left to right, in memory of its own: PyTorch takes no view that runs backwards."""
    return np.ascontiguousarray(images[..., ::-1, :])


def numbers(tensor):
    return keras.ops.convert_to_numpy(tensor)


def pair(cls=LightweightCNN, **arguments):
    """A model and one with the same weights that sees mirror images too."""
    arguments = {"weights": None, "width": 0.25} | arguments
    plain, mirrored = (cls(**arguments, mirrored=flag) for flag in (False, True))
    mirrored.set_weights(plain.get_weights())
    return plain, mirrored


def paths(model):
    """Those of the variables, without the model's own name."""
    return [variable.path.partition("/")[2] for variable in model.variables]


@pytest.mark.parametrize("name", NAMES)
def test_every_model_says_the_same_of_a_mirror_image(name, pictures):
    plain, model = pair(getattr(models, name), width=0.125)
    assert model.count_params() == plain.count_params()
    assert paths(model) == paths(plain)
    pictures = pictures / 255  # dark, or deep random networks are sure of everything
    of_both = [model(images, training=False) for images in (pictures, turned(pictures))]
    apart = [plain(images, training=False) for images in (pictures, turned(pictures))]
    for output, values in of_both[0].items():
        assert values.shape[0] == len(pictures)
        np.testing.assert_allclose(numbers(values), numbers(of_both[1][output]), atol=2e-6)
        assert np.abs(numbers(apart[0][output]) - numbers(apart[1][output])).max() > 1e-5


def test_maps_and_features_are_means_of_both(pictures):
    plain, model = pair(include_top=False)
    assert model.output_shape == plain.output_shape
    first, second = (numbers(plain(images)) for images in (pictures, turned(pictures)))
    expected = (first + second[:, :, ::-1]) / 2
    np.testing.assert_allclose(numbers(model(pictures)), expected, rtol=1e-4, atol=1e-5)
    pooled = LightweightCNN(
        weights=None, width=0.25, include_top=False, pooling="avg", mirrored=True
    )
    pooled.set_weights(plain.get_weights())
    expected = expected.mean(axis=(1, 2))
    np.testing.assert_allclose(numbers(pooled(pictures)), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_round_trip(dtype, pictures, tmp_path):
    model = LightweightCNN(weights=None, width=0.25, mirrored=True, dtype=dtype)
    assert model.mirrored is model.get_config()["mirrored"] is True
    model.save(tmp_path / "mirrored.keras")
    loaded = models.load(tmp_path / "mirrored.keras")
    assert loaded.mirrored
    for output, values in model(pictures, training=False).items():
        np.testing.assert_array_equal(
            numbers(loaded(pictures, training=False)[output]), numbers(values)
        )


def test_a_file_from_before_the_argument(tmp_path):
    model = LightweightCNN(weights=None, width=0.25)
    config = model.get_config()
    assert config.pop("mirrored") is False
    assert LightweightCNN.from_config(config).mirrored is False


def test_training(pictures):
    model = LightweightCNN(weights=None, width=0.25, mirrored=True, dropout=0.0)
    losses = {"emotion": "categorical_crossentropy", "valence_arousal": "mse"}
    model.compile(keras.optimizers.Adam(1e-2), loss=losses)
    labels = {
        "emotion": np.eye(8, dtype="float32")[:3],
        "valence_arousal": np.zeros((3, 2), "float32"),
    }
    seen = [model.train_on_batch(pictures, labels)[0] for _ in range(12)]
    assert seen[-1] < seen[0] / 2


def test_auxiliary_heads_see_both(pictures):
    model = GoogLeNet(width=0.25, mirrored=True, dropout=0.0)
    training = model.training_model()
    of_both = [training(images, training=False) for images in (pictures, turned(pictures))]
    for output in ("emotion", "emotion_aux1", "emotion_aux2"):
        assert of_both[0][output].shape == (3, 8)
        np.testing.assert_allclose(
            numbers(of_both[0][output]), numbers(of_both[1][output]), atol=2e-6
        )


def test_as_the_encoder_of_frames():
    encoder = LightweightCNN(
        weights=None, width=0.25, include_top=False, pooling="avg", mirrored=True
    )
    model = TemporalAffect(encoder, units=8)
    clip = np.random.default_rng(1).uniform(0, 255, (2, 3, 48, 48, 1)).astype("float32")
    of_both = [model(frames, training=False) for frames in (clip, turned(clip))]
    for output, values in of_both[0].items():
        np.testing.assert_allclose(numbers(values), numbers(of_both[1][output]), atol=2e-6)


def test_bad_input():
    with pytest.raises(ValueError, match=r"`mirrored`. Expected True or False.*mirrored=1"):
        LightweightCNN(weights=None, mirrored=1)
