"""What is written for MediaPipe; MediaPipe itself reads it in tests/edge/test_mediapipe.py."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from keras_affect import emotions
from keras_affect.export import to_litert
from tests.export.conftest import Read


@pytest.mark.usefixtures("convert_here")
def test_one_head_colour_and_metadata(
    tiny: Any, calibration: np.ndarray, unseen: np.ndarray, expected: Any, tmp_path: Path
) -> None:
    path = tmp_path / "a.tflite"
    arguments: dict[str, Any] = {"calibration": calibration, "for_mediapipe": True}
    report = to_litert(tiny, path, licence="MIT", **arguments)
    content = path.read_bytes()
    assert [(border.name, border.dtype) for border in report.outputs] == [("emotion", "uint8")]
    assert report.input.shape == (1, 24, 24, 3)

    outputs = Read(content)(unseen.repeat(3, axis=3))["emotion"]
    assert np.abs(outputs - expected["emotion"]).max() < 0.08
    assert np.abs(np.roll(outputs, 1, axis=0) - expected["emotion"]).max() > 0.3

    model = schema.Model.GetRootAs(content)
    buffers = {
        model.Metadata(i).Name(): model.Buffers(model.Metadata(i).Buffer()).DataAsNumpy().tobytes()
        for i in range(model.MetadataLength())
    }
    described = buffers[b"TFLITE_METADATA"]
    assert described[4:8] == b"M001"
    for text in (b"labels.txt", b"MIT", b"An expression is not a feeling"):
        assert text in described
    with zipfile.ZipFile(path) as archive:
        assert archive.read("labels.txt").decode().split() == list(emotions.NAMES)

    to_litert(
        tiny, path, calibration=calibration, for_mediapipe=True, licence="MIT", overwrite=True
    )
    assert path.read_bytes() == content, "the same bytes twice"
