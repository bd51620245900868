from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from keras_affect import cli
from keras_affect.export import flatbuffer
from tests.export.conftest import small_ferplus, smooth_images


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Any:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["keras-affect", "export", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        code = ended.value.code
        printed = capsys.readouterr()
        return int(code or 0), printed.out, printed.err

    return call


@pytest.mark.usefixtures("convert_here")
def test_a_folder_of_pictures_calibrates(tiny: Any, run: Any, tmp_path: Path) -> None:
    tiny.save(tmp_path / "tiny.keras")
    (tmp_path / "faces").mkdir()
    for i, image in enumerate(smooth_images(9, seed=1)):
        Image.fromarray(image[..., 0]).resize((60, 60)).save(tmp_path / "faces" / f"{i}.png")
    arguments = ("tiny.keras", "tiny.tflite", "--calibration", "faces", "--report", "r.json")
    options = ("--input", "rgb", "--resize-from", "50x40", "--keep-float", "emotion")
    code, out, _ = run(*arguments, *options, "--layer-errors")
    assert code == 0
    assert "uint8 (1, 50, 40, 3)" in out
    assert "kept float" in out
    assert "most hurt" in out
    assert "9 calibration images" in out
    assert "stayed float" in out
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["size"] == (tmp_path / "tiny.tflite").stat().st_size
    assert report["input"]["scale"] == 1
    code, _, err = run(*arguments)
    assert code == 2
    assert err.count("\n") == 1
    assert "tiny.tflite: exists already" in err
    named = (tmp_path / "tiny.tflite").read_bytes()
    code, out, _ = run(*arguments, "--mediapipe", "--no-tensor-names", "--overwrite")
    assert code == 0
    assert "uint8 (1, 24, 24, 3)" in out
    assert flatbuffer.has_inner_names(named)
    assert not flatbuffer.has_inner_names((tmp_path / "tiny.tflite").read_bytes())


@pytest.mark.usefixtures("convert_here")
def test_ferplus_calibrates_and_scores(run: Any, tmp_path: Path) -> None:
    from keras_affect.models import LightweightCNN

    LightweightCNN(weights=None, width=0.1).save(tmp_path / "small.keras")
    root = small_ferplus(tmp_path)
    code, out, err = run("small.keras", "small.tflite", "--data", str(root))
    assert code == 0, err
    assert "24 calibration images and 16 labelled images" in out
    assert "in Keras," in out
    assert "valence CCC" in out


def test_bad_input_is_one_line(run: Any, tmp_path: Path) -> None:
    for arguments, reason in (
        (("none.keras", "a.tflite"), "int8 needs pictures: --data or --calibration"),
        (("none.keras", "a.tflite", "--quantization", "int2"), "argument `quantization`"),
        (
            ("none.keras", "a.tflite", "--quantization", "float32", "--resize-from", "224"),
            "option --resize-from. Expected HEIGHTxWIDTH, as 224x224. Received: '224'",
        ),
        (("none.keras", "no/a.tflite", "--quantization", "float32"), "the folder no does not"),
        (("none.keras", "a.tflite", "--quantization", "float32"), "none.keras: no such file"),
    ):
        code, _, err = run(*arguments)
        assert code == 2
        assert err.count("\n") == 1
        assert reason in err
    assert list(tmp_path.iterdir()) == []


def test_help_shows_an_example(run: Any) -> None:
    code, out, _ = run("--help")
    assert code == 0
    assert "keras-affect export runs/first affect.tflite --data ferplus" in out


def test_data_needs_the_models_size(tiny: Any, run: Any, tmp_path: Path) -> None:
    tiny.save(tmp_path / "tiny.keras")
    root = small_ferplus(tmp_path)
    code, _, err = run("tiny.keras", "a.tflite", "--data", str(root))
    assert code == 2
    assert "shape (images, 24, 24, 1). Received: shape (24, 48, 48, 1)" in err
    assert np.all([path.suffix != ".tflite" for path in tmp_path.iterdir()])


def test_a_model_of_clips(run: Any, tiny: Any, tmp_path: Path, monkeypatch: Any) -> None:
    from keras_affect.export import _convert_temporal, recurrent
    from keras_affect.models import LightweightCNN, TemporalAffect
    from keras_affect.runtime import StreamingAffect

    def convert_here(folder: Path, request: dict[str, Any], model: Any, program: Path) -> None:
        Path(request["output"]).write_bytes(_convert_temporal.convert(request))

    monkeypatch.setattr(recurrent, "_run_child", convert_here)
    encoder = LightweightCNN(
        (24, 24, 1), weights=None, include_top=False, pooling="avg", width=0.125
    )
    TemporalAffect(encoder, units=4).save(tmp_path / "clips.keras")
    tiny.save(tmp_path / "tiny.keras")
    exact = ("--quantization", "float32")
    code, out, err = run("clips.keras", "stream.tflite", *exact)
    assert code == 0, err
    assert "hidden_state: float32 (1, 4)" in out
    assert StreamingAffect(tmp_path / "stream.tflite").input_shape == (24, 24, 1)
    named = (tmp_path / "stream.tflite").stat().st_size
    code, _, err = run("clips.keras", "stream.tflite", *exact, "--no-tensor-names", "--overwrite")
    assert code == 0, err
    assert (tmp_path / "stream.tflite").stat().st_size < named
    code, out, err = run("clips.keras", "clip.tflite", *exact, "--frames", "3")
    assert code == 0, err
    assert "frames: float32 (1, 3, 24, 24, 1)" in out
    assert "valence_arousal: float32 (1, 3, 2)" in out
    for arguments, reason in (
        (("tiny.keras", "--frames", "3"), "tiny.keras is of single pictures"),
        (("clips.keras", "--frames", "0"), "argument `frames`. Expected an integer from 1"),
        (("clips.keras", "--input", "rgb"), "clips.keras is a model of clips: it goes without"),
        (
            ("clips.keras", "--data", "nowhere"),
            "clips.keras is a model of clips, which --data cannot score; float32 needs no",
        ),
        (("clips.keras", "--quantization", "int4"), "argument `quantization`. Expected one of"),
    ):
        code, _, err = run(arguments[0], "a.tflite", *exact, *arguments[1:])
        assert code == 2
        assert err.count("\n") == 1
        assert reason in err
    assert not (tmp_path / "a.tflite").exists()
