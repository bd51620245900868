"""Squeeze-and-excitation that answers as a network without, at inference and in training."""

from __future__ import annotations

import numpy as np
import pytest

keras = pytest.importorskip("keras")

from keras_affect.models import LightweightCNN, ResNet18  # noqa: E402
from keras_affect.training import excite  # noqa: E402
from tests.training.networks import pictures, trained  # noqa: E402


def network(squeeze_excitation: float = 0.0, **arguments):
    arguments = {"input_shape": (32, 32, 1), "weights": None, "width": 0.25} | arguments
    return LightweightCNN(squeeze_excitation=squeeze_excitation, **arguments)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("more", [{}, {"output_stride": 4, "mirrored": True}])
def test_answers_as_the_plain_one(training, more):
    more = {"dropout": 0.0} | more
    plain, excited = trained(network(**more)), network(0.25, **more)
    images = pictures(plain)
    excite(plain, excited)
    outputs = plain(images, training=training)
    assert outputs.keys() == {"emotion", "valence_arousal"}
    for name, answer in outputs.items():
        answer = keras.ops.convert_to_numpy(answer)
        assert np.ptp(answer, axis=0).max() > 1e-3  # it tells pictures apart
        found = keras.ops.convert_to_numpy(excited(images, training=training)[name])
        np.testing.assert_allclose(found, answer, rtol=0, atol=1e-4)


def test_it_learns_from_there():
    plain, excited = trained(network()), network(0.25)
    excite(plain, excited)
    excited.compile(
        keras.optimizers.SGD(0.1), {"emotion": "categorical_crossentropy", "valence_arousal": "mse"}
    )
    labels = {"emotion": np.eye(8)[[0, 1, 2]], "valence_arousal": np.zeros((3, 2))}
    names = [f"stage3_block2_{part}_conv" for part in ("reduce", "expand")]
    for _ in range(2):  # what squeezes learns once what excites is no longer 0
        before = [keras.ops.convert_to_numpy(excited.get_layer(name).kernel) for name in names]
        excited.fit(pictures(excited), labels, verbose=0)
    for name, kernel in zip(names, before, strict=True):
        after = keras.ops.convert_to_numpy(excited.get_layer(name).kernel)
        assert np.abs(after - kernel).max() > 0


@pytest.mark.parametrize(
    ("plain", "received"),
    [
        (lambda: network(0.25), "0.25 for 0.25"),
        (lambda: network(width=0.5), "width 0.5 for 0.25"),
        (lambda: network(stem_convolutions=2), "stem_convolutions 2 for 1"),
        (lambda: network(output_stride=4), "output_stride 4 for 8"),
        (lambda: network(mirrored=True), "mirrored True for False"),
        (lambda: network(classes=7), "class_names"),
        (lambda: network(include_top=False), "one without its heads"),
        (lambda: ResNet18((32, 32, 1), None, width=0.25), "a ResNet18"),
    ],
)
def test_refuses_what_is_no_plain_network(plain, received):
    excited = network(0.25)
    before = excited.get_weights()
    with pytest.raises(ValueError, match=rf"argument `plain`.*squeeze_excitation.*{received}"):
        excite(plain(), excited)
    for one, two in zip(before, excited.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_shipped_weights():
    excite(
        LightweightCNN(weights="ferplus_v1"), LightweightCNN(weights=None, squeeze_excitation=0.125)
    )
