"""``keras-affect train``: what of the options reaches the training, which is not run here."""

import os
from dataclasses import replace

import pytest

from keras_affect.training import Recipe, run
from tests.cli.running import run as run_command


@pytest.fixture
def asked(monkeypatch):
    """The recipes that trainings were asked for."""
    recipes = []
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "")  # set by the command: as before afterwards
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS")
    monkeypatch.setattr(run, "train", lambda recipe, *given, **options: recipes.append(recipe))
    return recipes


def test_options_win_over_the_recipe(asked, tmp_path, capfd):
    options = ("--recipe", "ferplus_tiny", "--data", tmp_path, "--out", tmp_path / "run")
    tiny = Recipe.load("ferplus_tiny")
    assert run_command(capfd, "train", *options)[0] == 0
    more = ("--seed", 7, "--mixup", "0.3", "--teacher", "one", "--teacher", "two")
    more += ("--stem-convolutions", 2, "--mirrored", "--start-share", "0.4")
    more += ("--degradation-probability", "0.3", "--warmup", "0.4")
    assert run_command(capfd, "train", *options, *more)[0] == 0
    assert run_command(capfd, "train", *options, "--start-from", "")[0] == 0
    assert asked == [
        tiny,
        replace(
            tiny,
            seed=7,
            mixup=0.3,
            stem_convolutions=2,
            mirrored=True,
            start_share=0.4,
            degradation_probability=0.3,
            warmup=0.4,
            teachers=("one", "two"),
        ),
        replace(tiny, start_from=""),
    ]
    assert tiny.start_from


@pytest.mark.parametrize(("set_before", "found"), [(None, "1"), ("0", "0")])
def test_quicker_kernels_are_asked_for_unless_the_user_decided(
    asked, tmp_path, monkeypatch, capfd, set_before, found
):
    if set_before is not None:
        monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", set_before)
    assert run_command(capfd, "train", "--data", tmp_path, "--out", tmp_path / "run")[0] == 0
    assert asked == [Recipe()]
    assert os.environ["TF_ENABLE_ONEDNN_OPTS"] == found


def test_a_recipe_from_a_file(asked, tmp_path, capfd):
    (tmp_path / "mine.toml").write_text("epochs = 2\n")
    options = ("--data", tmp_path, "--out", tmp_path / "run")
    assert run_command(capfd, "train", "--recipe", tmp_path / "mine.toml", *options)[0] == 0
    assert run_command(capfd, "train", *options)[0] == 0
    assert asked == [Recipe(epochs=2), Recipe()]


def test_resumed_without_a_recipe_a_run_goes_on_by_its_own(asked, tmp_path, capfd):
    Recipe(seed=3, teachers=("one",)).save(tmp_path / "recipe.json")
    options = ("--data", tmp_path, "--out", tmp_path, "--resume")
    assert run_command(capfd, "train", *options)[0] == 0
    assert asked == [Recipe(seed=3, teachers=("one",))]


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (("--recipe", "ferplus_big"), "argument `recipe`"),
        (("--recipe", "none.toml"), "none.toml"),
        (("--teacher-share", "1.5"), "argument `teacher_share`. Expected a number in (0, 1]"),
        (("--from", "ferplus", "--teacher", "one"), "--from goes with no --teacher"),
        (("--from", "ferplus", "--stem-convolutions", "2"), "goes with no --stem-convolutions"),
        (("--from", "ferplus", "--no-mirrored"), "--from goes with no --mirrored"),
        (("--from", "ferplus", "--on-error", "skip"), "--from goes with no --on-error"),
        (("--from", "ferplus", "--recipe", "ferplus_tiny"), "--from goes with no --recipe"),
    ],
)
def test_bad_input(asked, tmp_path, monkeypatch, capfd, arguments, match):
    monkeypatch.chdir(tmp_path)
    code, out, err = run_command(capfd, "train", "--data", ".", "--out", "run", *arguments)
    assert (code, out, asked) == (2, "", [])
    assert err.count("\n") == 1
    assert match in err
