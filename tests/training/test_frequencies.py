from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("keras")

from keras_affect.training import frequencies, match_frequencies
from keras_affect.training.frequencies import _shifts
from tests.training.small_classifier import (
    CLASSES,
    answers,
    network,
    pictures,
)


def labels_of(counts: list[int]) -> np.ndarray:
    return np.random.default_rng(2).permutation(np.repeat(np.arange(len(counts)), counts))


def counted(probabilities: np.ndarray) -> list[int]:
    return np.bincount(probabilities.argmax(axis=1), minlength=CLASSES).tolist()


@pytest.mark.parametrize("wrap", [False, True])
@pytest.mark.parametrize("classes", [[3], [4, 1], [0, 1, 2, 3]])
def test_a_class_is_answered_as_often_as_it_occurs(wrap: bool, classes: list[int]) -> None:
    model, images = network(wrap, output="mood"), pictures(400)
    wanted = [150, 12, 205, 30, 3]
    before, affect = answers(model, images, "mood"), answers(model, images, "valence_arousal")
    assert all(counted(before)[name] != wanted[name] for name in classes), "nothing to do"
    shifts = match_frequencies(
        model, images, labels_of(wanted), classes, output="mood", batch_size=7
    )
    after = answers(model, images, "mood")
    assert [counted(after)[name] for name in classes] == [wanted[name] for name in classes]
    assert [name for name in range(CLASSES) if shifts[name]] == sorted(classes)
    # Each class by a common factor, and then all to the sum 1.
    expected = before.astype(np.float64) * np.exp(shifts)
    np.testing.assert_allclose(after, expected / expected.sum(axis=1, keepdims=True), atol=1e-5)
    np.testing.assert_array_equal(answers(model, images, "valence_arousal"), affect)
    again = match_frequencies(model, images, labels_of(wanted), classes, output="mood")
    np.testing.assert_array_equal(again, 0, "once is enough")


def test_finds_the_shift_that_answers_were_made_with() -> None:
    model, images = network(), pictures(4000)
    shifted = np.array([0, -0.5, 0, 0.8, 0])
    moved = answers(model, images) * np.exp(shifted)
    found = match_frequencies(model, images, moved.argmax(axis=1), [1, 3])
    # As exactly as 4,000 pictures tell numbers apart.
    np.testing.assert_allclose(found, shifted, atol=0.01)


def test_more_of_a_rare_class_is_found() -> None:
    """Labels drawn by the model's own probabilities, of which its answers take too few."""
    model, images = network(seed=3), pictures(4000)
    probabilities = answers(model, images).astype(np.float64)
    draws = np.random.default_rng(4).random(len(images))[:, None]
    labels = (probabilities.cumsum(axis=1) / probabilities.sum(axis=1)[:, None] < draws).sum(axis=1)
    rare = int(np.argmin(np.array(counted(probabilities)) / np.bincount(labels)))
    of = labels == rare
    before = (probabilities.argmax(axis=1) == rare)[of].mean()
    match_frequencies(model, images, labels, [rare])
    now = answers(model, images).argmax(axis=1) == rare
    assert now.sum() == of.sum()
    assert now[of].mean() > before


def test_pictures_alike_go_over_together() -> None:
    model, images = network(), pictures(100)
    twice = np.concatenate([images, images])
    assert counted(answers(model, twice))[4] not in (4, 6), "nothing to do"
    match_frequencies(model, twice, labels_of([60, 60, 40, 35, 5]), [4])
    assert counted(answers(model, twice))[4] in (4, 6)
    alike = np.repeat(images[:1], 10, axis=0)
    with pytest.raises(ValueError, match=r"model tells apart\. Received: 10 with"):
        match_frequencies(model, alike, labels_of([3, 3, 2, 1, 1]), [4])


@pytest.mark.parametrize("seed", range(20))
def test_pictures_that_stand_twice_cost_an_answer_at_most(seed: int) -> None:
    """FER2013 has such pictures."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(500, CLASSES))
    logits[rng.integers(0, 500, 50)] = logits[rng.integers(0, 500, 50)]
    wanted = np.bincount(np.minimum(rng.geometric(0.4, 500) - 1, CLASSES - 1), minlength=CLASSES)
    rare = [2, 3, 4]
    found = np.bincount((logits + _shifts(logits, wanted, rare)).argmax(axis=1), minlength=CLASSES)
    assert np.abs(found - wanted)[rare].max() <= 1


def test_classes_that_do_not_settle_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Found by drawing: whole numbers have many ties, by which classes take answers in a ring."""
    monkeypatch.setattr(frequencies, "_ROUNDS", 50)
    logits = np.array(
        [
            [0.0, 0, 0, 2, 1],
            [1, 2, 2, 2, 2],
            [0, 1, 0, 2, 2],
            [0, 1, 2, 1, 2],
            [0, 1, 0, 1, 2],
            [2, 0, 1, 0, 1],
        ]
    )
    with pytest.raises(
        ValueError, match=r"classes \[1, 2, 4\] still take answers from one another"
    ):
        _shifts(logits, np.array([0, 3, 1, 0, 2]), [1, 2, 4])


def test_bad_input() -> None:
    model, images = network(), pictures(60)
    given = [weight.copy() for weight in model.get_weights()]
    right = labels_of([20, 20, 10, 9, 1])
    for labels, said in (
        (right[1:], "Expected one for each of 60 pictures. Received: 59"),
        (np.eye(CLASSES)[right], r"Expected integers of shape \(images,\).*float64 of .*\(60, 5\)"),
        (right.astype(np.float32), r"float32 of shape \(60,\)"),
        (np.where(np.arange(60) == 7, -1, right), r"in \[0, 5\)\. Received: row 7 with -1"),
        (np.where(np.arange(60) == 7, 5, right), "row 7 with 5"),
        (right * 0, r"some pictures of class 4 and some of others\. Received: 0 of 60"),
        (right * 0 + 4, "Received: 60 of 60"),
    ):
        with pytest.raises(ValueError, match=said):
            match_frequencies(model, images, labels, [4])
    for classes in ([], [1, 1], [5], [-1], [0, 1, 2, 3, 4], [4.0], [True], 4, "4", [[4]]):
        with pytest.raises(ValueError, match=r"argument `classes`. Expected some of 0 to 4, each"):
            match_frequencies(model, images, right, classes)  # type: ignore[arg-type]
    lost = np.where(np.arange(60)[:, None, None, None] == 3, np.float32(np.nan), images)
    with pytest.raises(ValueError, match=r"argument `images`.*picture 3 with logits \[nan"):
        match_frequencies(model, lost, right, [4])
    with pytest.raises(ValueError, match=r"argument `output`. Expected a layer of the model \("):
        match_frequencies(model, images, right, [4], output="mood")
    with pytest.raises(ValueError, match="Expected a Dense layer with bias and softmax"):
        match_frequencies(model, images, right, [4], output="valence_arousal")
    for weight, old in zip(model.get_weights(), given, strict=True):
        np.testing.assert_array_equal(weight, old)
