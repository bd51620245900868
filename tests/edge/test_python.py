"""Python's LiteRT, the reference of all other targets: data types, threads, batches."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keras_affect.export import to_litert
from keras_affect.export.quantization import NAMES
from keras_affect.models import LightweightCNN
from keras_affect.runtime import AffectInterpreter
from tests.conftest import REPOSITORY
from tests.edge.conftest import assert_identical
from tests.edge.outputs import outputs

BOTH = ("emotion", "valence_arousal")
#: The largest mean error of an output over the drawings, for the shipped weights.
TOLERANCE = {
    "float32": 1e-5,
    "float16": 1e-3,
    "dynamic_range": 0.01,
    "weight_only_int8": 0.01,
    "int8": 0.02,
    "int4": 0.1,
}


@pytest.mark.parametrize("threads", [2, 4])
def test_threads_change_no_bit(
    threads: int, shipped: Path, pictures: np.ndarray, by_python: dict[str, np.ndarray]
) -> None:
    assert_identical(outputs(str(shipped), pictures, threads), by_python, BOTH)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_a_batch_is_its_pictures(
    dtype: str, shipped: Path, pictures: np.ndarray, by_python: dict[str, np.ndarray]
) -> None:
    interpreter = AffectInterpreter(shipped)
    found = interpreter.run(pictures.astype(dtype))
    one = {name: np.stack([interpreter.run(p[None])[name][0] for p in pictures]) for name in BOTH}
    assert_identical(found, one, BOTH)
    # Dequantized: as many different rows, in the same order of size.
    for name in BOTH:
        order = by_python[name].argsort(axis=1, kind="stable")
        ranked = np.take_along_axis(found[name], order, axis=1)
        assert (np.diff(ranked, axis=1) >= 0).all()


@pytest.fixture(scope="module")
def model() -> LightweightCNN:
    return LightweightCNN()


@pytest.mark.parametrize("quantization", NAMES)
def test_every_quantization_gives_what_keras_gives(
    quantization: str, model: LightweightCNN, pictures: np.ndarray, tmp_path: Path
) -> None:
    path = tmp_path / "a.tflite"
    report = to_litert(model, path, quantization, calibration=pictures)
    assert report.input.dtype == ("uint8" if quantization == "int8" else "float32")
    found = AffectInterpreter(path).run(pictures)
    wanted = model(pictures.astype(np.float32), training=False)
    for name in BOTH:
        exact = np.asarray(wanted[name])
        error = np.abs(found[name] - exact).mean()
        assert error < TOLERANCE[quantization]
        assert np.abs(np.roll(found[name], 1, axis=0) - exact).mean() > 1.5 * error
        assert np.ptp(exact, axis=0).max() > 0.5


def test_the_readmes_python(
    shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    page = (REPOSITORY / "export" / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^```python\n(.*?)^```$", page, flags=re.DOTALL | re.MULTILINE)
    shutil.copy(shipped, tmp_path / "affect.tflite")
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {}
    exec(compile(code, "README.md", "exec"), namespace)
    assert {line.split()[0] for line in capsys.readouterr().out.splitlines()} == set(BOTH)
    black = AffectInterpreter(shipped).run(np.zeros((1, 48, 48, 1), np.uint8))
    scale, zero_point = namespace["details"]["quantization"]
    last = namespace["name"]
    found = (namespace["found"][last].astype(np.float32) - zero_point) * scale
    np.testing.assert_allclose(found, black[last], atol=1e-6)
