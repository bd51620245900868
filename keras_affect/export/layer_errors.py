"""Which layers int8 hurts most: each quantized operator beside its float twin."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from keras_affect.export import flatbuffer, places
from keras_affect.export.conversion import run_converter
from keras_affect.export.quantization import QuantizationConfig
from keras_affect.export.signature import Signature

__all__ = ["LayerError", "layer_errors"]

# Each operator is computed twice, the second time by a reference kernel.
_IMAGES = 128


@dataclass(frozen=True)
class LayerError:
    """How far one quantized operator is from the float one on the same inputs.

    Attributes:
        layers: The Keras layers that it came from; more than one where they were fused.
        operator: Its name, as "CONV_2D".
        steps: The root mean square error in steps of its output's scale. Rounding to the next
            step alone gives 0.29, the square root of 1/12; whatever is well above that was lost
            in the weights or cut off at the ends of the range.
        largest: The largest error of one number, averaged over the images, in the output's units.
    """

    layers: tuple[str, ...]
    operator: str
    steps: float
    largest: float


def layer_errors(
    model: Any,
    signature: Signature,
    config: QuantizationConfig,
    calibration: npt.NDArray[np.float32],
    flat: bytes,
    keep_float: Sequence[str] = (),
) -> list[LayerError]:
    """The error of every operator that int8 quantizes, the worst first.

    What comes before an operator is the quantized file's, so that an error stands where it
    arises, and not at all that follows.

    Args:
        model: A Keras model that computes in float32.
        signature: What `signature.read` said of it.
        config: A recipe with int8 activations.
        calibration: The images to calibrate on, extremes included. Errors are measured on the
            first 128 of them.
        flat: The flatbuffer that `convert` made of the same.
        keep_float: Layers that are not quantized.

    Raises:
        ConversionError: As `convert`.

    Reference: https://ai.google.dev/edge/litert/conversion/tensorflow/quantization/quantization_debugger
    """
    operators = flatbuffer.operators(flat)
    kept = places.check_layers(keep_float, operators, model) if keep_float else []
    # The extremes stand behind all others: without them the input would have another scale.
    images = np.concatenate([calibration[:_IMAGES], calibration[-2:]])
    rows = json.loads(
        run_converter(
            "measure_layers",
            model,
            signature,
            config,
            images,
            [name for operator in kept for name in operator.results],
        )
    )
    by_tensor = {
        name: layers
        for operator, layers in places.operators_by_layers(operators, model)
        for name in operator.results
    }
    errors = [
        LayerError(
            layers=by_tensor.get(row["tensor_name"]) or places.layers_of(row["tensor_name"], model),
            operator=row["op_name"],
            steps=float(np.sqrt(float(row["mean_squared_error"])) / float(row["scale"])),
            largest=float(row["max_abs_error"]),
        )
        for row in rows
        if float(row["scale"]) > 0
    ]
    return sorted(errors, key=lambda error: -error.steps)
