"""What stands in a ``.tflite``: its operators, which of them compute in float, its tensors' names.

Read from the file by its schema and not from an interpreter, which shows its own plan: operators
that a delegate took over look like one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

__all__ = [
    "Operator",
    "compacted",
    "count",
    "has_inner_names",
    "operators",
    "packed",
    "stayed_float",
    "unpacked",
    "without_inner_names",
]

_IDENTIFIER = b"TFL3"

# What the schema demands for the contents of tensors (`force_align`), and the kernels of small
# boards read 16 bytes at once from. The Python builder knows no `force_align`.
_ALIGNMENT = 16

_OPERATOR_NAMES = {
    code: name for name, code in vars(schema.BuiltinOperator).items() if not name.startswith("_")
}
_TYPE_NAMES = {
    code: name.lower() for name, code in vars(schema.TensorType).items() if not name.startswith("_")
}
# They move numbers between integers and floats and compute nothing.
_BETWEEN = ("QUANTIZE", "DEQUANTIZE")


@dataclass(frozen=True)
class Operator:
    """One operator of a graph.

    Attributes:
        name: Its builtin name, as "CONV_2D", or a custom one's, as "FlexSelu".
        is_builtin: Whether every LiteRT runs it.
        outputs: The data types of its outputs, as "int8".
        inputs: The names of its inputs, of those that it has.
        results: The names of its outputs. The converter makes them of the places in the Keras
            model that the operator was fused from, as "model/relu/Relu;model/conv/convolution".
            Empty where a file came without.
    """

    name: str
    is_builtin: bool
    outputs: tuple[str, ...]
    inputs: tuple[str, ...] = ()
    results: tuple[str, ...] = ()


def operators(content: bytes) -> list[Operator]:
    """The operators of all subgraphs, in the order in which they run."""
    model = schema.Model.GetRootAs(content)
    return [
        operator
        for place in range(model.SubgraphsLength())
        for operator in _of_subgraph(model, model.Subgraphs(place))
    ]


def _of_subgraph(model: Any, subgraph: Any) -> Iterator[Operator]:
    for place in range(subgraph.OperatorsLength()):
        operator = subgraph.Operators(place)
        code = model.OperatorCodes(operator.OpcodeIndex())
        # Old files hold the code in a byte; the larger of the two fields is the right one.
        builtin = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        is_builtin = builtin != schema.BuiltinOperator.CUSTOM
        tensors = [subgraph.Tensors(operator.Outputs(i)) for i in range(operator.OutputsLength())]
        # An optional input that is not there has the number -1.
        inputs = [
            subgraph.Tensors(operator.Inputs(i))
            for i in range(operator.InputsLength())
            if operator.Inputs(i) >= 0
        ]
        yield Operator(
            _OPERATOR_NAMES[builtin] if is_builtin else code.CustomCode().decode(),
            is_builtin,
            tuple(_TYPE_NAMES[tensor.Type()] for tensor in tensors),
            tuple(_name(tensor) for tensor in inputs),
            tuple(_name(tensor) for tensor in tensors),
        )


def _name(tensor: Any) -> str:
    return (tensor.Name() or b"").decode()


def count(of: list[Operator]) -> dict[str, int]:
    """How many of each name, the most frequent first."""
    return dict(Counter(operator.name for operator in of).most_common())


def stayed_float(of: list[Operator]) -> dict[str, int]:
    """The count of those that compute in floating point, by name.

    Conversions between integers and floats are not counted.
    """
    return count(
        [
            operator
            for operator in of
            if operator.name not in _BETWEEN
            and any(dtype.startswith(("float", "bfloat")) for dtype in operator.outputs)
        ]
    )


def unpacked(content: bytes) -> Any:
    """A file as the schema's own objects, to change and hand to `packed`.

    Contents of tensors that stand behind the flatbuffer, where the quantizer of weights puts those
    of large models, are taken into it: what packs it anew would leave them behind.
    """
    model = schema.ModelT.InitFromPackedBuf(bytearray(content), 0)
    for buffer in model.buffers:
        # The schema: 0 and 1 are no place, for a buffer whose contents stand in it.
        if buffer.offset > 1:
            inside = content[buffer.offset : buffer.offset + buffer.size]
            buffer.data = np.frombuffer(inside, np.uint8)
            buffer.offset = buffer.size = 0
    return model


def packed(model: Any) -> bytes:
    """The file of the schema's own objects, equal vectors of numbers written once."""
    builder = _Builder(1024)
    builder.Finish(model.Pack(builder), _IDENTIFIER)
    return bytes(builder.Output())


def compacted(content: bytes) -> bytes:
    """The same graph with equal vectors of numbers written once."""
    return packed(unpacked(content))


class _Builder(flatbuffers.Builder):
    """Writes equal vectors once, and tensors' contents where the schema demands them.

    Several tables may point to one vector. Most vectors of an int8 file are of zero points, eight
    bytes of 0 for each channel of a kernel and as many for its bias.
    """

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self._places: dict[tuple[str, bytes], int] = {}

    def CreateNumpyVector(self, x: np.ndarray) -> int:  # noqa: N802, the base class's name
        key = (x.dtype.str, x.tobytes())
        if key not in self._places:
            if x.dtype == np.uint8:
                self.Prep(_ALIGNMENT, x.size)
            self._places[key] = super().CreateNumpyVector(x)
        return self._places[key]


def has_inner_names(content: bytes) -> bool:
    """Whether a tensor has a name that is neither an input nor an output of its graph."""
    return any(tensor.name for tensor in _inner_tensors(unpacked(content)))


def without_inner_names(content: bytes) -> bytes:
    """The graph, compacted, without the names of the tensors between its inputs and its outputs.

    No runtime reads them. A tool that draws the graph shows them: one then sees operators, and no
    longer from which layers they are.
    """
    model = unpacked(content)
    for tensor in _inner_tensors(model):
        tensor.name = None
    return packed(model)


def _inner_tensors(model: Any) -> Iterator[Any]:
    for subgraph in model.subgraphs:
        borders = {*subgraph.inputs, *subgraph.outputs}
        yield from (one for place, one in enumerate(subgraph.tensors) if place not in borders)
