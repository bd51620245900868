import dataclasses
import json
import tomllib
from pathlib import Path

import pytest

from keras_affect.augmentation import face_pipeline
from keras_affect.cli import train as train_command
from keras_affect.training import Recipe, shipped_recipes


def test_round_trip(tmp_path):
    recipe = Recipe(epochs=3, labels="drawn", learning_rate=0.05, drop_duplicates=False)
    recipe.save(tmp_path / "recipe.json")
    assert Recipe.load(tmp_path / "recipe.json") == recipe
    assert [path.name for path in tmp_path.iterdir()] == ["recipe.json"]


def test_recipes_from_before_a_field_lack_it(tmp_path):
    values = dataclasses.asdict(Recipe(seed=3))
    for name in (
        "stem_convolutions",
        "mirrored",
        "start_share",
        "mixup",
        "teachers",
        "teachers_see",
        "temperature",
        "teacher_share",
    ):
        del values[name]
    (tmp_path / "recipe.json").write_text(json.dumps(values))
    assert Recipe.load(tmp_path / "recipe.json") == Recipe(seed=3, mixup=0.0, teachers=())


def test_toml_is_read_as_json_is(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('# Why.\nteachers = ["runs/one", "ferplus"]\nmixup = 0.2\nseed = 4\n')
    recipe = Recipe(teachers=("runs/one", "ferplus"), mixup=0.2, seed=4)
    assert Recipe.load(path) == recipe
    recipe.save(tmp_path / "recipe.json")
    assert Recipe.load(tmp_path / "recipe.json") == recipe
    hash(recipe)
    path.write_text("seed = \n")
    with pytest.raises(ValueError, match=r"mine\.toml: not a recipe \(.*line 1"):
        Recipe.load(path)
    path.write_text("[seed]\nvalue = 3\n")
    with pytest.raises(ValueError, match=r"mine\.toml: Invalid value for argument `seed`"):
        Recipe.load(path)


def test_differences():
    assert Recipe(seed=2, mixup=0.1).differences(Recipe()) == {"mixup": 0.1, "seed": 2}
    assert Recipe().differences(Recipe()) == {}


# === Recipes that ship


@pytest.mark.parametrize("name", sorted(shipped_recipes()))
def test_a_shipped_recipe_says_every_choice_but_where_it_starts(name):
    path = shipped_recipes()[name]
    recipe = Recipe.load(name)
    assert recipe == Recipe.load(path)
    given = tomllib.loads(path.read_text(encoding="utf-8"))
    silent = {field.name for field in dataclasses.fields(Recipe)} - set(given)
    # What is not said is as in any training that has neither.
    assert silent <= {
        "start_from", "stochastic_depth", "degradation_probability", "mixup", "teachers",
        "teachers_see", "temperature",
        "teacher_share", "stem_convolutions", "mirrored", "start_share",
    }  # fmt: skip
    head = path.read_text(encoding="utf-8").split("\n\n")[0]
    for line in (f"keras-affect train --recipe {name} --data", "\n# Time: ", "\n# Score: "):
        assert line in head


def test_shipped_recipes_are_those_that_the_help_names():
    assert set(shipped_recipes()) == {
        "ferplus_lite", "ferplus_tiny", "ferplus_teacher", "ferplus_distilled",
    }  # fmt: skip
    source = Path(train_command.__file__).read_text(encoding="utf-8")
    for name in shipped_recipes():
        assert name in source


def test_a_name_that_does_not_ship_lists_what_does():
    with pytest.raises(ValueError, match=r"`recipe`.*ferplus_lite.*Received: recipe='ferplus'"):
        Recipe.load("ferplus")
    with pytest.raises(ValueError, match=r"recipe\.yaml: not a recipe \(expected a \.toml or"):
        Recipe.load("recipe.yaml")
    with pytest.raises(ValueError, match="runs/first: not a recipe"):
        Recipe.load("runs/first")


def test_augmentation_names_those_of_the_pipeline():
    for name in ("none", "light", "moderate", "strong", "camera"):
        assert Recipe(augmentation=name).augmentation == name
        pipeline = face_pipeline(name)
        if pipeline.blur or pipeline.noise or pipeline.compression < 100:
            Recipe(augmentation=name, degradation_probability=0.3)
        else:
            with pytest.raises(ValueError, match="None without losses of a camera"):
                Recipe(augmentation=name, degradation_probability=0.3)


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan"), "0.2", True])
def test_a_share_of_pictures_is_none_or_a_probability(value):
    Recipe(augmentation="camera", degradation_probability=1)
    with pytest.raises(ValueError, match=r"`degradation_probability`. Expected a number in \[0, 1"):
        Recipe(augmentation="camera", degradation_probability=value)


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
        (
            "stem_convolutions",
            0,
            r"argument `stem_convolutions`. Expected an integer in \[1, 100\)",
        ),
        ("stochastic_depth", 1.7, r"Expected a number in \[0, 1\).*stochastic_depth=1.7"),
        ("drop_duplicates", "valid", r"drop_duplicates='valid'"),
        (
            "degradation_probability",
            0.2,
            r"`degradation_probability`. Expected None without losses of a camera.*=0.2",
        ),
        ("start_share", 1.0, r"argument `start_share`. Expected a number in \[0, 1\)"),
        ("start_share", 0.5, r"`start_share`. Expected 0 without start_from.*start_share=0.5"),
        ("mirrored", 1, r"argument `mirrored`. Expected True or False. Received: mirrored=1"),
        ("temperature", 0.5, r"argument `temperature`. Expected a number in \[1, 1000\)"),
        ("teacher_share", 0, r"argument `teacher_share`. Expected a number in \(0, 1\].*share=0"),
        ("teacher_share", True, r"teacher_share=True"),
        ("teacher_share", float("nan"), r"teacher_share=nan"),
        ("teachers", "ferplus", r"argument `teachers`. Expected paths or names.*'ferplus'"),
        ("teachers", [""], r"teachers=\[''\]"),
        ("teachers_see", "all", r"argument `teachers_see`. Expected one of batches, originals"),
    ],
)
def test_bad_values(name, value, message):
    with pytest.raises(ValueError, match=message):
        Recipe(**{name: value})


def test_a_stem_is_lightweight_cnn_s_alone():
    Recipe(stem_convolutions=2)
    with pytest.raises(ValueError, match=r"`stem_convolutions`. Expected 1 with VGG13.*=2"):
        Recipe(model="VGG13", stem_convolutions=2)


def test_labels_that_answers_are_mixed_into_have_no_temperature():
    message = r"`temperature`. Expected 1 where teachers see originals. Received: temperature=2.0"
    with pytest.raises(ValueError, match=message):
        Recipe(teachers=("ferplus",), teachers_see="originals")
    Recipe(teachers=("ferplus",), teachers_see="originals", temperature=1)
    Recipe(teachers_see="originals")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"recipe\.json: not a recipe"),
        ('{"epoch": 3, "seed": 1}', r"recipe\.json: not a recipe \(no field of one: epoch; there"),
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
