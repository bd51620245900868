"""tools/readme_results.py: the README shows the commands that made a run."""

from __future__ import annotations

import csv
import re
import sys
from dataclasses import replace

import pytest
import typer

from keras_affect.cli import app
from keras_affect.training import Recipe, shipped_recipes
from tests.tools.loading import script

results = script("readme_results")


def a_run(folder, recipe, epochs):
    folder.mkdir()
    recipe.save(folder / "recipe.json")
    with (folder / "log.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["epoch", "loss", "emotion_accuracy", "val_emotion_accuracy"])
        writer.writerows([epoch, 1 / epoch, 0.25, 0.5] for epoch in range(1, epochs + 1))
    return folder


def test_a_command_names_the_runs_before_it_as_the_readme_does(tmp_path):
    recipe = Recipe(
        start_from="runs/lite", teachers=("runs/lite", "ferplus"), teachers_see="originals",
        temperature=1.0, epochs=9, mirrored=True,
    )  # fmt: skip
    folder = a_run(tmp_path / "again", recipe, epochs=9)
    command, *epochs = results._training(
        folder, {"lite": "runs/first", "again": "runs/second"}
    ).splitlines()
    assert command == (
        "$ keras-affect train --data PATH/TO/FERPLUS --out runs/second --start-from runs/first "
        "--teacher runs/first --teacher ferplus --mirrored --epochs 9 --teachers-see originals "
        "--temperature 1.0"
    )
    assert epochs == [
        "epoch 1/9  loss 1.0000  accuracy 25.00%  valid accuracy 50.00%",
        "epoch 2/9  loss 0.5000  accuracy 25.00%  valid accuracy 50.00%",
        "...",
        "epoch 7/9  loss 0.1429  accuracy 25.00%  valid accuracy 50.00%",
        "epoch 8/9  loss 0.1250  accuracy 25.00%  valid accuracy 50.00%",
        "epoch 9/9  loss 0.1111  accuracy 25.00%  valid accuracy 50.00%",
    ]


@pytest.mark.parametrize(("seed", "said"), [(15, ""), (16, " --seed 16")])
def test_a_command_with_a_recipe_that_ships(tmp_path, seed, said):
    recipe = replace(Recipe.load("ferplus_distilled"), seed=seed)
    folder = a_run(tmp_path / "lite", recipe, epochs=9)
    command = results._training(folder, {"lite": "runs/one"}).splitlines()[0]
    assert command == (
        "$ keras-affect train --data PATH/TO/FERPLUS --out runs/one --recipe ferplus_distilled"
        + said
    )


def test_a_choice_that_no_option_makes_is_not_shown(tmp_path):
    folder = a_run(tmp_path / "lite", Recipe(momentum=0.8, epochs=9), epochs=9)
    with pytest.raises(ValueError, match=r"momentum=0\.8: keras-affect train has no option"):
        results._training(folder, {"lite": "runs/one"})


def test_the_readme_shows_commands_that_the_program_takes():
    program = typer.main.get_command(app)
    readme = (results.REPOSITORY / "README.md").read_text(encoding="utf-8")
    shown = re.findall(r"^\$ keras-affect train (.+)$", readme, flags=re.MULTILINE)
    assert shown
    for line in shown:
        command = program.get_command(None, "train")
        assert command.make_context("train", line.split()).params["recipe"] in shipped_recipes()


def test_without_a_run_what_its_commands_printed_stays(tmp_path, monkeypatch, capsys):
    """And the rest of the README is what the scores that ship say: nothing in it is old."""
    readme = (results.REPOSITORY / "README.md").read_text(encoding="utf-8")
    row = next(line for line in readme.splitlines() if line.startswith("| `lightweight_cnn_"))
    (tmp_path / "README.md").write_text(readme.replace(row, "| an old row |"), encoding="utf-8")
    monkeypatch.setattr(results, "REPOSITORY", tmp_path)
    monkeypatch.setattr(sys, "argv", ["readme_results.py"])
    results.main()
    assert (tmp_path / "README.md").read_text(encoding="utf-8") == readme
    assert "$ keras-affect train" in readme.split(results.MADE)[1]
    monkeypatch.setattr(sys, "argv", ["readme_results.py", "--run", "runs/first"])
    with pytest.raises(SystemExit):
        results.main()
    assert "--run and --data go together" in capsys.readouterr().err
