"""Weights in eight or four bits that are made float again before use, by litert-quantizer."""

from __future__ import annotations

import re
from collections.abc import Sequence

from keras_affect.export.flatbuffer import Operator
from keras_affect.export.quantization import QuantizationConfig

__all__ = ["check_library", "quantize_weights"]

_BITS = {"int8": 8, "int4": 4}


def check_library(config: QuantizationConfig) -> None:
    """Refuse a recipe that the library must write where that is not installed.

    Raises:
        ImportError: If it is not.
    """
    if not config.is_weight_only:
        return
    try:
        import litert_quantizer
    except ImportError as error:
        raise ImportError(
            f"{config.name} needs litert-quantizer ({error}): pip install 'keras-affect[quantize]'"
        ) from error
    del litert_quantizer


def quantize_weights(
    flat: bytes, config: QuantizationConfig, keep_float: Sequence[Operator] = ()
) -> bytes:
    """A float32 flatbuffer with its weights quantized.

    Symmetric, a scale for each output channel; what has no weights stays as it was.

    Args:
        flat: The flatbuffer.
        config: A recipe with `is_weight_only`.
        keep_float: Operators of it whose weights stay float32.
    """
    from litert_quantizer import Quantizer, algorithm_manager, qtyping

    every = qtyping.TFLOperationName.ALL_SUPPORTED
    quantizer = Quantizer(bytearray(flat))
    quantizer.add_weight_only_config(
        regex=".*", operation_name=every, num_bits=_BITS[config.weights]
    )
    for operator in keep_float:
        quantizer.update_quantization_recipe(
            regex=re.escape(operator.results[0]),
            operation_name=every,
            algorithm_key=algorithm_manager.AlgorithmName.NO_QUANTIZE,
        )
    # The report would be printed.
    result = quantizer.quantize(enable_progress_bar=False, enable_progress_report=False)
    return bytes(result.quantized_model)
