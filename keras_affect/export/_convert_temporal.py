"""The child process that converts a recurrent model: ``python _convert_temporal.py REQUEST.json``.

As `_convert.py`, and it imports nothing of this package either. What is different: the graph may
have inputs that are states, and an int8 file begins and ends in float32.

The recurrent part does, since a state in int8 could not hold what a clip adds to it: an increment
below half a step would vanish at each frame. So does the encoder's first convolution, the one that
sees pixels. Of LightweightCNN it is a hundredth of the multiply-adds; in int8 it brings in more of
the error on real faces than any stage, and an LSTM hands the error on.

The request names a SavedModel with the signature "serving_default", the name of the input that
takes pictures, an ``.npy`` of calibration pictures for it or null, the shapes of states by name,
the fields of a `QuantizationConfig`, the name scope of the part that stays float32, and the file
to write. A failure that is an exception is written to the request's "failure" file.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


def convert(request: dict[str, Any]) -> bytes:
    """The flatbuffer of a SavedModel."""
    import tensorflow as tf

    config = request["config"]
    converter = tf.lite.TFLiteConverter.from_saved_model(request["saved_model"])
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    if config["weights"] != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if config["weights"] == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if config["activations"] != "int8":
        return bytes(converter.convert())
    if request["calibration"] is None:
        raise ValueError("int8 activations need calibration images")
    pictures = np.load(request["calibration"], mmap_mode="r")
    states = {name: np.zeros(shape, np.float32) for name, shape in request["states"].items()}

    def representative() -> Iterator[dict[str, Any]]:
        for picture in pictures:
            # States may stay 0: only what comes before the recurrent part learns ranges.
            yield {request["input"]: np.array(picture[np.newaxis]), **states}

    converter.representative_dataset = representative
    converter._experimental_calibrate_only = True
    return _quantized_between(bytes(converter.convert()), request["scope"])


def _quantized_between(calibrated: bytes, scope: str) -> bytes:
    """An int8 graph but for what reads pixels, and for a name scope and all behind it."""
    import tensorflow as tf

    # What `tf.lite.experimental.QuantizationDebugger` calls to leave operators in float. It must
    # be told their names beforehand, which only a graph that was converted has.
    from tensorflow.lite.python.convert import mlir_quantize

    parts = _parts(calibrated, scope)
    content = bytes(
        mlir_quantize(
            calibrated,
            denylisted_nodes={of.names[0] for of in (*parts.first, *parts.recurrent)},
            # Operators of several outputs are known to it by their kind alone. Of the LSTM that
            # is SPLIT, which would stay float in an encoder too.
            denylisted_ops={of.kind for of in parts.recurrent if len(of.names) > 1},
            input_data_type=tf.float32,
            output_data_type=tf.float32,
        )
    )
    parts = _parts(content, scope)
    # Of what reads pixels the convolution: what comes before it may be bytes yet.
    checked = (*parts.first[-1:], *parts.recurrent)
    changed = sorted({of.kind for of in checked if not of.is_float32})
    if not parts.recurrent or changed:
        raise ValueError(
            "TensorFlow's converter did not leave pixels and the recurrent part in float32 "
            f"({', '.join(changed) or 'nothing of it was found'})"
        )
    if all(operator.is_float32 for operator in parts.between):
        raise ValueError(
            "the encoder has nothing to compute in int8: behind its first convolution, or its "
            "first matrix product if it begins with none, there is no further one"
        )
    return content


# === Which operator is whose

_CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")
_PRODUCTS = ("FULLY_CONNECTED", "BATCH_MATMUL")


@dataclass(frozen=True)
class Operator:
    """An operator of a graph: its builtin name, its outputs' names, and whether they are float."""

    kind: str
    names: tuple[str, ...]
    is_float32: bool


@dataclass(frozen=True)
class Parts:
    """A graph's operators, in the order in which they run.

    Attributes:
        first: What reads pixels: all up to the first convolution, or up to the first matrix
            product of an encoder without convolutions.
        between: The rest of the encoder.
        recurrent: What a name scope holds, and all that reads of what that gives.
    """

    first: list[Operator]
    between: list[Operator]
    recurrent: list[Operator]


def _parts(content: bytes, scope: str) -> Parts:
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content))
    kinds = {code: name for name, code in vars(schema.BuiltinOperator).items() if name[0] != "_"}
    (graph,) = model.subgraphs
    behind: set[int] = set()
    encoder: list[Operator] = []
    recurrent: list[Operator] = []
    for one in graph.operators:
        code = model.operatorCodes[one.opcodeIndex]
        tensors = [graph.tensors[place] for place in one.outputs]
        operator = Operator(
            # Old files hold the code in a byte; the larger of the two is the right one.
            kind=kinds[max(code.builtinCode, code.deprecatedBuiltinCode)],
            names=tuple(tensor.name.decode() for tensor in tensors),
            is_float32=all(tensor.type == schema.TensorType.FLOAT32 for tensor in tensors),
        )
        is_inside = any(f"{scope}/" in name for name in operator.names)
        if is_inside or behind.intersection(map(int, one.inputs)):
            behind.update(map(int, one.outputs))
            recurrent.append(operator)
        else:
            encoder.append(operator)
    for wanted in (_CONVOLUTIONS, _PRODUCTS):
        places = [place for place, operator in enumerate(encoder) if operator.kind in wanted]
        if places:
            return Parts(encoder[: places[0] + 1], encoder[places[0] + 1 :], recurrent)
    return Parts(encoder, [], recurrent)


def main(request_file: str) -> int:
    """Convert as the request says; 1 if that failed."""
    request = json.loads(Path(request_file).read_text(encoding="utf-8"))
    try:
        content = convert(request)
    except Exception as error:  # the parent tells it
        message = f"{type(error).__name__}: {error}"
        Path(request["failure"]).write_text(message, encoding="utf-8")
        return 1
    Path(request["output"]).write_bytes(content)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
