from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keras_affect.export import compare
from tests.export.conftest import smooth_images


@pytest.mark.usefixtures("convert_here")
def test_side_by_side(tiny: Any, calibration: np.ndarray, tmp_path: Path) -> None:
    votes = 10 * np.eye(10, dtype=np.float32)[np.arange(40) % 8]
    said: list[str] = []
    comparison = compare(
        tiny,
        tmp_path,
        calibration,
        (smooth_images(40, seed=5), votes),
        ["int8", "int4"],
        progress=lambda what, done, of: said.append(what),
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "index.html",
        "int4.tflite",
        "int8.tflite",
        "report.json",
    ]
    assert {"int8: converting", "int8: measuring layers", "int4: converting"} <= set(said)
    read = json.loads((tmp_path / "report.json").read_text())
    assert list(read["reports"]) == ["int8", "int4"]
    assert read["reports"]["int4"]["size"] == (tmp_path / "int4.tflite").stat().st_size
    assert read["reports"]["int4"]["layer_errors"] is None

    html = (tmp_path / "index.html").read_text()
    assert "src=" not in html
    assert "http" not in html
    rows = re.findall(r"<tr>(.*?)</tr>", html)
    texts = [re.findall(r"<td[^>]*>([^<]*)", row) for row in rows]
    int8 = comparison.reports["int8"]
    assert int8.scores is not None
    assert int8.layer_errors is not None
    (row,) = (text for text in texts if text[:2] == ["int8", f"{int8.size:,}"])
    assert f"{int8.scores['exported']['accuracy']:.2%}" in row
    assert any(f"{int8.scores['float']['accuracy']:.2%}" in text for text in texts)
    worst = int8.layer_errors[0]
    assert [" + ".join(worst.layers) + f": {worst.operator}", f"{worst.steps:.2f}"] in [
        text[:2] for text in texts
    ]
    # A table's rows have all its columns.
    assert len({len(text) for text in texts if len(text) > 3}) == 1

    with pytest.raises(FileExistsError, match=r"int4\.tflite: exists already"):
        compare(tiny, tmp_path, calibration, quantizations=["int4"])


@pytest.mark.parametrize("wrong", [["int8", "int8"], ["int2"], "int8"])
def test_names_at_fault(wrong: Any, tiny: Any, calibration: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Invalid value for argument `quantization"):
        compare(tiny, tmp_path, calibration, quantizations=wrong)
    assert list(tmp_path.iterdir()) == []
