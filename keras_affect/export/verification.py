"""What a converted file must hold before it is written."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from keras_affect.export import places
from keras_affect.export.conversion import INPUT_NAME, ConversionError
from keras_affect.export.flatbuffer import Operator
from keras_affect.export.measure import Border
from keras_affect.export.quantization import QuantizationConfig
from keras_affect.export.signature import Signature

__all__ = ["check_borders", "check_deterministic", "check_errors", "check_operators"]

# A float32 file computes what the model does, in another order. Whatever is further off than
# this was not converted, but changed.
_FLOAT32_TOLERANCE = 1e-3

# Operators by which a file would give different outputs for the same image.
_NOT_A_FUNCTION = (
    "RANDOM_UNIFORM",
    "RANDOM_STANDARD_NORMAL",
    "MULTINOMIAL",
    "VAR_HANDLE",
    "READ_VARIABLE",
    "ASSIGN_VARIABLE",
    "CALL_ONCE",
)


def check_deterministic(model: Any) -> None:
    """Refuse a model by the name of its layer that says it draws random numbers at inference.

    A layer that does so and doesn't say is found by `check_operators`, which knows no layers.
    """
    for layer in model._flatten_layers():
        if not getattr(layer, "draws_at_inference", False):
            continue
        if layer is model:
            raise ConversionError(
                f"{model.name} can't be exported: {type(layer).__name__} draws random numbers at "
                "inference; export the model that it averages. Nothing was written"
            )
        raise ConversionError(
            f"{model.name} can't be exported: its layer {layer.name!r} "
            f"({type(layer).__name__}) draws random numbers at inference; build it with "
            'inference="mean", the weights are the same. Nothing was written'
        )


def check_operators(operators: list[Operator], model: Any) -> None:
    """Refuse operators that not every LiteRT runs, or that make a file more than a function."""
    foreign = [operator for operator in operators if not operator.is_builtin]
    if foreign:
        raise ConversionError(
            f"{model.name} can't be exported: LiteRT has no builtin operator for "
            f"{_named(foreign, model)}. Nothing was written"
        )
    stateful = [operator for operator in operators if operator.name in _NOT_A_FUNCTION]
    if stateful:
        raise ConversionError(
            f"{model.name} can't be exported: at inference a layer draws random numbers or keeps "
            f"a state ({_named(stateful, model)}). Nothing was written"
        )


def _named(operators: list[Operator], model: Any) -> str:
    """The operators, and the layers that they came from where their tensors say it."""
    names = ", ".join(sorted({operator.name for operator in operators}))
    layers = places.describe([place for one in operators for place in one.results], model)
    return f"{names} of {layers}" if layers else names


def check_borders(
    inputs: list[Border],
    outputs: list[Border],
    signature: Signature,
    config: QuantizationConfig,
) -> None:
    """Refuse a file whose input and outputs are not what its readers rely on."""
    found = {output.name: (output.shape, output.dtype) for output in outputs}
    wanted = {name: ((1, length), config.border) for name, length in signature.outputs.items()}
    is_input_right = (
        len(inputs) == 1
        and inputs[0].name == INPUT_NAME
        and inputs[0].shape == (1, *signature.input_shape)
        and inputs[0].dtype == config.border
    )
    if not is_input_right or found != wanted:
        raise ConversionError(
            f"The converted file takes {inputs} and gives {outputs}; expected {INPUT_NAME} of "
            f"{config.border} (1, {', '.join(map(str, signature.input_shape))}) and {wanted}. "
            "Nothing was written"
        )
    if config.border == "uint8" and (inputs[0].scale, inputs[0].zero_point) != (1.0, 0):
        raise ConversionError(
            f"The converted file reads pixels at scale {inputs[0].scale:g} and zero point "
            f"{inputs[0].zero_point}, not 1 and 0: it would misread every picture. "
            "Nothing was written"
        )


def check_errors(
    errors: dict[str, float],
    by_keras: dict[str, npt.NDArray[np.float32]],
    config: QuantizationConfig,
    name: str,
) -> None:
    """Refuse a file, or a model, whose outputs are not finite, and a float32 file that is off."""
    for output, error in errors.items():
        if not np.isfinite(by_keras[output]).all():
            raise ConversionError(
                f"{name} can't be exported: the Keras model's own {output!r} is not finite. "
                "Nothing was written"
            )
        limit = _FLOAT32_TOLERANCE if config.name == "float32" else np.inf
        if not error < limit:
            raise ConversionError(
                f"{name} can't be exported as {config.name}: the file's {output!r} is off by "
                f"{error:g} from the Keras model's. Nothing was written"
            )
