"""StochasticDepth beside `tfa.layers.StochasticDepth`, on the same inputs and draws."""

from __future__ import annotations

import numpy as np
import pytest
from keras import ops

from keras_affect.layers import StochasticDepth
from tests.parity import addons

THEIRS = addons.arrays("stochastic_depth")
CASES = list(enumerate(THEIRS["survival_probability"].tolist()))
#: TensorFlow's sum of a product may be one fused operation, and rounded once.
ROUNDING = {"rtol": 1e-6, "atol": 1e-6}


def _call(layer, shortcut, residual, training):
    return ops.convert_to_numpy(layer([shortcut, residual], training=training))


def _both_outcomes(probability):
    """Outputs of a layer in training by whether it kept the residual.

    A second layer of the same seed tells what was drawn: its shortcut is 0 and its residual 1.
    """
    layer, told = (StochasticDepth(1 - probability, mode="batch", seed=4) for _ in range(2))
    zero, one = np.zeros((1, 1), np.float32), np.ones((1, 1), np.float32)
    outcomes = {}
    for _ in range(64):
        keeps = bool(_call(told, zero, one, training=True) == 1)
        outcomes[keeps] = _call(layer, THEIRS["shortcut"], THEIRS["residual"], training=True)
    return outcomes


@pytest.mark.parametrize(("place", "probability"), CASES)
def test_training(place, probability):
    ours = _both_outcomes(probability)
    kept = THEIRS["kept"][place]
    assert set(ours) == set(kept.tolist()) == ({True} if probability == 1 else {True, False})
    for keeps, theirs in zip(kept.tolist(), THEIRS["training"][place], strict=True):
        np.testing.assert_allclose(ours[keeps], theirs, **ROUNDING)
        if not keeps:  # The comparison tells one outcome from the other.
            assert np.abs(ours[True] - theirs).max() > 0.1


@pytest.mark.parametrize(("place", "probability"), CASES)
def test_inference(place, probability):
    theirs = THEIRS["inference"][place]
    layer = StochasticDepth(1 - probability, mode="batch")
    ours = _call(layer, THEIRS["shortcut"], THEIRS["residual"], training=False)
    np.testing.assert_allclose(ours, theirs, **ROUNDING)
    assert np.ptp(ours, axis=0).min() > 0


@pytest.mark.parametrize(
    ("place", "probability"), [case for case in CASES if case[1] not in (0.5, 1)]
)
def test_inference_tells_a_rate_from_a_survival_probability(place, probability):
    """The negative control: `survival_probability` handed over as `rate`; and no scaling at all."""
    theirs = THEIRS["inference"][place]
    mistaken = _call(StochasticDepth(probability), THEIRS["shortcut"], THEIRS["residual"], False)
    assert np.abs(mistaken - theirs).max() > 0.1
    assert np.abs(THEIRS["shortcut"] + THEIRS["residual"] - theirs).max() > 0.1
