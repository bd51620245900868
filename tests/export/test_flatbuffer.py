from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from keras_affect.export import flatbuffer
from keras_affect.export.flatbuffer import Operator

# What the small network may need, in any quantization. A name outside shows that a conversion
# changed, as by a batch normalisation that was not folded.
ALLOWED = {
    "ADD",
    "CONV_2D",
    "DEQUANTIZE",
    "FULLY_CONNECTED",
    "MEAN",
    "MUL",
    "QUANTIZE",
    "SOFTMAX",
    "TANH",
}


@pytest.mark.parametrize("quantization", ["int8", "float32", "float16", "dynamic_range"])
def test_operators_of_an_export(
    quantization: str, exported: Callable[[str], tuple[Any, bytes]]
) -> None:
    operators = flatbuffer.operators(exported(quantization)[1])
    counts = flatbuffer.count(operators)
    assert set(counts) <= ALLOWED
    assert all(operator.is_builtin for operator in operators)
    assert counts["CONV_2D"] == 2
    assert counts["FULLY_CONNECTED"] == 2
    assert list(counts.values()) == sorted(counts.values(), reverse=True)
    computing = {"CONV_2D", "FULLY_CONNECTED", "SOFTMAX", "TANH"}
    is_float = computing & set(flatbuffer.stayed_float(operators))
    assert is_float == (set() if quantization == "int8" else computing)


def test_agrees_with_the_interpreter(exported: Callable[[str], tuple[Any, bytes]]) -> None:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    content = exported("int8")[1]
    interpreter = Interpreter(
        model_content=content,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    names = [details["op_name"] for details in interpreter._get_ops_details()]
    assert [operator.name for operator in flatbuffer.operators(content)] == names


def test_conversions_are_not_counted_as_float() -> None:
    operators = [
        Operator("QUANTIZE", True, ("int8",)),
        Operator("DEQUANTIZE", True, ("float32",)),
        Operator("SIN", True, ("float32",)),
        Operator("CONV_2D", True, ("int8",)),
        Operator("SIN", True, ("float32",)),
    ]
    assert flatbuffer.stayed_float(operators) == {"SIN": 2}
    assert flatbuffer.count(operators)["SIN"] == 2
