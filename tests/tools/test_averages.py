"""tools/averages.py, against means that are taken here."""

from __future__ import annotations

import re

import keras
import numpy as np
import pytest

from keras_affect import evaluation, models
from keras_affect.datasets import ferplus
from tests.datasets.test_ferplus import HAPPY, SAD, SPLIT_VOTE, write_folder
from tests.tools.loading import script

averages = script("averages")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Valid: 11 pictures, 10 with a majority, of which 1 stands in train."""
    root = tmp_path_factory.mktemp("ferplus")
    write_folder(root, "train", [(1, HAPPY), (100, HAPPY)])
    rows = [(100, HAPPY), (103, SPLIT_VOTE)]
    write_folder(root, "valid", rows + [(i, [HAPPY, SAD][i % 2]) for i in range(104, 113)])
    return root


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("networks")
    paths = []
    for seed in (1, 2, 3):
        keras.utils.set_random_seed(seed)
        paths.append(folder / f"n{seed}.keras")
        models.LightweightCNN(weights=None, width=0.125).save(paths[-1])
    return [str(path) for path in paths]


@pytest.fixture(scope="module")
def valid(root):
    data = ferplus.read(root, "valid")
    return data.take(ferplus.majority(data.votes) >= 0)


def answers(path, images):
    return models.load(path).predict(images.astype(np.float32), verbose=0)["emotion"]


def test_every_set_of_answers(files, valid):
    found = dict(averages.of_answers(files, valid.images))
    alone = [answers(path, valid.images) for path in files]
    assert len(found) == 7
    np.testing.assert_allclose(found[files[1]], alone[1], atol=1e-5)
    expected = (alone[0] + alone[2]) / 2
    np.testing.assert_allclose(found[f"{files[0]} + {files[2]}"], expected, atol=1e-5)
    assert np.abs(expected - alone[1]).max() > 1e-3  # networks that differ
    np.testing.assert_allclose(found[" + ".join(files)], sum(alone) / 3, atol=1e-5)


@pytest.mark.parametrize(
    ("down", "right", "expected"),
    [
        (0, 1, [[1, 1, 2], [4, 4, 5], [7, 7, 8]]),
        (0, -2, [[3, 3, 2], [6, 6, 5], [9, 9, 8]]),
        (2, 0, [[4, 5, 6], [1, 2, 3], [1, 2, 3]]),
        (-1, 0, [[4, 5, 6], [7, 8, 9], [7, 8, 9]]),
    ],
)
def test_shifts_come_in_reflected(down, right, expected):
    image = np.arange(1, 10, dtype=np.uint8).reshape(1, 3, 3, 1)
    np.testing.assert_array_equal(averages.shifted(image, down, right)[0, ..., 0], expected)


def test_the_mean_of_five_places(files, valid):
    found = list(averages.of_shifts(files[:1], valid.images, 2))
    places = [(0, 0), (2, 0), (-2, 0), (0, 2), (0, -2)]
    each = [answers(files[0], averages.shifted(valid.images, *place)) for place in places]
    assert [name for name, _ in found] == [files[0], f"{files[0]}, shifted by 2"]
    np.testing.assert_allclose(found[1][1], np.mean(each, axis=0), atol=1e-5)
    assert np.abs(found[1][1] - found[0][1]).max() > 1e-4


def test_networks_between_two(files, valid):
    found = list(averages.of_weights(files[0], files[1], valid.images))
    assert len(found) == 10
    np.testing.assert_allclose(found[0][1], answers(files[1], valid.images), atol=1e-5)
    between = models.load(files[0])
    pairs = zip(between.get_weights(), models.load(files[1]).get_weights(), strict=True)
    between.set_weights([0.4 * one + 0.6 * other for one, other in pairs])
    expected = between.predict(valid.images.astype(np.float32), verbose=0)["emotion"]
    np.testing.assert_allclose(found[4][1], expected, atol=1e-5)
    # The files are what they were.
    assert np.abs(answers(files[1], valid.images) - found[9][1]).max() > 1e-4


def test_it_prints_what_evaluate_says(root, files, capsys):
    averages.main(["--data", str(root), files[0]])
    printed = capsys.readouterr().out
    expected = evaluation.evaluate(files[0], root)
    assert "10 images with a majority" in printed
    percentages = [float(found) for found in re.findall(r"([\d.]+)%", printed)]
    scored = [expected["accuracy"], expected["without_duplicates"]["accuracy"]]
    assert percentages == pytest.approx(
        [100 * score for score in [*scored, expected["balanced_accuracy"]]], abs=0.006
    )
    for score in (expected["cross_entropy"]["outlier_free_votes"], expected["calibration_error"]):
        assert f"{score:.4f}" in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a", "--shift", "0"], "--shift: expected 1 to 47 pixels, got 0"),
        (["a", "b", "c", "--weights"], "--weights: expected two models, got 3"),
        (["a", "b", "a"], "expected each model once"),
        (["a", "--shift", "1", "--weights"], "not allowed with"),
    ],
)
def test_arguments_at_fault(arguments, message, tmp_path, capsys):
    with pytest.raises(SystemExit):
        averages.main(["--data", str(tmp_path), *arguments])
    assert message in capsys.readouterr().err


def test_a_start_with_a_shallower_stem(files, valid, tmp_path):
    end = tmp_path / "deeper.keras"
    models.LightweightCNN(weights=None, width=0.125, stem_convolutions=2).save(end)
    found = list(averages.of_weights(files[0], str(end), valid.images))
    np.testing.assert_allclose(found[0][1], answers(end, valid.images), atol=1e-5)
    assert np.abs(found[9][1] - found[0][1]).max() > 1e-3


def test_weights_of_networks_that_do_not_fit(files, valid, tmp_path):
    wider = tmp_path / "wider.keras"
    models.LightweightCNN(weights=None, width=0.25).save(wider)
    with pytest.raises(ValueError, match=r"`start_from`.*wider\.keras"):
        next(averages.of_weights(str(wider), files[0], valid.images))
    other = keras.Sequential([keras.Input((48, 48, 1)), keras.layers.Flatten()])
    other.save(tmp_path / "other.keras")
    with pytest.raises(ValueError, match=r"other\.keras: expected a model of keras_affect"):
        next(averages.of_weights(files[0], str(tmp_path / "other.keras"), valid.images))
