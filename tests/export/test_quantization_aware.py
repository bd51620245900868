"""What quantization-aware training sees is what the exported file computes with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keras_affect.export import to_litert
from keras_affect.runtime import AffectInterpreter
from keras_affect.training import QuantizationAware


@pytest.mark.usefixtures("convert_here")
@pytest.mark.parametrize(("quantization", "bits"), [("int4", 4), ("weight_only_int8", 8)])
def test_the_file_computes_what_training_saw(
    quantization: str,
    bits: Any,
    tiny: Any,
    unseen: np.ndarray,
    expected: dict[str, np.ndarray],
    tmp_path: Path,
) -> None:
    to_litert(tiny, tmp_path / "a.tflite", quantization)
    by_file = AffectInterpreter(tmp_path / "a.tflite").run(unseen)
    seen = QuantizationAware(tiny, bits)(unseen.astype(np.float32))
    for name, exact in expected.items():
        error = np.abs(by_file[name] - np.asarray(seen[name])).max()
        # Batch normalisation stands folded into the kernels there, and apart here.
        assert error < 1e-4
        assert np.abs(by_file[name] - exact).max() > 10 * error, "the model itself is further off"
