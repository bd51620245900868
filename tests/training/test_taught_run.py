"""Trainings with teachers, by a recipe, on a few drawn faces."""

import csv
import json
from dataclasses import replace

import keras
import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from keras_affect import evaluation
from keras_affect.datasets import ferplus, synthetic
from keras_affect.ensembles import Ensemble
from keras_affect.models import LightweightCNN
from keras_affect.training import Distiller, Recipe, train
from keras_affect.training import run as run_module
from keras_affect.training.network import compiled, in_dtype
from keras_affect.training.progress import ProgressBar
from keras_affect.training.soft_labels import with_answers

SMALL = Recipe(
    epochs=3, batch_size=16, width=0.125, dropout=0.4, augmentation="light", mixup=0.2,
    labels="drawn", dtype="float32", seed=5, learning_rate=0.02, temperature=3.0,
)  # fmt: skip


def write_split(root, split, numbers):
    """Drawn faces, each with eight votes for what was drawn and two for neutral."""
    folder = root / ferplus.SPLITS[split][0]
    folder.mkdir(parents=True)
    with (folder / "label.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        for number in numbers:
            picture, emotion, _ = synthetic.draw(number)
            votes = [0] * 10
            votes[0] += 2
            votes[emotion] += 8
            name = f"fer{number:07d}.png"
            Image.fromarray(picture[..., 0]).save(folder / name)
            writer.writerow([name, "(0, 0, 48, 48)", *votes])


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("drawn")
    write_split(root, "train", range(40))
    write_split(root, "valid", range(100, 108))
    return root


def sure(seed):
    """A network that is nearly sure of what it was never taught, and of each picture otherwise."""
    keras.utils.set_random_seed(seed)
    model = LightweightCNN(weights=None, width=0.125)
    kernel, bias = model.get_layer("emotion").weights
    kernel.assign(4 * np.asarray(kernel))
    bias.assign(np.linspace(-0.5, 0.5, 8))
    return model


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    folder = tmp_path_factory.mktemp("teachers")
    for seed in (1, 2):
        sure(seed).save(folder / f"{seed}.keras")
    return replace(SMALL, teachers=(str(folder / "1.keras"), str(folder / "2.keras")))


def run(recipe, data, out, **options):
    return train(recipe, data, out, console=Console(quiet=True), **options)


def rows_of(out):
    with (out / "log.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row.pop("seconds")
    return rows


@pytest.fixture(scope="module")
def whole(recipe, data, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "whole"
    return run(recipe, data, out), out


def test_what_comes_of_it_is_the_plain_student(whole, recipe):
    model, out = whole
    assert type(model) is LightweightCNN
    loaded = keras.saving.load_model(out / "model.keras")
    assert type(loaded) is LightweightCNN
    assert loaded.count_params() == LightweightCNN(weights=None, width=0.125).count_params()
    assert Recipe.load(out / "recipe.json") == recipe
    assert json.loads((out / "scores.json").read_text())["images"] == 8
    with np.load(out / "checkpoint.npz") as file:
        held = len(file.files) - 1
    # The teachers' variables never change, and would be written again after each epoch.
    plain = compiled(replace(recipe, teachers=()), 3)
    assert held == len(plain.variables) + len(plain.optimizer.variables)


def test_the_log_has_the_teachers_loss_and_validates_the_student(whole):
    _, out = whole
    rows = rows_of(out)
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert {"distillation_loss", "emotion_accuracy", "val_emotion_accuracy", "val_loss"} <= set(
        rows[0]
    )
    assert "val_distillation_loss" not in rows[0]
    # What fit scores at the end of an epoch is what the saved student gives.
    assert float(rows[-1]["val_emotion_accuracy"]) == pytest.approx(
        json.loads((out / "scores.json").read_text())["accuracy"], abs=1e-3
    )


def test_stopped_and_resumed_is_unbroken(whole, recipe, data, tmp_path, monkeypatch):
    """Stopped within the second epoch, whose steps are lost."""
    steps = []

    def step(bar, batch, logs=None):
        steps.append(batch)
        if len(steps) == 5:
            raise KeyboardInterrupt

    out = tmp_path / "broken"
    with monkeypatch.context() as patch:
        patch.setattr(ProgressBar, "on_train_batch_end", step)
        with pytest.raises(KeyboardInterrupt):
            run(recipe, data, out)
    assert len(rows_of(out)) == 1
    with np.load(out / "checkpoint.npz") as file:
        at_stop = [file[name] for name in file.files]
    with monkeypatch.context() as patch:
        patch.setattr(evaluation, "report", lambda *given, **options: None)  # takes long
        run(recipe, data, out, resume=True)

    with np.load(whole[1] / "checkpoint.npz") as one, np.load(out / "checkpoint.npz") as two:
        assert one.files == two.files
        for name in one.files:
            np.testing.assert_allclose(one[name], two[name], rtol=1e-5, atol=1e-6, err_msg=name)
        # What is compared does change.
        moved = [
            not np.array_equal(one[name], then)
            for name, then in zip(one.files, at_stop, strict=True)
        ]
    assert sum(moved) > 0.9 * len(moved)
    for row, again in zip(rows_of(whole[1]), rows_of(out), strict=True):
        assert {k: float(v) for k, v in row.items()} == pytest.approx(
            {k: float(v) for k, v in again.items()}, rel=1e-3, abs=1e-5
        )
    with pytest.raises(ValueError, match=r"another recipe: temperature=4\.0, was 3\.0"):
        run(replace(recipe, temperature=4.0), data, out, resume=True)


@pytest.fixture(scope="module")
def batch():
    """Drawn faces with labels that have nothing to do with them."""
    images = np.stack([synthetic.draw(number)[0] for number in range(16)]).astype("float32")
    labels = {
        "emotion": np.eye(8, dtype="float32")[np.arange(16) % 8],
        "valence_arousal": np.linspace(-1, 1, 32).reshape(16, 2).astype("float32"),
    }
    return images, labels


def test_with_all_of_the_share_the_loss_falls_towards_the_teachers_answers(recipe, batch):
    alone = replace(recipe, teacher_share=1.0, dropout=0.0, learning_rate=0.05, epochs=20)
    distiller = compiled(alone, 1)
    logs = distiller.fit(*batch, batch_size=16, epochs=20, shuffle=False, verbose=0).history
    assert logs["loss"] == pytest.approx(logs["distillation_loss"], rel=1e-4)
    said = np.asarray(distiller.teacher(batch[0])["emotion"]) ** (1 / 3)
    said /= said.sum(axis=1, keepdims=True)
    least = -9 * (said * np.log(said)).sum(axis=1).mean()
    assert logs["loss"][0] > logs["loss"][-1] > least
    assert logs["loss"][-1] - least < 0.5 * (logs["loss"][0] - least)


def test_shares_of_the_loss(recipe, batch):
    """One batch: the labels' share of their loss and the teachers' share of theirs."""
    images, labels = batch
    given = replace(recipe, teacher_share=0.3, valence_arousal_weight=0.5)
    distiller = compiled(given, 3)
    assert isinstance(distiller, Distiller)
    assert isinstance(distiller.teacher, Ensemble)
    found = distiller.evaluate(images, labels, batch_size=16, verbose=0, return_dict=True)
    student = distiller.student.evaluate(images, labels, batch_size=16, verbose=0, return_dict=True)
    answers = {name: np.asarray(v) for name, v in distiller.student(images).items()}
    hard = -np.log(answers["emotion"][np.arange(16), np.arange(16) % 8]).mean()
    hard += 0.5 * np.square(answers["valence_arousal"] - labels["valence_arousal"]).mean()
    assert student["loss"] == pytest.approx(hard, rel=1e-4)
    said = {name: np.asarray(v) for name, v in distiller.teacher(images).items()}
    # Below 1e-7 a probability's logarithm is cut.
    soft = [np.maximum(v, 1e-7) ** (1 / 3) for v in (said["emotion"], answers["emotion"])]
    soft = [v / v.sum(axis=1, keepdims=True) for v in soft]
    taught = -9 * (soft[0] * np.log(soft[1])).sum(axis=1).mean()
    taught += 0.5 * np.square(said["valence_arousal"] - answers["valence_arousal"]).mean()
    assert found["distillation_loss"] == pytest.approx(taught, rel=1e-4)
    assert found["loss"] == pytest.approx(0.7 * hard + 0.3 * taught, rel=1e-4)


def test_teachers_answer_in_the_recipes_dtype(recipe):
    taught = compiled(replace(recipe, dtype="mixed_bfloat16"), 3)
    policies = {
        layer.dtype_policy.name
        for layer in taught.teacher._flatten_layers()
        if isinstance(layer, keras.layers.Conv2D)
    }
    assert policies == {"mixed_bfloat16"}
    assert not taught.teacher.trainable_variables
    assert len(taught.trainable_variables) == len(taught.student.trainable_variables)


def test_an_ensemble_is_copied_into_another_dtype():
    ensemble = Ensemble([sure(1), sure(2)], weights=[1.0, 3.0], flips=True)
    copy = in_dtype(ensemble, "mixed_bfloat16")
    image = synthetic.draw(3)[0][None].astype("float32")
    exact, rounded = (np.asarray(model(image)["emotion"]) for model in (ensemble, copy))
    np.testing.assert_allclose(rounded, exact, atol=0.05)
    assert not np.array_equal(rounded, exact)
    again = in_dtype(copy, "float32")
    np.testing.assert_array_equal(np.asarray(again(image)["emotion"]), exact)


def other_classes(path):
    LightweightCNN(weights=None, width=0.125, classes=["calm", "tense"]).save(path)


def other_pictures(path):
    LightweightCNN((64, 64, 1), weights=None, width=0.125).save(path)


def without_points(path):
    LightweightCNN(weights=None, width=0.125, valence_arousal=False).save(path)


@pytest.mark.parametrize("save", [other_classes, other_pictures, without_points])
def test_teachers_that_do_not_fit(save, recipe, data, tmp_path):
    path = tmp_path / "other.keras"
    save(path)
    wrong = replace(recipe, teachers=(recipe.teachers[0], str(path)))
    with pytest.raises(ValueError, match=r"argument `teachers`.*other\.keras"):
        run(wrong, data, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_teacher_that_is_not_there(recipe, data, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.keras"):
        run(replace(recipe, teachers=(str(tmp_path / "none.keras"),)), data, tmp_path / "run")
    assert not (tmp_path / "run").exists()


# === Teachers that see the original pictures


def test_answers_have_their_share_of_the_labels(recipe, data):
    """By hand, picture by picture; the mirrored picture counts as much as the picture."""
    kept = ferplus.labelled(data, "train", "outlier_free")
    teacher = keras.saving.load_model(recipe.teachers[0])
    found = with_answers(kept, teacher, 0.3)
    images = np.stack([kept.data.picture(i) for i in range(len(kept))]).astype("float32")
    seen = [teacher(pictures) for pictures in (images, images[:, :, ::-1])]
    for name, before in (("emotion", kept.emotion), ("valence_arousal", kept.valence_arousal)):
        said = sum(np.asarray(answer[name]) for answer in seen) / 2
        after = getattr(found, name)
        np.testing.assert_allclose(after, 0.7 * before + 0.3 * said, atol=1e-5)
        assert after.dtype == np.float32
        assert np.abs(after - before).max() > 0.05
    assert found.data is kept.data
    np.testing.assert_allclose(found.emotion.sum(axis=1), 1, atol=1e-5)


def test_a_share_of_0_leaves_labels_and_points_that_a_teacher_has_none_of_stay(data, recipe):
    kept = ferplus.labelled(data, "train", "outlier_free")
    teacher = keras.saving.load_model(recipe.teachers[0])
    np.testing.assert_allclose(with_answers(kept, teacher, 0.0).emotion, kept.emotion, atol=1e-6)
    without = LightweightCNN(weights=None, width=0.125, valence_arousal=False)
    found = with_answers(kept, without, 1.0)
    np.testing.assert_allclose(found.valence_arousal, kept.valence_arousal, atol=1e-6)
    assert np.abs(found.emotion - kept.emotion).max() > 0.05


def test_a_run_whose_teachers_see_originals(recipe, data, tmp_path, monkeypatch):
    """The labels that its batches hold, and that it learns from these alone."""
    given = replace(
        recipe, teachers_see="originals", temperature=1.0, teacher_share=0.4, mixup=0.0,
        labels="outlier_free", augmentation="none", epochs=1,
    )  # fmt: skip
    labels = []
    batches_of = run_module.batches_of

    def spied(data, emotion, valence_arousal, **options):
        labels.append((emotion, valence_arousal))
        return batches_of(data, emotion, valence_arousal, **options)

    monkeypatch.setattr(run_module, "batches_of", spied)
    monkeypatch.setattr(evaluation, "report", lambda *given, **options: None)  # takes long
    out = tmp_path / "run"
    model = run(given, data, out)
    assert type(model) is LightweightCNN
    teacher = Ensemble([keras.saving.load_model(path) for path in given.teachers])
    expected = with_answers(ferplus.labelled(data, "train", "outlier_free"), teacher, 0.4)
    np.testing.assert_allclose(labels[0][0], expected.emotion, atol=1e-5)
    np.testing.assert_allclose(labels[0][1], expected.valence_arousal, atol=1e-5)
    assert "distillation_loss" not in rows_of(out)[0]
    assert "val_emotion_accuracy" in rows_of(out)[0]
    assert json.loads((out / "run.json").read_text())["teachers"] is not None
    assert type(compiled(given, 3)) is LightweightCNN
