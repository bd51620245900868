import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_affect import emotions
from keras_affect.datasets import votes as rules

HAPPY, NEUTRAL, UNKNOWN, NF = 1, 0, 8, 9


def row(**counts):
    return [[counts.get(name, 0) for name in rules.COLUMNS]]


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({"happiness": 10}, 1),
        ({"happiness": 5, "neutral": 5}, -1),  # exactly half is not more than half
        ({"happiness": 5, "neutral": 4, "fear": 1}, 1),  # the single vote counts as 0: 5 of 9
        ({"happiness": 4, "neutral": 3, "fear": 3}, -1),
        ({"unknown": 8, "fear": 2}, -1),
        ({"NF": 10}, -1),
        (dict.fromkeys(rules.COLUMNS, 1), -1),  # nothing is left
        ({"contempt": 6, "unknown": 4}, 7),
    ],
)
def test_majority(counts, expected):
    assert rules.majority(row(**counts)).tolist() == [expected]


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({"happiness": 8, "neutral": 2}, {"happiness": 1}),  # 80 % reached by the first peak
        ({"happiness": 6, "neutral": 4}, {"happiness": 0.6, "neutral": 0.4}),
        ({"happiness": 4, "neutral": 4, "fear": 2}, {"happiness": 0.5, "neutral": 0.5}),
        # Stops at unknown, which is not taken: 4 of 8 is not more than half, so dropped.
        ({"happiness": 4, "unknown": 4}, {}),
        ({"happiness": 6, "unknown": 4}, {"happiness": 1}),
        ({"unknown": 6, "happiness": 4}, {}),
        # Equal peaks are taken together; four are too many.
        ({"happiness": 2, "neutral": 2, "fear": 2, "anger": 2, "sadness": 2}, {}),
        ({"happiness": 1, "neutral": 1}, {}),
    ],
)
def test_distribution(counts, expected):
    want = [expected.get(name, 0) for name in emotions.NAMES]
    np.testing.assert_allclose(rules.distribution(row(**counts)), [want], rtol=1e-6)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({"happiness": 7, "neutral": 3}, ["happiness", "neutral"]),
        ({"happiness": 8, "neutral": 2}, ["happiness"]),
        ({"happiness": 4, "neutral": 2, "fear": 2, "anger": 2}, []),  # 4 of 10 is too little
        ({"unknown": 6, "happiness": 4}, []),
        ({"unknown": 4, "happiness": 6}, ["happiness"]),
    ],
)
def test_multi_label(counts, expected):
    want = [float(name in expected) for name in emotions.NAMES]
    assert rules.multi_label(row(**counts)).tolist() == [want]


def test_outlier_free_and_valence_arousal():
    votes = row(happiness=6, anger=2, fear=1, unknown=1) + row(fear=1, NF=9)
    shares = rules.outlier_free(votes)
    np.testing.assert_allclose(shares[0], [0, 0.75, 0, 0, 0.25, 0, 0, 0])
    np.testing.assert_array_equal(shares[1], 0)
    points = rules.valence_arousal(votes)
    np.testing.assert_allclose(
        points[0], [0.75 * 0.81 - 0.25 * 0.51, 0.75 * 0.51 + 0.25 * 0.59], rtol=1e-6
    )
    assert np.isnan(points[1]).all()


def _slow(row, mode):
    """The rules once more, image by image, as the paper's section 4 tells them."""
    v = [0 if x <= 1 else float(x) for x in row]
    total = sum(v)
    if mode == "majority":
        best = max(range(10), key=lambda i: (v[i], -i))
        return best if v[best] > total / 2 and best < 8 else -1
    if mode == "multi_label":
        chosen = [i for i in range(10) if v[i] >= 0.3 * total]
        if sum(v[i] for i in chosen) <= total / 2 + sys.float_info.epsilon:
            return [0.0] * 8
        if max(chosen, key=lambda i: (v[i], -i)) >= 8:
            return [0.0] * 8
        return [float(i in chosen and v[i] > 0) for i in range(8)]
    raise AssertionError(mode)


@given(st.lists(st.lists(st.integers(0, 10), min_size=10, max_size=10), min_size=1, max_size=20))
def test_rules_against_image_by_image(votes):
    assert rules.majority(votes).tolist() == [_slow(row, "majority") for row in votes]
    assert rules.multi_label(votes).tolist() == [_slow(row, "multi_label") for row in votes]
    spread = rules.distribution(votes)
    sums = spread.sum(axis=1)
    assert np.all((np.abs(sums - 1) < 1e-6) | (sums == 0))
    # Where one emotion holds more than half, every rule that keeps the image agrees on the peak.
    peak = rules.majority(votes)
    both = (peak >= 0) & (sums > 0)
    assert np.array_equal(spread.argmax(axis=1)[both], peak[both])


@pytest.mark.parametrize("rule", [rules.majority, rules.distribution, rules.valence_arousal])
def test_bad_votes(rule):
    with pytest.raises(ValueError, match=r"Expected shape \(images, 10\)\. Received: shape \(1, 9"):
        rule([[1] * 9])
    with pytest.raises(ValueError, match="counts of 0 or more"):
        rule([[-1] + [1] * 9])
