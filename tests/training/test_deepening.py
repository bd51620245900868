"""A stem of more convolutions that answers as one of fewer, at inference and in training."""

from __future__ import annotations

import numpy as np
import pytest

keras = pytest.importorskip("keras")

from keras_affect.models import LightweightCNN, ResNet18  # noqa: E402
from keras_affect.training import deepen  # noqa: E402
from keras_affect.training.deepening import _rectified  # noqa: E402
from tests.training.networks import pictures, trained  # noqa: E402


def network(stem_convolutions: int = 1, **arguments):
    arguments = {"input_shape": (32, 32, 1), "weights": None, "width": 0.25} | arguments
    return LightweightCNN(stem_convolutions=stem_convolutions, **arguments)


def emotions_of(model, images, training=False):
    return keras.ops.convert_to_numpy(model(images, training=training)["emotion"])


@pytest.mark.parametrize(("before", "after"), [(1, 2), (1, 3), (2, 3)])
def test_answers_as_the_shallow_one(before, after):
    shallow, deep = trained(network(before)), network(after)
    assert deep.count_params() > shallow.count_params()
    images = pictures(shallow)
    outputs = shallow(images, training=False)
    deepen(shallow, deep)
    assert outputs.keys() == {"emotion", "valence_arousal"}
    for name, answer in outputs.items():
        answer = keras.ops.convert_to_numpy(answer)
        assert np.ptp(answer, axis=0).max() > 1e-3  # it tells pictures apart
        deeper = keras.ops.convert_to_numpy(deep(images, training=False)[name])
        np.testing.assert_allclose(deeper, answer, rtol=0, atol=1e-5)


def test_the_same_weights_each_time():
    shallow = trained(network())
    one, two = network(2), network(2)
    deepen(shallow, one)
    deepen(shallow, two)
    for a, b in zip(one.get_weights(), two.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_statistics_behind_a_relu():
    """Against samples: what batch normalisation will find there, and scale back to."""
    scale = np.array([1.0, -0.5, 2.0, 0.3, 0.0, 0.0])
    offset = np.array([0.0, 1.0, -1.5, -0.2, 0.7, -0.7])
    samples = np.random.default_rng(0).normal(offset, np.abs(scale), (400_000, 6)).clip(min=0)
    mean, deviation = _rectified(scale, offset)
    np.testing.assert_allclose(mean, samples.mean(0), rtol=0.02, atol=1e-5)
    np.testing.assert_allclose(deviation, samples.std(0), rtol=0.02, atol=1e-5)


def test_of_a_frozen_network():
    shallow, deep = trained(network()), network(2)
    shallow.trainable = False
    before = emotions_of(shallow, pictures(shallow))
    deepen(shallow, deep)
    np.testing.assert_allclose(emotions_of(deep, pictures(deep)), before, rtol=0, atol=1e-5)


def test_in_training_too_it_answers_much_as_the_shallow_one():
    """Of pictures of noise each place is normally distributed behind a convolution, nearly."""
    shallow, deep = trained(network(dropout=0.0)), network(2, dropout=0.0)
    deepen(shallow, deep)
    images = np.random.default_rng(2).normal(128, 40, (16, 32, 32, 1)).clip(0, 255)
    expected = emotions_of(shallow, images, training=True)
    off = np.abs(emotions_of(deep, images, training=True) - expected).mean()
    # The control: scaled to mean 0 and deviation 1, which is the identity at inference alone.
    normalization = deep.get_layer("stem_2_bn")
    for variable, value in (
        (normalization.gamma, np.sqrt(1 + normalization.epsilon)),
        (normalization.beta, 0.0),
    ):
        variable.assign(np.full(tuple(variable.shape), value, "float32"))
    otherwise = np.abs(emotions_of(deep, images, training=True) - expected).mean()
    assert off < otherwise / 5


def test_it_learns_from_there():
    shallow, deep = trained(network()), network(2)
    deepen(shallow, deep)
    before = keras.ops.convert_to_numpy(deep.get_layer("stem_2_conv").kernel)
    deep.compile(
        keras.optimizers.SGD(0.1), {"emotion": "categorical_crossentropy", "valence_arousal": "mse"}
    )
    labels = {"emotion": np.eye(8)[[0, 1, 2]], "valence_arousal": np.zeros((3, 2))}
    deep.fit(pictures(deep), labels, verbose=0)
    after = keras.ops.convert_to_numpy(deep.get_layer("stem_2_conv").kernel)
    moved = np.abs(after - before)
    assert (moved[before == 0] > 0).mean() > 0.9  # what was 0 is no dead end


def test_into_another_dtype():
    shallow, deep = trained(network()), network(2, dtype="mixed_bfloat16")
    deepen(shallow, deep)
    assert deep.get_layer("stem_2_conv").dtype_policy.name == "mixed_bfloat16"
    assert deep.get_layer("stem_2_conv").kernel.dtype == "float32"


@pytest.mark.parametrize(
    ("shallow", "received"),
    [
        (lambda: network(2), "2 for 2"),
        (lambda: network(3), "3 for 2"),
        (lambda: network(width=0.5), "width 0.5 for 0.25"),
        (lambda: network(input_shape=(32, 32, 3)), "input_shape"),
        (lambda: network(classes=7), "class_names"),
        (lambda: network(valence_arousal=False), "valence_arousal False for True"),
        (lambda: network(include_top=False), "one without its heads"),
        (lambda: network(activation="tanh"), "activation tanh"),
        (lambda: ResNet18((32, 32, 1), None, width=0.25), "a ResNet18"),
    ],
)
def test_refuses_what_is_no_shallower_network(shallow, received):
    deep = network(2)
    before = deep.get_weights()
    with pytest.raises(ValueError, match=rf"argument `shallow`.*stem_convolutions.*{received}"):
        deepen(shallow(), deep)
    for one, two in zip(before, deep.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_shipped_weights():
    shallow = LightweightCNN(weights="ferplus_v1")
    deepen(shallow, LightweightCNN(weights=None, stem_convolutions=2))
