"""Python's LiteRT, the reference of all other targets: data types, threads, batches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from keras_affect.export import to_litert
from keras_affect.models import LightweightCNN
from keras_affect.runtime import AffectInterpreter
from tests.edge.conftest import assert_identical
from tests.edge.outputs import outputs

BOTH = ("emotion", "valence_arousal")
#: The largest mean error of an output over the drawings, for the shipped weights.
TOLERANCE = {
    "float32": 1e-5,
    "float16": 1e-3,
    "int8": 0.02,
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


@pytest.mark.parametrize("quantization", TOLERANCE)
def test_a_quantization_gives_what_keras_gives(
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
