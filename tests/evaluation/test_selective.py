from __future__ import annotations

import numpy as np
import pytest

from keras_affect import evaluation
from keras_affect.evaluation.checks import check_pair
from keras_affect.evaluation.selective import SHARES, accuracy_by_share, answered


def model(count: int = 400, steps: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and labels; the surer, the more often right."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (count, 8))
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    label = np.array([rng.choice(8, p=row) for row in probabilities])
    if steps:
        probabilities = np.rint(probabilities * steps) / steps
        probabilities /= probabilities.sum(axis=1, keepdims=True)
    return probabilities, label


def votes_of(label: np.ndarray) -> np.ndarray:
    votes = np.zeros((len(label), 10), np.float32)
    votes[np.arange(len(label)), label] = 10
    return votes


@pytest.mark.parametrize("steps", [None, 16])
def test_curve_picture_by_picture(steps):
    probabilities, label = model(steps=steps)
    certainty, share, accuracy = answered(probabilities, votes_of(label))
    probabilities, _, _ = check_pair(probabilities, votes_of(label))  # divided by their sum
    sure = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == label
    assert (np.diff(certainty) < 0).all()
    assert (np.diff(share) > 0).all()
    for threshold, part, correct in zip(certainty, share, accuracy, strict=True):
        chosen = sure >= threshold
        assert part == chosen.mean()
        assert correct == pytest.approx(right[chosen].mean())
    assert share[-1] == 1
    assert accuracy[-1] == right.mean()
    # What this is for: among those it is surer of it is right more often.
    assert accuracy[share <= 0.3][-1] > accuracy[-1] + 0.1


def test_points_answer_at_least_what_is_asked():
    for steps in (None, 16):
        probabilities, label = model(steps=steps)
        points = accuracy_by_share(probabilities, label)
        assert len(points) == len(SHARES)
        for asked, point in zip(SHARES, points, strict=True):
            assert point["share"] >= asked
            surer = (probabilities.max(axis=1) > point["certainty"]).mean()
            assert surer < asked  # a higher certainty would answer too few
    assert points[0]["share"] == 1


def test_scores_have_the_points_of_the_images_that_are_kept():
    probabilities, label = model()
    votes = votes_of(label)
    votes[:50] = 1  # no majority: left out
    found = evaluation.scores(probabilities, votes)["answered"]
    expected = accuracy_by_share(probabilities[50:], label[50:])
    for point, wanted in zip(found, expected, strict=True):
        assert point == pytest.approx(wanted)
    assert found[0]["accuracy"] == evaluation.scores(probabilities, votes)["accuracy"]
