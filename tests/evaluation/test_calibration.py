import numpy as np
import pytest

from keras_affect.evaluation import reliability


def sure_of_happiness(probability):
    """Rows that give happiness this much and the rest to anger and fear alike."""
    rows = np.zeros((len(probability), 8))
    rows[:, 1] = probability
    rows[:, 4] = rows[:, 6] = (1 - np.asarray(probability)) / 2
    return rows


def happy_of_ten(counts):
    """Votes: so many of ten for happiness, the rest for anger."""
    votes = np.zeros((len(counts), 10))
    votes[:, 1] = counts
    votes[:, 4] = 10 - np.asarray(counts)
    return votes


def test_by_hand():
    found = reliability(
        sure_of_happiness([0.9, 0.5, 0.7, 0.6]), happy_of_ten([10, 8, 6, 7]), bins=2
    )
    np.testing.assert_allclose(found.confidence, [0.55, 0.8])
    np.testing.assert_allclose(found.share, [0.75, 0.8])
    assert found.count.tolist() == [2, 2]
    assert found.error == pytest.approx(0.1)


def test_bins_of_uneven_counts_weigh_by_them():
    found = reliability(sure_of_happiness([0.6, 0.7, 0.8]), happy_of_ten([8, 8, 8]), bins=2)
    assert found.count.tolist() == [2, 1]
    assert found.error == pytest.approx((2 * 0.15 + 1 * 0.0) / 3)


def test_equal_probabilities_share_their_votes():
    # Of six equally sure images three have 10 votes and three 6: however they fall into bins.
    votes = [10, 10, 10, 6, 6, 6]
    for order in (votes, votes[::-1], [10, 6] * 3):
        found = reliability(sure_of_happiness([0.75] * 6), happy_of_ten(order), bins=3)
        np.testing.assert_allclose(found.share, 0.8)
        assert found.error == pytest.approx(0.05)


def test_fifteen_bins_by_default_and_fewer_for_few_images():
    generator = np.random.default_rng(0)
    found = reliability(sure_of_happiness(generator.uniform(0.5, 1, 100)), happy_of_ten([9] * 100))
    assert sorted(found.count) == [6] * 5 + [7] * 10
    assert (np.diff(found.confidence) > 0).all()
    assert len(reliability(sure_of_happiness([0.6, 0.9]), happy_of_ten([9, 9])).count) == 2


def test_images_without_majority_are_left_out():
    votes = happy_of_ten([9, 5, 9])
    assert reliability(sure_of_happiness([0.6, 0.8, 0.9]), votes).count.sum() == 2


def test_bad_bins():
    with pytest.raises(ValueError, match=r"argument `bins`\. Expected 1 or more.*bins=0"):
        reliability(sure_of_happiness([0.6]), happy_of_ten([9]), bins=0)
