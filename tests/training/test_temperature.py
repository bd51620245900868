from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("keras")

from keras_affect.training import scale_temperature
from tests.training.small_classifier import answers, network, pictures


def cross_entropy(probabilities: np.ndarray, shares: np.ndarray) -> float:
    return float(-(shares * np.log(probabilities)).sum(axis=1).mean())


def at(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """The probabilities at another temperature, from themselves and not from logits."""
    powers = probabilities.astype(np.float64) ** (1 / temperature)
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("wrap", [False, True])
@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
def test_finds_the_temperature_that_labels_were_made_at(wrap: bool, temperature: float) -> None:
    model, images = network(wrap), pictures(60)
    before, affect = answers(model, images), answers(model, images, "valence_arousal")
    shares = at(before, temperature)
    assert scale_temperature(model, images, shares, batch_size=7) == pytest.approx(
        temperature, rel=1e-4
    )
    after = answers(model, images)
    np.testing.assert_allclose(after, shares, atol=1e-5)
    np.testing.assert_array_equal(after.argmax(axis=1), before.argmax(axis=1))
    np.testing.assert_array_equal(answers(model, images, "valence_arousal"), affect)
    assert scale_temperature(model, images, shares) == pytest.approx(1, rel=1e-4), "once is enough"


def test_no_other_temperature_has_less_cross_entropy() -> None:
    model, images = network(), pictures(60)
    rng = np.random.default_rng(2)
    drawn = [rng.choice(5, p=row / row.sum()) for row in at(answers(model, images), 0.7)]
    shares = np.eye(5)[drawn]
    before = cross_entropy(answers(model, images), shares)
    scale_temperature(model, images, shares)
    after = answers(model, images)
    assert cross_entropy(after, shares) < before
    for factor in (0.9, 0.99, 1.01, 1.1):
        assert cross_entropy(at(after, factor), shares) > cross_entropy(after, shares)


def test_bad_input() -> None:
    model, images = network(), pictures(60)
    given = [weight.copy() for weight in model.get_weights()]
    right = np.eye(5)[answers(model, images).argmax(axis=1)]
    for labels, said in (
        (right[:, :4], r"Expected shape \(60, 5\), a row for each picture. .* shape \(60, 4\)"),
        (right[1:], r"Received: labels of shape \(59, 5\)"),
        (right * 2, r"sum 1\. Received: row 0 with \[.*2\.0"),
        (right * np.nan, "row 0 with"),
        (right, "No temperature from 0.05 to 20 fits"),
        (np.roll(right, 1, axis=1), "No temperature from 0.05 to 20 fits"),
    ):
        with pytest.raises(ValueError, match=said):
            scale_temperature(model, images, labels)
    with pytest.raises(ValueError, match=r"argument `output`. Expected a layer of the model \("):
        scale_temperature(model, images, right, output="mood")
    with pytest.raises(ValueError, match="Expected a Dense layer with bias and softmax"):
        scale_temperature(model, images, right, output="valence_arousal")
    for weight, old in zip(model.get_weights(), given, strict=True):
        np.testing.assert_array_equal(weight, old)
