from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keras_affect import __version__, emotions
from keras_affect.export import metadata


@pytest.fixture
def fields() -> dict[str, Any]:
    return metadata.describe(
        class_names=("häppy", "sad"),
        input_shape=(48, 40, 1),
        input_dtype="uint8",
        outputs=("emotion",),
        quantization="int8",
        description="A test",
        licence="Apache-2.0",
        limits=metadata.LIMITS,
    )


def test_fields(fields: dict[str, Any]) -> None:
    assert fields == {
        "format": 1,
        "class_names": ["häppy", "sad"],
        "input": {
            "height": 48,
            "width": 40,
            "channels": 1,
            "range": [0, 255],
            "dtype": "uint8",
        },
        "outputs": ["emotion"],
        "licence": "Apache-2.0",
        "description": "A test",
        "limits": list(metadata.LIMITS),
        "package": f"keras_affect {__version__}",
        "quantization": "int8",
    }


def test_limits_say_what_readers_must_know() -> None:
    text = " ".join(metadata.LIMITS)
    for said in ("not a feeling", "48x48 gray", "crowd", "circumplex table", "Article 5(1)(f)"):
        assert said in text
    assert "FER+" not in " ".join(metadata.LIMITS_OF_USE), "those hold for every model"


def test_the_archive_stands_behind_the_graph(fields: dict[str, Any]) -> None:
    graph = b"\x1c\x00\x00\x00TFL3" + bytes(range(200))
    content = metadata.append(graph, fields)
    assert content.startswith(graph)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["labels.txt", "keras_affect.json"]
        assert archive.read("labels.txt").decode() == "häppy\nsad\n"
        assert json.loads(archive.read("keras_affect.json")) == fields


def test_equal_arguments_give_equal_bytes(
    fields: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = metadata.append(b"graph", fields)
    # Neither the time nor the machine is in it.
    monkeypatch.setattr("time.time", lambda: 4e9)
    monkeypatch.setattr("sys.platform", "win32")
    assert metadata.append(b"graph", fields) == first
    assert metadata.append(b"graph", fields | {"licence": "MIT"}) != first


def test_the_interpreter_loads_it_from_a_path_and_from_bytes(
    exported: Callable[[str], tuple[Any, bytes]], unseen: np.ndarray
) -> None:
    from ai_edge_litert.interpreter import Interpreter

    report, content = exported("int8")
    image = unseen[:1]
    outputs = []
    for interpreter in (
        Interpreter(model_path=report.path),
        Interpreter(model_content=content),
    ):
        runner = interpreter.get_signature_runner("serving_default")
        outputs.append(runner(image=image)["emotion"])
    np.testing.assert_array_equal(*outputs)
    with zipfile.ZipFile(Path(report.path)) as archive:
        found = json.loads(archive.read("keras_affect.json"))
        labels = archive.read("labels.txt").decode().splitlines()
    assert tuple(labels) == tuple(found["class_names"]) == emotions.NAMES
    assert found["input"]["dtype"] == "uint8"
    assert found["outputs"] == ["emotion", "valence_arousal"]
    assert found["description"].startswith("Functional of ")


@pytest.mark.parametrize(
    ("class_names", "outputs", "said", "not_said"),
    [
        (emotions.NAMES, ("emotion", "valence_arousal"), ("FER+", "circumplex"), ()),
        (emotions.NAMES, ("emotion",), ("FER+",), ("circumplex",)),
        (("calm", "tense"), ("emotion", "valence_arousal"), (), ("FER+", "circumplex")),
        (emotions.NAMES[::-1], ("emotion",), (), ("FER+",)),
    ],
)
def test_no_limit_is_claimed_of_what_a_model_is_not(
    class_names: tuple[str, ...],
    outputs: tuple[str, ...],
    said: tuple[str, ...],
    not_said: tuple[str, ...],
) -> None:
    text = " ".join(metadata.limits_of(class_names, outputs))
    for words in ("not a feeling", "Article 5(1)(f)", *said):
        assert words in text
    for words in not_said:
        assert words not in text
