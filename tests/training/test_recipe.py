import dataclasses
import json

import pytest

from keras_affect.augmentation import face_pipeline
from keras_affect.training import Recipe


def test_round_trip(tmp_path):
    recipe = Recipe(epochs=3, labels="drawn", learning_rate=0.05, drop_duplicates=False)
    recipe.save(tmp_path / "recipe.json")
    assert Recipe.load(tmp_path / "recipe.json") == recipe
    assert [path.name for path in tmp_path.iterdir()] == ["recipe.json"]


def test_recipes_from_before_mixup_mixed_nothing(tmp_path):
    values = dataclasses.asdict(Recipe(seed=3))
    del values["mixup"]
    (tmp_path / "recipe.json").write_text(json.dumps(values))
    assert Recipe.load(tmp_path / "recipe.json") == Recipe(seed=3, mixup=0.0)


def test_augmentation_names_those_of_the_pipeline():
    for name in ("none", "light", "strong", "camera"):
        assert Recipe(augmentation=name).augmentation == name
        face_pipeline(name)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("epochs", 0, r"argument `epochs`. Expected an integer in \[1, 100000\).*epochs=0"),
        ("epochs", 2.5, r"epochs=2.5"),
        ("epochs", True, r"epochs=True"),
        ("dropout", 1.0, r"argument `dropout`. Expected a number in \[0, 1\).*dropout=1.0"),
        ("mixup", -0.1, r"argument `mixup`. Expected a number in \[0, 100\).*mixup=-0.1"),
        ("mixup", float("nan"), r"mixup=nan"),
        ("mixup", "0.2", r"mixup='0.2'"),
        ("mixup", True, r"mixup=True"),
        ("learning_rate", float("nan"), r"learning_rate=nan"),
        ("labels", "hard", r"argument `labels`. Expected one of distribution, majority"),
        ("augmentation", "weak", r"argument `augmentation`. Expected one of none, light"),
        ("model", "ResNet9000", r"argument `model`. Expected one of .*LightweightCNN"),
        ("stochastic_depth", 1.7, r"Expected a number in \[0, 1\).*stochastic_depth=1.7"),
        ("drop_duplicates", "valid", r"drop_duplicates='valid'"),
    ],
)
def test_bad_values(name, value, message):
    with pytest.raises(ValueError, match=message):
        Recipe(**{name: value})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"recipe\.json: not a recipe"),
        ('{"epoch": 3}', r"recipe\.json: not a recipe .*'epoch'"),
        ('{"epochs": -1}', r"recipe\.json: Invalid value for argument `epochs`"),
        ("[1]", r"recipe\.json: not a recipe"),
        ("\ud800", r"recipe\.json: not a recipe"),
    ],
)
def test_damaged_file(tmp_path, text, message):
    (tmp_path / "recipe.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(ValueError, match=message):
        Recipe.load(tmp_path / "recipe.json")
    with pytest.raises(FileNotFoundError):
        Recipe.load(tmp_path / "none.json")
