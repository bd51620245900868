import json
import re
import sys

import keras
import numpy as np
import pytest
from PIL import Image

from keras_affect import cli, models
from keras_affect.models import LightweightCNN
from keras_affect.training.own_pictures import fine_tune_on_folder, read_folder

COUNTS = {"bright": 6, "dark": 12}


def write_pictures(folder, counts=COUNTS, size=(20, 20)):
    rng = np.random.default_rng(0)
    for name, count in counts.items():
        (folder / name).mkdir(parents=True)
        for place in range(count):
            low = 20 if name == "dark" else 150
            pixels = rng.integers(low, low + 90, size).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{place:02}.png")
    return folder


@pytest.fixture
def source(tmp_path):
    keras.utils.set_random_seed(0)
    model = LightweightCNN((16, 16, 1), None, width=0.1)
    model.save(tmp_path / "source.keras")
    return model, tmp_path / "source.keras"


def test_pictures_are_read_as_a_device_reads_them(tmp_path):
    folder = write_pictures(tmp_path / "faces", size=(16, 8))
    (folder / "notes.txt").write_text("not a class")
    (folder / ".hidden").mkdir()
    pictures = read_folder(folder, (16, 16, 1))
    assert pictures.class_names == ("bright", "dark")
    assert np.bincount(pictures.labels).tolist() == [6, 12]
    assert pictures.images.shape == (18, 16, 16, 1)
    first = np.asarray(Image.open(folder / "bright" / "00.png"))
    # Aspect kept, the border repeated in the room that is left.
    np.testing.assert_array_equal(pictures.images[0, :, 4:12, 0], first)
    np.testing.assert_array_equal(pictures.images[0, :, 0, 0], first[:, 0])
    train, valid = pictures.divided(0.2, seed=0)
    assert np.bincount(valid.labels).tolist() == [1, 2]
    assert len(train) + len(valid) == 18
    again = pictures.divided(0.2, seed=0)[1]
    np.testing.assert_array_equal(again.images, valid.images)


def test_what_a_system_lays_beside_pictures_is_passed_over(tmp_path):
    for name in ("calm", "tense"):
        (tmp_path / name).mkdir()
        Image.new("L", (16, 16)).save(tmp_path / name / "face.png")
        Image.new("L", (16, 16)).save(tmp_path / name / "FACE.TIF")
        (tmp_path / name / "._face.png").write_bytes(b"Mac OS X")
    assert len(read_folder(tmp_path, (16, 16, 1)).images) == 4


def test_a_run_that_cannot_begin_leaves_no_folder(source, tmp_path):
    folder = write_pictures(tmp_path / "faces")
    with pytest.raises(ValueError, match="`learning_rate`"):
        fine_tune_on_folder(source[1], folder, tmp_path / "runs" / "mine", learning_rate=0.0)
    assert not (tmp_path / "runs" / "mine").exists()


def test_a_run_on_a_folder(source, tmp_path):
    model, path = source
    folder = write_pictures(tmp_path / "faces")
    out = tmp_path / "run"
    result = fine_tune_on_folder(path, folder, out, head_epochs=1, epochs=2, batch_size=8)
    assert sorted(file.name for file in out.iterdir()) == [
        "fine_tuning.json",
        "log.csv",
        "model.keras",
    ]
    facts = json.loads((out / "fine_tuning.json").read_text())
    assert facts["classes"] == ["bright", "dark"]
    assert facts["pictures"] == {"train": 15, "held_out": 3}
    assert facts["whole"]["loss"] == result.whole["loss"]
    assert len(facts["head"]["val_accuracy"]) == 1
    log = (out / "log.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in log] == ["epoch", "1", "2", "3"]
    tuned = models.load(out)
    assert type(tuned) is LightweightCNN
    assert tuned.class_names == ("bright", "dark")
    assert set(tuned.output) == {"emotion"}
    # The backbone is the source's, moved a little.
    before = np.asarray(model.get_layer("stem_conv").kernel)
    after = np.asarray(tuned.get_layer("stem_conv").kernel)
    assert 0 < np.abs(after - before).max() < 0.01
    with pytest.raises(FileExistsError, match="is there already"):
        fine_tune_on_folder(path, folder, out)


def test_the_head_is_kept_for_the_same_classes(tmp_path):
    keras.utils.set_random_seed(0)
    trained = LightweightCNN((16, 16, 1), None, ["dark", "bright"], width=0.1)
    trained.save(tmp_path / "trained.keras")
    folder = write_pictures(tmp_path / "faces")
    out = tmp_path / "run"
    fine_tune_on_folder(tmp_path / "trained.keras", folder, out, head_epochs=1, epochs=0)
    tuned = models.load(out)
    assert tuned.class_names == ("dark", "bright")
    moved = np.abs(
        np.asarray(tuned.get_layer("emotion").kernel)
        - np.asarray(trained.get_layer("emotion").kernel)
    )
    assert 0 < moved.max() < 0.02


def test_what_is_wrong_is_named(source, tmp_path):
    _, path = source
    out = tmp_path / "run"
    with pytest.raises(NotADirectoryError, match="nothing: no such folder"):
        fine_tune_on_folder(path, tmp_path / "nothing", out)
    folder = write_pictures(tmp_path / "one", {"dark": 3})
    with pytest.raises(ValueError, match="one: 1 folders in it; expected one for each"):
        fine_tune_on_folder(path, folder, out)
    (folder / "empty").mkdir()
    with pytest.raises(ValueError, match="empty: holds no picture"):
        fine_tune_on_folder(path, folder, out)
    (folder / "empty" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(ValueError, match=r"broken\.png"):
        fine_tune_on_folder(path, folder, out)
    Image.new("L", (8, 8)).save(folder / "empty" / "broken.png")
    with pytest.raises(ValueError, match="empty: 1 picture; at least 2 are needed"):
        fine_tune_on_folder(path, folder, out)
    keras.Sequential([keras.Input((16, 16, 1)), keras.layers.Flatten()]).save(
        tmp_path / "other.keras"
    )
    with pytest.raises(ValueError, match=r"argument `source`\. Expected a model of keras_affect"):
        fine_tune_on_folder(tmp_path / "other.keras", folder, out)
    assert not out.exists()


def command(monkeypatch, *arguments):
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")  # the command sets it where nobody did
    monkeypatch.setattr(sys, "argv", ["keras-affect", "train", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code or 0


def test_command(source, tmp_path, monkeypatch, capfd):
    _, path = source
    folder = write_pictures(tmp_path / "faces")
    given = ["--from", path, "--data", folder, "--out", tmp_path / "run"]
    assert command(monkeypatch, *given, "--epochs", 1, "--seed", 3) == 0
    out, _ = capfd.readouterr()
    assert "15 pictures to train on (bright 5, dark 10)" in out
    assert re.search(r"epoch 6/6  loss [\d.]+  accuracy [\d.]+%  valid accuracy [\d.]+%", out)
    assert out.splitlines()[-1] == str(tmp_path / "run")
    assert (tmp_path / "run" / "model.keras").is_file()
    assert command(monkeypatch, *given[:-1], tmp_path / "other", "--width", 0.5) == 2
    assert "--from goes with no --width" in capfd.readouterr().err
    assert not (tmp_path / "other").exists()
