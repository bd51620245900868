"""The child process that runs TensorFlow's converter: ``python _convert.py REQUEST.json``.

It is a file of its own that imports nothing of this package: the converter crashes on some
graphs (full int8 of a rolled LSTM is one), and takes with it the process that it runs in.

The request names a SavedModel with the signature "serving_default", an ``.npy`` of float32
calibration images or null, the fields of a `QuantizationConfig`, tensors to keep in float, what to
do, and the file to write. A failure that is an exception is written to the request's "failure"
file.
"""

from __future__ import annotations

import csv
import io
import json
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np


def convert(
    saved_model: str, calibration: str | None, config: dict[str, Any], keep: Sequence[str] = ()
) -> bytes:
    """The flatbuffer of a SavedModel; `keep` names tensors whose operators stay float."""
    converter = _converter(saved_model, calibration, config)
    if not keep:
        return bytes(converter.convert())
    # The converter's own second half, which takes names that the first one does not.
    from tensorflow.lite.python.convert import mlir_quantize

    converter._experimental_calibrate_only = True
    return bytes(
        mlir_quantize(
            converter.convert(),
            input_data_type=converter.inference_input_type,
            output_data_type=converter.inference_output_type,
            denylisted_nodes=list(keep),
        )
    )


def measure_layers(
    saved_model: str, calibration: str, config: dict[str, Any], keep: Sequence[str] = ()
) -> bytes:
    """JSON: for each quantized operator how far it is from its float twin on the same inputs."""
    import tensorflow as tf

    converter = _converter(saved_model, calibration, config)
    with warnings.catch_warnings():
        # It tells of another interpreter, which has no operator that compares.
        warnings.filterwarnings("ignore", message=r"\s*Warning: tf\.lite\.Interpreter")
        debugger = tf.lite.experimental.QuantizationDebugger(
            converter=converter,
            debug_dataset=converter.representative_dataset,
            debug_options=tf.lite.experimental.QuantizationDebugOptions(
                denylisted_nodes=list(keep) or None
            ),
        )
        debugger.run()
    table = io.StringIO()
    debugger.layer_statistics_dump(table)
    table.seek(0)
    return json.dumps(list(csv.DictReader(table))).encode()


def _converter(saved_model: str, calibration: str | None, config: dict[str, Any]) -> Any:
    import tensorflow as tf

    # Not from_concrete_functions: with a Keras 3 model it gives NaN without a word.
    converter = tf.lite.TFLiteConverter.from_saved_model(saved_model)
    # Builtins alone. With Flex operators a file does not load where TensorFlow is missing.
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    if config["weights"] != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if config["weights"] == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if config["activations"] == "int8":
        if calibration is None:
            raise ValueError("int8 activations need calibration images")
        images = np.load(calibration, mmap_mode="r")

        def representative() -> Iterator[list[Any]]:
            for image in images:
                yield [np.array(image[np.newaxis])]

        # What has no integer kernel stays float under either list; the report counts it.
        converter.target_spec.supported_ops = [
            tf.lite.OpsSet.TFLITE_BUILTINS_INT8,
            tf.lite.OpsSet.TFLITE_BUILTINS,
        ]
        converter.representative_dataset = representative
        converter.inference_input_type = tf.as_dtype(config["border"])
        converter.inference_output_type = tf.as_dtype(config["border"])
    return converter


#: What a request can ask for.
TASKS = {"convert": convert, "measure_layers": measure_layers}


def main(request_file: str) -> int:
    """Do as the request says; 1 if that failed."""
    request = json.loads(Path(request_file).read_text(encoding="utf-8"))
    try:
        content = TASKS[request["task"]](
            request["saved_model"], request["calibration"], request["config"], request["keep"]
        )
    except Exception as error:  # the parent tells it
        message = f"{type(error).__name__}: {error}"
        Path(request["failure"]).write_text(message, encoding="utf-8")
        return 1
    Path(request["output"]).write_bytes(content)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
