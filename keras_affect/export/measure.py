"""What an exported file gives, beside what the Keras model gives for the same images."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert.interpreter import Interpreter

from keras_affect.export.signature import Signature

__all__ = [
    "Border",
    "Latency",
    "Progress",
    "borders",
    "keras_outputs",
    "largest_errors",
    "latency",
    "litert_outputs",
    "xnnpack_coverage",
]

#: Called with (images done, images in all).
Progress = Callable[[int, int], None]

Outputs = dict[str, npt.NDArray[np.float32]]

_BATCH = 128


@dataclass(frozen=True)
class Border:
    """The input or an output of a ``.tflite``.

    Attributes:
        name: Its name in the signature.
        shape: Its shape, the batch of one included.
        dtype: Its data type, as "uint8".
        scale: What one step is worth; 0 where it isn't quantized.
        zero_point: The step that stands for 0.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float
    zero_point: int


@dataclass(frozen=True)
class Latency:
    """How long one image takes on one thread.

    Attributes:
        milliseconds: The median of the runs.
        runs: How many there were, a warm-up before them not counted.
        processor: Its name, as the operating system gives it.
    """

    milliseconds: float
    runs: int
    processor: str


def _border(name: str, details: Mapping[str, Any]) -> Border:
    scale, zero_point = details["quantization"]
    shape = tuple(int(length) for length in details["shape"])
    return Border(name, shape, np.dtype(details["dtype"]).name, float(scale), int(zero_point))


def borders(content: bytes) -> tuple[list[Border], list[Border]]:
    """The inputs and the outputs of a file's default signature."""
    runner = Interpreter(model_content=content).get_signature_runner("serving_default")
    inputs, outputs = runner.get_input_details(), runner.get_output_details()
    return (
        [_border(name, inputs[name]) for name in sorted(inputs)],
        [_border(name, outputs[name]) for name in sorted(outputs)],
    )


def keras_outputs(
    model: Any,
    signature: Signature,
    images: npt.NDArray[np.float32],
    progress: Progress | None = None,
) -> Outputs:
    """The model's outputs at inference, by the file's names, each `(images, numbers)`."""
    from keras import ops

    parts: list[Outputs] = []
    for start in range(0, len(images), _BATCH):
        outputs = model(images[start : start + _BATCH], training=False)
        parts.append(
            {
                name: np.asarray(ops.convert_to_numpy(ops.cast(tensor, "float32")))
                for name, tensor in signature.named(outputs).items()
            }
        )
        if progress is not None:
            progress(min(start + _BATCH, len(images)), len(images))
    return {name: np.concatenate([part[name] for part in parts]) for name in signature.outputs}


def litert_outputs(
    content: bytes, images: npt.NDArray[np.float32], progress: Progress | None = None
) -> Outputs:
    """The file's outputs by name, each `(images, numbers)`, as real numbers."""
    runner = Interpreter(model_content=content).get_signature_runner("serving_default")
    ((input_name, input_details),) = runner.get_input_details().items()
    output_borders = {
        name: _border(name, details) for name, details in runner.get_output_details().items()
    }
    results: dict[str, list[npt.NDArray[Any]]] = {name: [] for name in output_borders}
    for place, image in enumerate(images):
        outputs = runner(**{input_name: image[np.newaxis].astype(input_details["dtype"])})
        for name, values in outputs.items():
            results[name].append(values[0])
        if progress is not None and (place + 1) % _BATCH == 0:
            progress(place + 1, len(images))
    return {
        name: _dequantized(np.stack(values), output_borders[name])
        for name, values in results.items()
    }


def _dequantized(values: npt.NDArray[Any], border: Border) -> npt.NDArray[np.float32]:
    if not border.scale:
        return values.astype(np.float32)
    return (values.astype(np.float32) - border.zero_point) * np.float32(border.scale)


def largest_errors(exact: Outputs, measured: Outputs) -> dict[str, float]:
    """The largest distance between two sets of outputs, by name; NaN where one holds NaN."""
    with np.errstate(invalid="ignore"):
        return {name: float(np.abs(measured[name] - exact[name]).max()) for name in exact}


def latency(content: bytes, runs: int = 100) -> Latency:
    """The time of one image on one thread, on this machine, with whatever else runs on it."""
    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    times = []
    for _ in range(runs + 10):
        start = time.perf_counter()
        interpreter.invoke()
        times.append(time.perf_counter() - start)
    return Latency(float(np.median(times[10:])) * 1e3, runs, processor())


def processor() -> str:
    """The processor's name."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def xnnpack_coverage(content: bytes) -> float:
    """The share of a file's operators that LiteRT hands to XNNPACK here, in [0, 1].

    The rest run in LiteRT's own kernels, which are slower.
    """
    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    # Not public, but the only place where the delegates stand.
    operators = interpreter._get_ops_details()
    delegates = [one for one in operators if one["op_name"] == "DELEGATE"]
    others = [one for one in operators if one["op_name"] != "DELEGATE"]
    makers = {int(tensor): one for one in others for tensor in one["outputs"]}
    taken: set[int] = set()
    for delegate in delegates:
        # A delegate replaced what lies between its inputs and its outputs.
        given = {int(tensor) for tensor in delegate["inputs"]}
        wanted = [int(tensor) for tensor in delegate["outputs"]]
        while wanted:
            maker = makers.get(wanted.pop())
            if maker is None or maker["index"] in taken:
                continue
            taken.add(maker["index"])
            wanted += [int(tensor) for tensor in maker["inputs"] if int(tensor) not in given]
    return len(taken) / len(others)
