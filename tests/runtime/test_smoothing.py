"""The exponential filter, beside its closed form and over predictions."""

import numpy as np
import pytest

from keras_affect.runtime.prediction import Face, Prediction
from keras_affect.runtime.smoothing import ExponentialFilter, PredictionFilter


def test_it_is_the_weighted_mean_of_all_that_was_seen():
    """Each value weighs what its share was, times 1/2 to the half-lives since."""
    rng = np.random.default_rng(0)
    values, times = rng.normal(size=(20, 3)), np.cumsum(rng.uniform(0.01, 0.4, 20))
    smooth = ExponentialFilter(half_life=0.2, longest_gap=None)
    found = [smooth.update(row, time) for row, time in zip(values, times, strict=True)]
    shares = np.array([1, *(1 - 0.5 ** (np.diff(times) / 0.2))])
    for last in range(20):
        weights = shares[: last + 1] * 0.5 ** ((times[last] - times[: last + 1]) / 0.2)
        assert weights.sum() == pytest.approx(1)
        np.testing.assert_allclose(found[last], weights @ values[: last + 1], atol=1e-12)


@pytest.mark.parametrize("rate", [5, 25, 100])
def test_half_of_a_jump_after_a_half_life_at_every_frame_rate(rate):
    smooth = ExponentialFilter(half_life=0.4)
    smooth.update([0.0], 0)
    for frame in range(1, int(0.4 * rate) + 1):
        (value,) = smooth.update([1.0], frame / rate)
    assert value == pytest.approx(0.5)


def test_it_forgets_after_a_gap_and_after_reset():
    smooth = ExponentialFilter(half_life=10, longest_gap=0.5)
    smooth.update([1.0], 0)
    assert smooth.update([0.0], 0.5) > 0.9
    assert smooth.update([0.0], 1.01) == 0
    smooth.reset()
    assert smooth.update([3.0, 4.0], 0).tolist() == [3, 4]


def test_what_it_gives_is_not_what_it_keeps():
    smooth = ExponentialFilter()
    smooth.update([1.0], 0)[:] = 100
    assert smooth.update([1.0], 0.1) == 1


@pytest.mark.parametrize(
    ("values", "time", "message"),
    [
        ([np.nan], 2, r"argument `values`. Expected finite numbers. Received: \[nan\]"),
        ([1.0, 2.0], 2, r"Expected the shape \(1,\) .* Received: shape \(2,\)"),
        ([1.0], 0.5, r"argument `time`. Expected seconds that do not run back from 1; .*=0.5"),
        ([1.0], np.nan, "argument `time`"),
    ],
)
def test_what_it_refuses_changes_nothing(values, time, message):
    smooth = ExponentialFilter()
    smooth.update([1.0], 1)
    with pytest.raises(ValueError, match=message):
        smooth.update(values, time)
    assert smooth.update([2.0], 1) == 1


@pytest.mark.parametrize("argument", ["half_life", "longest_gap"])
@pytest.mark.parametrize("seconds", [0, -1, np.inf, True, "1"])
def test_seconds_are_checked(argument, seconds):
    with pytest.raises(ValueError, match=rf"argument `{argument}`\. Expected a finite number"):
        ExponentialFilter(**{argument: seconds})


def _prediction(share: float, valence: float | None = None, face: Face | None = None):
    return Prediction("a" if share > 0.5 else "b", {"a": share, "b": 1 - share}, valence,
                      None if valence is None else -valence, face)  # fmt: skip


def test_predictions_are_smoothed_whole():
    smooth = PredictionFilter(half_life=0.1)
    assert smooth.update(_prediction(0.9, 0.8), 0) == _prediction(0.9, 0.8)
    face = Face((0, 0, 9, 9), None)
    found = smooth.update(_prediction(0.3, 0.0, face), 0.1)
    assert found.probabilities == pytest.approx({"a": 0.6, "b": 0.4})
    # This frame alone would be "b".
    assert found.emotion == "a"
    assert found.probability == pytest.approx(0.6)
    assert (found.valence, found.arousal) == pytest.approx((0.4, -0.4))
    assert found.face is face


def test_models_without_valence_and_of_other_classes():
    smooth = PredictionFilter()
    smooth.update(_prediction(0.9), 0)
    found = smooth.update(_prediction(0.5), 0.1)
    assert found.valence is None
    assert found.arousal is None
    with pytest.raises(ValueError, match=r"Expected the numbers .* \('a', 'b'\)\. Received: .*val"):
        smooth.update(_prediction(0.5, 0.1), 0.2)
    smooth.reset()
    smooth.update(_prediction(0.5, 0.1), 0.2)
