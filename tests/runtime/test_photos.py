from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keras_affect.runtime.photos import annotated_paths, read_photo


def test_a_photo_with_a_face(interpreter, photograph_path):
    photo = read_photo(interpreter, photograph_path, find_faces=True)
    assert photo.problem is None
    assert list(photo.predictions) == interpreter.predict_faces(photograph_path)
    found = json.loads(json.dumps(photo.as_dict()))
    assert (found["photo"], found["width"], found["height"]) == (str(photograph_path), 512, 600)
    assert len(found["faces"]) == 1


def test_a_photo_as_one_face(interpreter, photograph_path):
    photo = read_photo(interpreter, photograph_path, find_faces=False)
    assert photo.predictions == (interpreter.predict(photograph_path),)
    assert photo.as_dict()["faces"][0]["box"] is None


def test_problems_are_results(interpreter, tmp_path):
    path = tmp_path / "empty.png"
    Image.fromarray(np.zeros((90, 120), np.uint8)).save(path)
    photo = read_photo(interpreter, path, find_faces=True)
    assert photo.problem.startswith(f"{path}: no face found; with --no-faces")
    assert photo.as_dict() == {
        "photo": str(path),
        "width": 120,
        "height": 90,
        "faces": [],
        "problem": photo.problem,
    }
    photo = read_photo(interpreter, tmp_path / "nowhere.png", find_faces=True)
    assert photo.problem == f"{tmp_path / 'nowhere.png'}: no such file"
    assert photo.picture is None
    assert photo.as_dict()["width"] is None


def test_annotated_paths(tmp_path):
    a, b = Path("photos/a.jpg"), Path("b.webp")
    assert annotated_paths([a], Path("out.png")) == [Path("out.png")]
    assert annotated_paths([a], tmp_path) == [tmp_path / "a.png"]
    assert annotated_paths([a, b], Path("out")) == [Path("out/a.png"), Path("out/b.png")]
    with pytest.raises(
        ValueError, match=r"a\.gif and .*a\.jpg would both be annotated as .*a\.png"
    ):
        annotated_paths([a, Path("a.gif")], Path("out"))
    with pytest.raises(ValueError, match=r"out\.gif: expected a name ending in \.png, \.jpg"):
        annotated_paths([a], Path("out.gif"))
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match=r"file: a file; expected a folder"):
        annotated_paths([a, b], tmp_path / "file")
    with pytest.raises(ValueError, match=r"one of the photos"):
        annotated_paths([a], a)
    with pytest.raises(ValueError, match=r"one of the photos"):
        annotated_paths([tmp_path / "x.png", tmp_path / "y.png"], tmp_path)
