import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from keras_affect import cli, emotions, evaluation
from keras_affect.datasets import ferplus
from keras_affect.evaluation.scored_model import open_model
from tests.datasets.test_ferplus import HAPPY, NO_FACE, SAD, SPLIT_VOTE, write_folder
from tests.runtime import tiny_models


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Valid: 14 images, 12 with a majority, of which 2 stand in train; as does one without."""
    root = tmp_path_factory.mktemp("ferplus")
    write_folder(root, "train", [(i, HAPPY) for i in (1, 2, 3, 100, 101, 102)])
    rows = [(100, HAPPY), (101, SAD), (102, NO_FACE), (103, SPLIT_VOTE)]
    write_folder(root, "valid", rows + [(i, [HAPPY, SAD][i % 2]) for i in range(104, 114)])
    return root


@pytest.fixture(scope="module")
def valid(root):
    return ferplus.read(root, "valid")


@pytest.fixture(scope="module")
def model():
    return tiny_models.keras_model()


@pytest.fixture(scope="module")
def litert(tmp_path_factory):
    path = tmp_path_factory.mktemp("litert") / "tiny.tflite"
    path.write_bytes(tiny_models.described(tiny_models.flatbuffer(int8=True)))
    return path


def test_a_keras_model(model, root, valid):
    found = evaluation.evaluate(model, root)
    outputs = model.predict(valid.images.astype(np.float32), verbose=0)
    duplicate = np.array([name in ("fer0000100.png", "fer0000101.png") for name in valid.names])
    expected = evaluation.scores(
        outputs["emotion"], valid.votes, outputs["valence_arousal"], duplicate
    )
    assert (found["images_in_split"], found["images"], found["duplicates"]) == (14, 12, 2)
    assert found["without_duplicates"]["images"] == 10
    assert found["kind"] == "keras"
    assert found["model"] == model.name
    assert found["parameters"] == model.count_params()
    assert found["data"] == "FER+ valid"
    for name in ("accuracy", "confusion", "recall"):
        assert found[name] == expected[name]
    for name in ("cross_entropy", "valence", "arousal", "calibration_error"):
        assert found[name] == pytest.approx(expected[name], rel=1e-4)


@pytest.mark.parametrize("batch_size", [1, 5, 1000])
def test_batch_size_changes_nothing(model, valid, batch_size):
    once = open_model(model).run(valid.images)
    steps = []
    again = open_model(model).run(valid.images, batch_size, steps.append)
    np.testing.assert_allclose(again.probabilities, once.probabilities, atol=1e-6)
    np.testing.assert_allclose(again.valence_arousal, once.valence_arousal, atol=1e-6)
    assert steps[-1] == 14
    assert len(steps) == -(-14 // batch_size)


def test_a_tflite_scores_like_the_model_it_came_from(model, litert, root, valid):
    found = evaluation.evaluate(litert, root)
    assert found["kind"] == "litert"
    assert found["model"] == "tiny.tflite"
    assert found["bytes"] == litert.stat().st_size
    by_keras = open_model(model).run(valid.images)
    by_file = open_model(str(litert)).run(valid.images)
    # int8 against float: near, not the same, and nearer than pictures are to each other.
    difference = np.abs(by_file.probabilities - by_keras.probabilities).max()
    assert 0 < difference < 0.03 < np.ptp(by_keras.probabilities, axis=0).max()
    assert found == {
        **open_model(litert).facts, "data": "FER+ valid", "images_in_split": 14,
        "keras_affect": found["keras_affect"],
        **evaluation.scores(
            by_file.probabilities, valid.votes, by_file.valence_arousal,
            np.array([name < "fer0000102" for name in valid.names]),
        ),
    }  # fmt: skip


def test_a_path_is_loaded(model, root, tmp_path):
    model.save(tmp_path / "tiny.keras")
    assert evaluation.evaluate(tmp_path / "tiny.keras", root) == evaluation.evaluate(model, root)


def test_a_model_without_valence_and_arousal(root):
    found = evaluation.evaluate(tiny_models.keras_model(two_heads=False), root)
    assert found["valence"] is None
    assert found["arousal"] is None
    assert found["without_duplicates"]["valence"] is None


def test_class_names_in_another_order_are_put_in_order(model, valid):
    import keras

    shuffled = tuple(np.roll(emotions.NAMES, 3))
    outputs = keras.Model(model.input, model.output["emotion"])
    given = open_model(outputs, class_names=shuffled).run(valid.images).probabilities
    plain = open_model(outputs).run(valid.images).probabilities
    np.testing.assert_array_equal(given, np.roll(plain, -3, axis=1))
    outputs.class_names = tuple({"happiness": "Happy"}.get(name, name) for name in shuffled)
    named = open_model(outputs).run(valid.images).probabilities
    np.testing.assert_array_equal(named, given)


def dense(classes, shape=(48, 48, 1), activation="softmax", name="dense", output="emotion"):
    import keras

    image = keras.Input(shape)
    x = keras.layers.Flatten()(image)
    return keras.Model(image, {output: keras.layers.Dense(classes, activation)(x)}, name=name)


class TestRefusedModels:
    def refused(self, match, root, model, **arguments):
        with pytest.raises(ValueError, match=rf"(?s)argument `\w+`\. Expected .*{match}"):
            evaluation.evaluate(model, root, **arguments)

    def test_other_classes(self, root):
        self.refused(
            r"the eight emotions neutral.*shape \(12, 7\), classes unnamed", root, dense(7)
        )
        pets = dense(8)
        pets.class_names = tuple("abcdefgh")
        self.refused("classes a, b, c", root, pets)
        self.refused("classes neutral, anger", root, dense(8), class_names=["neutral", "anger"])

    def test_other_pictures(self, root):
        self.refused(r"FER\+'s pictures.*takes \(64, 64, 1\)", root, dense(8, (64, 64, 1)))
        self.refused(r"takes \(48, 48, 3\)", root, dense(8, (48, 48, 3)))

    def test_no_emotion(self, root):
        self.refused('an output "emotion".*which returns mood', root, dense(8, output="mood"))

    def test_logits(self, root):
        self.refused("not logits", root, dense(8, activation=None))

    def test_no_model(self, root):
        self.refused("a Keras model, the path", root, 3)

    def test_batch_size(self, root, model):
        self.refused("1 or more. Received: batch_size=0", root, model, batch_size=0)


def test_files_that_are_not_there(model, root, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.tflite: no such file"):
        evaluation.evaluate(tmp_path / "none.tflite", root)
    with pytest.raises(FileNotFoundError, match=r"none\.keras: no such file"):
        evaluation.evaluate(tmp_path / "none.keras", root)
    with pytest.raises(FileNotFoundError, match=r"no FER\+ test split here"):
        evaluation.evaluate(model, root, "test")


def test_train_is_read_only_to_find_duplicates(model, tmp_path):
    write_folder(tmp_path, "valid", [(1, HAPPY), (2, SAD)])
    with pytest.raises(FileNotFoundError, match=r"no FER\+ train split here"):
        evaluation.evaluate(model, tmp_path)
    found = evaluation.evaluate(model, tmp_path, find_duplicates=False)
    assert found["images"] == 2
    assert found["duplicates"] is None
    assert found["without_duplicates"] is None


def test_train_is_no_duplicate_of_itself(model, root):
    found = evaluation.evaluate(model, root, "train")
    assert found["images"] == 6
    assert found["duplicates"] is None


def test_faults_are_skipped_when_told(model, tmp_path):
    folder = write_folder(tmp_path, "valid", [(1, HAPPY), (2, SAD)])
    (folder / "fer0000002.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"fer0000002\.png"):
        evaluation.evaluate(model, tmp_path, find_duplicates=False)
    with pytest.warns(UserWarning, match="1 of 2 rows or pictures skipped"):
        found = evaluation.evaluate(model, tmp_path, find_duplicates=False, on_error="skip")
    assert found["images_in_split"] == 1


def test_report_fills_a_folder(model, root, tmp_path):
    log = tmp_path / "log.csv"
    log.write_text("epoch,loss,val_loss\n1,2,1.5\n2,1,1.25\n")
    (tmp_path / "scores.json").write_text("of an earlier run")
    printed = io.StringIO()
    console = Console(file=printed, width=100)
    found = evaluation.report(model, root, tmp_path, log=log, console=console)
    assert json.loads((tmp_path / "scores.json").read_text()) == found
    pictures = ("confusion.png", "circumplex.png", "reliability.png", "answered.png", "curves.png")
    for name in pictures:
        with Image.open(tmp_path / name) as image:
            assert image.format == "PNG"
    assert {path.name for path in tmp_path.iterdir()} == {"log.csv", "scores.json", *pictures}
    assert f"{found['accuracy']:.2%}" in printed.getvalue()
    # A model without the output leaves no picture of another's.
    evaluation.report(tiny_models.keras_model(two_heads=False), root, tmp_path)
    assert not (tmp_path / "circumplex.png").exists()


def test_nothing_is_replaced_unasked(model, root, tmp_path):
    (tmp_path / "confusion.png").write_bytes(b"mine")
    with pytest.raises(FileExistsError, match=r"confusion\.png: exists already"):
        evaluation.evaluate(model, root, plots=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["confusion.png"]
    path = tmp_path / "scores.json"
    evaluation.save_scores({"accuracy": 1.0}, path)
    with pytest.raises(FileExistsError, match=r"scores\.json: exists already"):
        evaluation.save_scores({"accuracy": 0.5}, path)
    assert json.loads(path.read_text()) == {"accuracy": 1.0}
    with pytest.raises(ValueError, match="JSON"):
        evaluation.save_scores({"accuracy": float("nan")}, path, overwrite=True)
    assert json.loads(path.read_text()) == {"accuracy": 1.0}


def table_of(scores, width=100):
    printed = io.StringIO()
    Console(file=printed, width=width).print(evaluation.format_scores(scores))
    lines = printed.getvalue().splitlines()
    return {
        cells[0]: cells[1:]
        for line in lines
        if len(cells := [cell.strip() for cell in line.strip("│┃").split("│")]) > 1
    }, printed.getvalue()


def test_the_table_says_what_the_scores_say(model, root):
    found = evaluation.evaluate(model, root)
    rows, text = table_of(found)
    assert f"{model.name} on FER+ valid: the 12 of 14 images with a majority" in text
    assert "without 2 duplicates" in text
    both = (found, found["without_duplicates"])
    assert rows["images"] == ["12", "10"]
    assert rows["accuracy"] == [f"{of['accuracy']:.2%}" for of in both]
    assert rows["calibration error"] == [f"{of['calibration_error']:.4f}" for of in both]
    assert rows["valence, CCC"] == [f"{of['valence']['concordance']:.3f}" for of in both]
    assert rows["arousal, RMSE"] == [f"{of['arousal']['rmse']:.3f}" for of in both]
    assert rows["recall, contempt"] == ["no images", "no images"]
    assert rows["recall, sadness"] == [
        f"{of['recall']['sadness']:.2%} of {of['support']['sadness']}" for of in both
    ]


def test_scores_under_corruptions(model, root, valid):
    found = evaluation.evaluate(model, root, corrupted=True)["corrupted"]
    assert list(found["accuracy"]) == list(evaluation.CORRUPTIONS)
    dark = evaluation.corrupt(valid.images, "brightness x0.4").astype(np.float32)
    expected = evaluation.scores(model.predict(dark, verbose=0)["emotion"], valid.votes)
    assert found["accuracy"]["brightness x0.4"] == expected["accuracy"]
    assert found["mean"] == pytest.approx(np.mean(list(found["accuracy"].values())))
    clean = evaluation.evaluate(model, root)
    assert "corrupted" not in clean
    assert found["lost"] == pytest.approx(clean["accuracy"] - found["mean"])
    rows, _ = table_of({**clean, "corrupted": found})
    assert rows["JPEG, quality 15"][0] == f"{found['accuracy']['JPEG, quality 15']:.2%}"
    assert rows["points lost"][0] == f"{100 * found['lost']:.2f}"


def test_the_table_of_bare_scores():
    rows, text = table_of(evaluation.scores(np.full((1, 8), 1 / 8), [HAPPY]))
    assert rows["accuracy"] == ["0.00%"]
    assert rows["valence, CCC"] == ["no output"]
    assert "majority" not in text
    assert "without" not in text


@pytest.fixture
def run(monkeypatch, capfd):
    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["keras-affect", "evaluate", *map(str, arguments)])
        monkeypatch.setenv("COLUMNS", "100")
        with pytest.raises(SystemExit) as ended:
            cli.main()
        printed = capfd.readouterr()
        return ended.value.code, printed.out, printed.err

    return call


def test_command(run, model, litert, root, tmp_path):
    model.save(tmp_path / "tiny.keras")
    out, plots = tmp_path / "scores.json", tmp_path / "plots"
    code, printed, notes = run(
        tmp_path / "tiny.keras", "--data", root, "--json", out, "--plots", plots
    )
    assert code == 0, notes
    found = json.loads(out.read_text())
    assert found == evaluation.evaluate(model, root)
    assert f"{found['accuracy']:.2%}" in printed
    assert sorted(path.name for path in plots.iterdir()) == [
        "answered.png", "circumplex.png", "confusion.png", "reliability.png",
    ]  # fmt: skip
    code, printed, notes = run(litert, "--data", root, "--no-duplicates", "--corrupt")
    assert "tilt 15 degrees" in printed
    assert (code, notes) == (0, "")
    assert "tiny.tflite on FER+ valid" in printed
    assert "without" not in printed


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["none.tflite"], "none.tflite: no such file"),
        (["{litert}", "--split", "holdout"], "argument `split`"),
        (["{litert}", "--split", "test"], "no FER+ test split here"),
        (["{litert}", "--class-names", "a,b"], "argument `class_names`"),
        (["{litert}", "--json", "{litert}"], "exists already"),
        (["{litert}", "--on-error", "ignore"], "argument `on_error`"),
    ],
)
def test_command_refuses_in_one_line(run, litert, root, arguments, match):
    filled = [argument.format(litert=litert) for argument in arguments]
    code, printed, notes = run(*filled, "--data", root)
    assert code == 2
    assert printed == ""
    assert match in notes
    assert notes.count("\n") == 1


def test_a_tflite_is_scored_without_tensorflow(litert, root, tmp_path):
    import subprocess

    code = (
        "import sys; from keras_affect import evaluation\n"
        "found = evaluation.evaluate(sys.argv[1], sys.argv[2])\n"
        "assert found['images'] == 12\n"
        "assert not {'tensorflow', 'keras', 'matplotlib'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code, litert, root], check=True, cwd=Path.cwd())
