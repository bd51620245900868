"""tools/readme_results.py: the README shows the commands that made a run."""

from __future__ import annotations

import csv

from keras_affect.training import Recipe
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
        temperature=1.0, epochs=9,
    )  # fmt: skip
    folder = a_run(tmp_path / "again", recipe, epochs=9)
    command, *epochs = results._training(
        folder, {"lite": "runs/first", "again": "runs/second"}
    ).splitlines()
    assert command == (
        "$ keras-affect train --data PATH/TO/FERPLUS --out runs/second --start-from runs/first "
        "--teacher runs/first --teacher ferplus --epochs 9 --teachers-see originals "
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
