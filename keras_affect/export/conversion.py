"""From a Keras model to the bytes of a flatbuffer, by way of a SavedModel and a child process."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from keras_affect.export import flatbuffer, places
from keras_affect.export.flatbuffer import Operator
from keras_affect.export.quantization import QuantizationConfig
from keras_affect.export.signature import Signature
from keras_affect.export.weight_quantization import quantize_weights

__all__ = ["ConversionError", "INPUT_NAME", "convert", "run_converter"]

#: The name of the input in the file's signature.
INPUT_NAME = "image"

_CHILD = Path(__file__).with_name("_convert.py")


class ConversionError(ValueError):
    """A model that can't become a ``.tflite``, or whose ``.tflite`` does not give its outputs."""


def convert(
    model: Any,
    signature: Signature,
    config: QuantizationConfig,
    calibration: npt.NDArray[np.float32] | None,
    keep_float: Sequence[str] = (),
) -> bytes:
    """The flatbuffer of a model, for one image at a time.

    Args:
        model: A Keras model that computes in float32.
        signature: What `signature.read` said of it.
        config: How numbers are stored and computed.
        calibration: float32 `(images, height, width, channels)`, for int8 activations.
        keep_float: Names of layers whose operators are not quantized.

    Raises:
        ConversionError: If the converter refuses the model, or crashes. The converter's own
            output is a note of the exception.
        ValueError: If `keep_float` names what is no layer with an operator.
    """
    kept: list[Operator] = []
    if config.is_weight_only or keep_float:
        # Tensors are named after layers alike in every flatbuffer of a graph.
        exact = run_converter("convert", model, signature, QuantizationConfig.for_float32(), None)
        if keep_float:
            kept = places.check_layers(keep_float, flatbuffer.operators(exact), model)
        if config.is_weight_only:
            return quantize_weights(exact, config, kept)
    keep = [name for operator in kept for name in operator.results]
    return run_converter("convert", model, signature, config, calibration, keep)


def run_converter(
    task: str,
    model: Any,
    signature: Signature,
    config: QuantizationConfig,
    calibration: npt.NDArray[np.float32] | None,
    keep: Sequence[str] = (),
) -> bytes:
    """What a child process makes of a model: one of the tasks of ``_convert.py``.

    Args:
        task: "convert", to a flatbuffer, or "measure_layers", to JSON.
        model: As in `convert`, like all that follows but the last.
        signature: Likewise.
        config: Likewise, but no recipe of the quantizer library.
        calibration: Likewise.
        keep: Names of tensors whose operators are not quantized.

    Raises:
        ConversionError: As `convert`.
    """
    with tempfile.TemporaryDirectory(prefix="keras_affect_") as scratch:
        folder = Path(scratch)
        request: dict[str, Any] = {
            "task": task,
            "saved_model": str(folder / "saved_model"),
            "calibration": None,
            "config": dataclasses.asdict(config),
            "keep": list(keep),
            "output": str(folder / "model.tflite"),
            "failure": str(folder / "failure.txt"),
        }
        # A graph and not a .keras file: the child then needs no class of the user's own layers.
        _save_graph(model, signature, request["saved_model"])
        if calibration is not None and config.needs_calibration:
            request["calibration"] = str(folder / "calibration.npy")
            np.save(request["calibration"], calibration)
        _run_child(folder, request, model)
        return Path(request["output"]).read_bytes()


def _save_graph(model: Any, signature: Signature, folder: str) -> None:
    import keras
    from keras import ops

    def serve(image: Any) -> dict[str, Any]:
        outputs = signature.named(model(image, training=False))
        return {name: ops.cast(tensor, "float32") for name, tensor in outputs.items()}

    archive = keras.export.ExportArchive()
    archive.track(model)
    # A batch of one, fixed: with a batch of unknown size rolled loops need Flex operators.
    shape = (1, *signature.input_shape)
    archive.add_endpoint(
        "serving_default",
        serve,
        input_signature=[keras.InputSpec(shape=shape, dtype="float32", name=INPUT_NAME)],
    )
    archive.write_out(folder, verbose=False)


def _run_child(
    folder: Path, request: dict[str, Any], model: Any, program: Path | None = None
) -> None:
    request_file = folder / "request.json"
    request_file.write_text(json.dumps(request), encoding="utf-8")
    environment = os.environ | {
        # TensorFlow is found where this process found it, whatever put it on the path.
        "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry),
        # Conversion uses no GPU, and this process may hold all of its memory.
        "CUDA_VISIBLE_DEVICES": "-1",
    }
    # -P: the child's folder, this package's, stays off its path.
    child = subprocess.run(
        [sys.executable, "-P", str(program or _CHILD), str(request_file)],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if child.returncode == 0 and Path(request["output"]).is_file():
        return
    failure = Path(request["failure"])
    if failure.is_file():
        log = failure.read_text(encoding="utf-8")
        reason = _explain(log, model)
    else:
        log = child.stdout
        reason = f"TensorFlow's converter crashed ({_how_it_ended(child.returncode)})"
        if request["config"]["activations"] == "int8":
            reason += "; full int8 of a recurrent layer does that unless unroll=True"
    error = ConversionError(
        f"{model.name} can't be exported as {request['config']['name']}: {reason}. "
        "Nothing was written"
    )
    error.add_note(log)
    raise error


def _explain(log: str, model: Any) -> str:
    """The converter's reason out of pages of its intermediate language."""
    operators = re.search(r"^(?:TF Select|Custom) ops: (.+)$", log, re.MULTILINE)
    if operators is None:
        return log.strip().splitlines()[0][:500]
    reason = f"LiteRT has no builtin operator for {operators[1].strip()}"
    # The graph's own names of them, as model/layer/operator.
    found = dict.fromkeys(re.findall(r'"([^"@:]+/[^"@]+)@__inference_serve', log))
    layers = places.describe(list(found), model)
    if layers:
        return f"{reason}, which {layers} would need"
    return f"{reason} ({', '.join(found)})" if found else reason


def _how_it_ended(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
