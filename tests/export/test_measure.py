from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from keras_affect.export import measure
from keras_affect.export.signature import read
from tests.export.conftest import Read


def test_keras_outputs_do_not_depend_on_the_batch(
    tiny: Any, unseen: np.ndarray, expected: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, int]] = []
    monkeypatch.setattr(measure, "_BATCH", 20)
    outputs = measure.keras_outputs(
        tiny, read(tiny), unseen.astype(np.float32), lambda done, of: seen.append((done, of))
    )
    assert list(outputs) == ["emotion", "valence_arousal"]
    for name, values in outputs.items():
        np.testing.assert_allclose(values, expected[name], atol=1e-6)
    assert seen == [(20, 32), (32, 32)]


@pytest.mark.parametrize("quantization", ["int8", "float32"])
def test_litert_outputs_agree_with_another_reader(
    quantization: str, exported: Callable[[str], tuple[Any, bytes]], unseen: np.ndarray
) -> None:
    content = exported(quantization)[1]
    outputs = measure.litert_outputs(content, unseen.astype(np.float32))
    for name, values in Read(content)(unseen).items():
        np.testing.assert_allclose(outputs[name], values, atol=1e-7)


def test_borders(exported: Callable[[str], tuple[Any, bytes]]) -> None:
    (image,), outputs = measure.borders(exported("int8")[1])
    assert image == measure.Border("image", (1, 24, 24, 1), "uint8", 1.0, 0)
    assert [(border.name, border.shape, border.dtype) for border in outputs] == [
        ("emotion", (1, 8), "uint8"),
        ("valence_arousal", (1, 2), "uint8"),
    ]
    (image,), _ = measure.borders(exported("float32")[1])
    assert image == measure.Border("image", (1, 24, 24, 1), "float32", 0.0, 0)


def test_largest_errors() -> None:
    exact = {"a": np.zeros((2, 2), np.float32), "b": np.ones((2, 1), np.float32)}
    measured = {"b": np.array([[1.0], [0.5]], np.float32), "a": np.eye(2, dtype=np.float32) * -3}
    assert measure.largest_errors(exact, measured) == {"a": 3.0, "b": 0.5}
    measured["a"][0, 0] = np.nan
    assert np.isnan(measure.largest_errors(exact, measured)["a"])
