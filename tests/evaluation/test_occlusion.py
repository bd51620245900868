"""evaluation.occlusion, against loops over pixels, on models that look at a known place."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from PIL import Image

from keras_affect import emotions, evaluation
from keras_affect.models import LightweightCNN
from keras_affect.runtime import AffectInterpreter
from tests.runtime import tiny_models


def one_eyed(rows, columns, shape=(24, 16, 1), named=True):
    """Two classes; the second is the likelier the brighter a window is: it sees nothing else."""
    window = np.zeros(shape, np.float32)
    window[rows, columns] = 1
    image = keras.Input(shape, name="image")
    flat = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(image))
    kernel = np.stack([0 * window.ravel(), 6 * window.ravel() / window.sum()], axis=1)
    head = keras.layers.Dense(2, activation="softmax", name="emotion")
    output = head(flat)
    head.set_weights([kernel, np.array([0, -2.0])])
    model = keras.Model(image, {"emotion": output} if named else output)
    model.class_names = ("calm", "tense")
    return model


def face(height=24, width=16):
    pixels = np.full((height, width), 40, np.uint8)
    pixels[4:8, 8:12] = 250
    return pixels


def by_hand(model, pixels, place, side, stride):
    """For each pixel the mean over the squares that hold it, each of them laid on anew."""
    height, width, _ = pixels.shape

    def probability(image):
        answer = model(image[None].astype(np.float32))["emotion"]
        return float(keras.ops.convert_to_numpy(answer)[0, place])

    whole = probability(pixels)
    color = np.rint(pixels.reshape(-1, pixels.shape[2]).mean(axis=0))
    fall = {}
    for top in range(-side, height + side):
        for left in range(-side, width + side):
            if (top - (stride - side)) % stride or (left - (stride - side)) % stride:
                continue
            inside = [
                (y, x)
                for y in range(top, top + side)
                for x in range(left, left + side)
                if 0 <= y < height and 0 <= x < width
            ]
            if inside:
                covered = pixels.copy()
                for y, x in inside:
                    covered[y, x] = color
                fall[tuple(inside)] = whole - probability(covered)
    mean = np.zeros((height, width))
    for y in range(height):
        for x in range(width):
            mean[y, x] = np.mean([value for inside, value in fall.items() if (y, x) in inside])
    return mean


@pytest.mark.parametrize(("side", "stride"), [(8, 4), (5, 5), (3, 1)])
def test_against_loops(side, stride):
    model = one_eyed(slice(4, 8), slice(8, 12))
    found = evaluation.occlusion(model, face(), "tense", side=side, stride=stride)
    np.testing.assert_array_equal(found.pixels[..., 0], face())
    assert found.drop.shape == (24, 16)
    assert found.drop.dtype == np.float32
    expected = by_hand(model, found.pixels, 1, side, stride)
    np.testing.assert_allclose(found.drop, expected, atol=1e-5)


def test_it_finds_where_the_model_looks():
    model = one_eyed(slice(4, 8), slice(8, 12))
    found = evaluation.occlusion(model, face(), side=4, stride=2)
    assert found.class_name == "tense"
    assert found.probability == pytest.approx(1 / (1 + np.exp(2 - 6 * 250 / 255)), abs=1e-5)
    y, x = np.unravel_index(found.drop.argmax(), found.drop.shape)
    assert 4 <= y < 8
    assert 8 <= x < 12
    assert found.drop[12:].max() == found.drop[12:].min() == 0
    other = evaluation.occlusion(model, face(), "calm", side=4, stride=2)
    np.testing.assert_allclose(other.drop, -found.drop, atol=1e-6)


def test_colour_and_one_output():
    pixels = np.random.default_rng(0).integers(0, 256, (24, 16, 3)).astype(np.uint8)
    window = slice(4, 8), slice(8, 12)
    named, alone = (one_eyed(*window, (24, 16, 3), named=flag) for flag in (True, False))
    found = evaluation.occlusion(alone, pixels, "tense", side=6, stride=3)
    np.testing.assert_array_equal(found.pixels, pixels)
    expected = by_hand(named, pixels, 1, 6, 3)
    np.testing.assert_allclose(found.drop, expected, atol=1e-5)
    assert np.abs(expected).max() > 1e-3


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="the converter is TensorFlow's")
def test_a_file_without_keras_says_the_same(tmp_path):
    path = tmp_path / "tiny.tflite"
    path.write_bytes(tiny_models.described(tiny_models.flatbuffer()))
    picture = tiny_models.faces(1)[0, ..., 0]
    exact = evaluation.occlusion(tiny_models.keras_model(), picture)
    assert exact.class_name in emotions.NAMES
    assert np.abs(exact.drop).max() > 0.01
    for model in (path, str(path), AffectInterpreter(path)):
        found = evaluation.occlusion(model, picture)
        assert (found.class_name, found.pixels.shape) == (exact.class_name, (48, 48, 1))
        np.testing.assert_allclose(found.drop, exact.drop, atol=1e-4)


def test_pictures_are_read_as_a_device_reads_them(tmp_path):
    path = tmp_path / "face.png"
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (90, 60)).astype(np.uint8)).save(path)
    model = LightweightCNN((24, 24, 1), None, width=0.1, classes=["calm", "tense"])
    model.save(tmp_path / "mine.keras")
    found = evaluation.occlusion(tmp_path / "mine.keras", path, "calm")
    assert (found.pixels.shape, found.drop.shape) == ((24, 24, 1), (24, 24))
    assert 0 < found.probability < 1
    with pytest.raises(FileNotFoundError, match=r"none\.png"):
        evaluation.occlusion(model, tmp_path / "none.png")


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"side": 0}, r"`side`.*from 1 to 16"),
        ({"side": 17}, r"`side`.*from 1 to 16"),
        ({"side": 6, "stride": 4}, r"`stride`.*divisor of the side, 6"),
        ({"side": 4, "stride": 5}, r"`stride`.*from 1 to 4"),
        ({"stride": True}, "`stride`"),
        ({"class_name": "glad"}, "`class_name`.*one of calm, tense.*glad"),
    ],
)
def test_arguments_at_fault(arguments, match):
    with pytest.raises(ValueError, match=match):
        evaluation.occlusion(one_eyed(slice(2), slice(2)), face(), **arguments)


def test_models_at_fault():
    image = keras.Input((24, 16, 1))
    for model in (
        keras.Model(image, {"other": keras.layers.Flatten()(image)}),
        keras.Model(image, image),
        keras.Sequential([keras.Input((9,)), keras.layers.Dense(2)]),
        3,
    ):
        with pytest.raises(
            ValueError, match=r"argument `model`\. Expected a functional Keras model"
        ):
            evaluation.occlusion(model, face())
