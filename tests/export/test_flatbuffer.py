from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from keras_affect.export import flatbuffer
from keras_affect.export.flatbuffer import Operator
from tests.export.conftest import Read, smooth_images

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


@pytest.mark.parametrize("quantization", ["int8", "float32"])
def test_without_inner_names_the_graph_computes_the_same(
    quantization: str, exported: Callable[[str], tuple[Any, bytes]]
) -> None:
    content = exported(quantization)[1]
    names = {name for operator in flatbuffer.operators(content) for name in operator.results}
    bare = flatbuffer.without_inner_names(content)
    assert flatbuffer.has_inner_names(content)
    assert not flatbuffer.has_inner_names(bare)
    # The borders of the graph keep theirs: two outputs, each the result of one operator.
    assert len(bare) < len(content) - sum(map(len, names)) / 2
    kept = [name for operator in flatbuffer.operators(bare) for name in operator.results if name]
    assert len(kept) == 2
    assert set(kept) < names
    assert [(one.name, one.outputs) for one in flatbuffer.operators(bare)] == [
        (one.name, one.outputs) for one in flatbuffer.operators(content)
    ]
    images = smooth_images(8, seed=5)
    wanted = Read(content)(images)
    for name, values in Read(bare)(images).items():
        np.testing.assert_array_equal(values, wanted[name])
