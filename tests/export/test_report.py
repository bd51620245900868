from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keras_affect.export import ExportReport, to_litert
from keras_affect.export.measure import Border
from tests.export.conftest import Read, smooth_images


def report_of(**changes: Any) -> ExportReport:
    scores = {
        "images": 3199,
        "accuracy": 0.8712,
        "valence": {"concordance": 0.9, "rmse": 0.1},
        "arousal": {"concordance": 0.8, "rmse": 0.1},
    }
    fields: dict[str, Any] = {
        "path": "affect.tflite",
        "quantization": "int8",
        "size": 477602,
        "operators": {"CONV_2D": 15, "SIN": 1},
        "stayed_float": {"SIN": 1},
        "input": Border("image", (1, 48, 48, 1), "uint8", 1.0, 0),
        "outputs": (Border("emotion", (1, 8), "uint8", 1 / 256, 0),),
        "largest_error": {"emotion": 0.01234},
        "measured_on": "512 calibration images",
        "scores": {
            "float": scores,
            "exported": scores | {"accuracy": 0.8701, "arousal": {"concordance": 0.7}},
        },
    }
    return ExportReport(**(fields | changes))


def test_text() -> None:
    assert str(report_of()).splitlines() == [
        "file           affect.tflite",
        "quantization   int8",
        "size           477,602 bytes",
        "input          image: uint8 (1, 48, 48, 1), scale 1, zero point 0",
        "output         emotion: uint8 (1, 8), scale 0.00390625, zero point 0",
        "operators      15 CONV_2D, 1 SIN",
        "stayed float   1 SIN",
        "largest error  emotion 0.012, over 512 calibration images",
        "accuracy       87.12% in Keras, 87.01% exported (3,199 images)",
        "valence CCC    0.900 in Keras, 0.900 exported",
        "arousal CCC    0.800 in Keras, 0.700 exported",
    ]


def test_text_of_what_is_not_there() -> None:
    headings = [heading for heading, _ in report_of(stayed_float=None, scores=None).rows()]
    assert headings[-1] == "largest error"
    assert "stayed float" not in headings
    assert "stayed float   nothing" in str(report_of(stayed_float={}))
    single = {"images": 9, "accuracy": 1.0, "valence": None, "arousal": None}
    rows = report_of(scores={"float": single, "exported": single}).rows()
    assert rows[-1] == ("accuracy", "100.00% in Keras, 100.00% exported (9 images)")


def test_json(tmp_path: Path) -> None:
    report = report_of()
    report.save(tmp_path / "a.json")
    read = json.loads((tmp_path / "a.json").read_text())
    assert read == json.loads(json.dumps(report.to_dict()))
    assert read["input"] == {
        "name": "image",
        "shape": [1, 48, 48, 1],
        "dtype": "uint8",
        "scale": 1.0,
        "zero_point": 0,
    }
    assert read["scores"]["exported"]["accuracy"] == 0.8701
    with pytest.raises(FileExistsError, match="exists already"):
        report.save(tmp_path / "a.json")
    report.save(tmp_path / "a.json", overwrite=True)


@pytest.mark.usefixtures("convert_here")
def test_scores_are_those_of_the_model_and_of_the_file(
    tiny: Any, calibration: np.ndarray, tmp_path: Path
) -> None:
    images = smooth_images(60, seed=8)
    # Votes by the model itself, but for ten images: it scores 50 of 60, by another way.
    best = np.asarray(tiny(images.astype(np.float32))["emotion"]).argmax(1)
    voted = np.where(np.arange(60) < 10, (best + 1) % 8, best)
    votes = 10 * np.eye(10, dtype=np.float32)[voted]
    report = to_litert(
        tiny, tmp_path / "a.tflite", calibration=calibration, labelled=(images, votes)
    )
    assert report.measured_on == "48 calibration images and 60 labelled images"
    assert report.scores is not None
    assert report.scores["float"]["accuracy"] == pytest.approx(50 / 60)
    outputs = Read((tmp_path / "a.tflite").read_bytes())(images)
    by_hand = np.mean(outputs["emotion"].argmax(1) == voted)
    assert report.scores["exported"]["accuracy"] == pytest.approx(by_hand)
    assert report.scores["exported"] != report.scores["float"]
    json.dumps(report.to_dict())
