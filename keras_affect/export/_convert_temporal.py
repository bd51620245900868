"""The child process that converts a recurrent model: ``python _convert_temporal.py REQUEST.json``.

As `_convert.py`, and it imports nothing of this package either. What is different: the graph may
have inputs that are states, and in an int8 file the recurrent part stays float32. A state in int8
could not hold what a clip adds to it: an increment below half a step would vanish at each frame.

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
    return _quantized_before(converter, request["scope"])


def _quantized_before(converter: Any, scope: str) -> bytes:
    """An int8 graph whose operators in a name scope, and those behind them, compute in float32."""
    import tensorflow as tf

    # What `tf.lite.experimental.QuantizationDebugger` calls to leave operators in float. It must
    # be told their names beforehand, which only a graph that was converted has.
    from tensorflow.lite.python.convert import mlir_quantize

    converter._experimental_calibrate_only = True
    calibrated = converter.convert()
    recurrent = _behind(calibrated, scope)
    content = bytes(
        mlir_quantize(
            calibrated,
            denylisted_nodes={operator.names[0] for operator in recurrent},
            # Operators of several outputs are known to it by their kind alone. Of the LSTM that
            # is SPLIT, which would stay float in an encoder too.
            denylisted_ops={operator.kind for operator in recurrent if len(operator.names) > 1},
            input_data_type=tf.float32,
            output_data_type=tf.float32,
        )
    )
    recurrent = _behind(content, scope)
    changed = sorted({operator.kind for operator in recurrent if not operator.is_float32})
    if not recurrent or changed:
        raise ValueError(
            "TensorFlow's converter did not leave the recurrent part in float32 "
            f"({', '.join(changed) or 'nothing of it was found'})"
        )
    return content


@dataclass(frozen=True)
class Operator:
    """An operator of a graph: its builtin name, its outputs' names, and whether they are float."""

    kind: str
    names: tuple[str, ...]
    is_float32: bool


def _behind(content: bytes, scope: str) -> list[Operator]:
    """Operators that a name scope holds, and all that read of what those give."""
    from ai_edge_litert import schema_py_generated as schema

    kinds = {code: name for name, code in vars(schema.BuiltinOperator).items() if name[0] != "_"}
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content))
    (graph,) = model.subgraphs
    reached: set[int] = set()
    found: list[Operator] = []
    for operator in graph.operators:  # in the order in which they run
        outputs = [graph.tensors[place] for place in operator.outputs]
        names = tuple(tensor.name.decode() for tensor in outputs)
        is_inside = any(f"{scope}/" in name for name in names)
        if is_inside or reached.intersection(map(int, operator.inputs)):
            reached.update(map(int, operator.outputs))
            code = model.operatorCodes[operator.opcodeIndex]
            found.append(
                Operator(
                    # Old files hold the code in a byte; the larger of the two is the right one.
                    kinds[max(code.builtinCode, code.deprecatedBuiltinCode)],
                    names,
                    all(tensor.type == schema.TensorType.FLOAT32 for tensor in outputs),
                )
            )
    return found


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
