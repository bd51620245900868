from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from keras_affect.export import to_litert
from tests.export.conftest import two_headed


def with_an_outlier() -> Any:
    """One weight a hundred times the others': its channel keeps few steps for these."""
    model = two_headed()
    kernel, *rest = model.get_layer("branch").get_weights()
    kernel[0, 0, 0, :] *= 300
    model.get_layer("branch").set_weights([kernel, *rest])
    return model


@pytest.mark.usefixtures("convert_here")
def test_the_layer_that_is_hurt_is_found_and_kept(calibration: np.ndarray, tmp_path: Path) -> None:
    keras.utils.clear_session()
    model = with_an_outlier()
    path = tmp_path / "a.tflite"
    hurt = to_litert(model, path, calibration=calibration, layer_errors=True)
    assert hurt.layer_errors is not None
    assert {"CONV_2D", "ADD", "MEAN", "FULLY_CONNECTED"} <= {e.operator for e in hurt.layer_errors}
    steps = [error.steps for error in hurt.layer_errors]
    assert steps == sorted(steps, reverse=True)
    assert all(error.layers for error in hurt.layer_errors), "every error has its layers"
    # Rounding alone, where a layer has no weights.
    (mean,) = (error for error in hurt.layer_errors if error.operator == "MEAN")
    assert mean.layers == ("pool",)
    assert 0.1 < mean.steps < 0.4

    head = next(e.layers for e in hurt.layer_errors if e.operator == "FULLY_CONNECTED")
    kept = to_litert(
        model,
        path,
        calibration=calibration,
        overwrite=True,
        keep_float=head,
        layer_errors=True,
    )
    assert kept.kept_float == head
    assert kept.stayed_float is not None
    assert kept.stayed_float["FULLY_CONNECTED"] == 1
    assert (kept.input.dtype, kept.outputs[0].dtype) == ("uint8", "uint8")
    assert kept.layer_errors is not None
    assert head not in [error.layers for error in kept.layer_errors]
    assert kept.size != hurt.size


@pytest.mark.usefixtures("convert_here")
def test_weights_that_are_kept(tiny: Any, calibration: np.ndarray, tmp_path: Path) -> None:
    reports = {
        kept: to_litert(
            tiny, tmp_path / f"{len(kept)}.tflite", "int4", calibration, keep_float=kept
        )
        for kept in ((), ("stem", "branch", "emotion", "valence_arousal"))
    }
    (all_four_bits, error), (none, small) = (
        (report.operators.get("DEQUANTIZE", 0), report.largest_error["emotion"])
        for report in reports.values()
    )
    assert all_four_bits == 4
    assert none == 0
    assert small < 1e-4 < error
