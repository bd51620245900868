from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

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


@pytest.fixture
def plain(exported: Callable[[str], tuple[Any, bytes]]) -> bytes:
    """An int8 graph with each vector written by itself, as the converter does."""
    builder = flatbuffers.Builder(1024)
    builder.Finish(flatbuffer.unpacked(exported("int8")[1]).Pack(builder), b"TFL3")
    return bytes(builder.Output())


@pytest.mark.parametrize("write", [flatbuffer.compacted, flatbuffer.without_inner_names])
@pytest.mark.parametrize("quantization", ["int8", "float16"])
def test_contents_of_tensors_stand_where_the_schema_demands(
    quantization: str,
    write: Callable[[bytes], bytes],
    exported: Callable[[str], tuple[Any, bytes]],
) -> None:
    places = [place for place, _ in _contents(write(exported(quantization)[1]))]
    assert len(places) > 4
    assert [place % 16 for place in places] == [0] * len(places)


def test_equal_vectors_are_written_once(plain: bytes) -> None:
    small = flatbuffer.compacted(plain)
    # Of a kernel and its bias, and of other layers of as many channels: all of them 0.
    zeros = list(_zero_points(small))
    assert len(zeros) == len(list(_zero_points(plain))) > 4
    assert len(set(zeros)) == len({values for _, values in zeros}) < len(zeros)
    kernels = list(_contents(small))
    assert len(set(kernels)) == len({values for _, values in kernels})
    assert len(small) < len(plain)


def test_compacted_it_is_the_same_graph(plain: bytes) -> None:
    small = flatbuffer.compacted(plain)
    assert flatbuffer.operators(small) == flatbuffer.operators(plain)
    assert flatbuffer.compacted(small) == small
    images = smooth_images(8, seed=5)
    wanted = Read(plain)(images)
    for name, values in Read(small)(images).items():
        np.testing.assert_array_equal(values, wanted[name])


@pytest.mark.parametrize("quantization", ["int8", "float16", "dynamic_range"])
def test_exported_files_are_compacted(
    quantization: str, exported: Callable[[str], tuple[Any, bytes]]
) -> None:
    """With the names of what is inside, too; the archive of metadata stands behind."""
    content = exported(quantization)[1]
    assert flatbuffer.has_inner_names(content)
    assert content.startswith(flatbuffer.compacted(content))


def test_contents_behind_the_flatbuffer_are_taken_along(plain: bytes) -> None:
    """As the quantizer of weights writes large models."""
    model = flatbuffer.unpacked(plain)
    held = {number: one.data for number, one in enumerate(model.buffers) if one.data is not None}
    behind = b"".join(data.tobytes() for data in held.values())
    # Offsets count from the file's start: its length is known once there are any.
    place = 2
    for _ in range(2):
        for number, data in held.items():
            buffer = model.buffers[number]
            buffer.data, buffer.offset, buffer.size = None, place, data.size
            place += data.size
        flat = flatbuffer.packed(model)
        place = len(flat)
    moved = flat + behind
    assert not list(_contents(moved))
    images = smooth_images(8, seed=5)
    wanted = Read(plain)(images)
    for name, values in Read(moved)(images).items():  # as any runtime reads it
        np.testing.assert_array_equal(values, wanted[name])
    assert flatbuffer.compacted(moved) == flatbuffer.compacted(plain)


def _contents(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Of each buffer that holds something, where in the file that stands, and what it is."""
    model = schema.Model.GetRootAs(content)
    for number in range(model.BuffersLength()):
        if model.Buffers(number).DataLength():
            yield _placed(content, model.Buffers(number).DataAsNumpy())


def _zero_points(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Of each tensor that is quantized by channels, where its zero points stand, and what."""
    graph = schema.Model.GetRootAs(content).Subgraphs(0)
    for number in range(graph.TensorsLength()):
        parameters = graph.Tensors(number).Quantization()
        if parameters is not None and parameters.ZeroPointLength() > 1:
            yield _placed(content, parameters.ZeroPointAsNumpy())


def _placed(content: bytes, part: np.ndarray) -> tuple[int, bytes]:
    start = np.frombuffer(content, np.uint8).ctypes.data
    return part.ctypes.data - start, part.tobytes()
