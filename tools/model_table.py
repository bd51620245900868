"""Write keras_affect/weights/architectures.json: what each architecture and shipped weights cost.

    python tools/model_table.py             # sizes alone; times that were measured stay
    python tools/model_table.py --time      # times too: on a machine that does nothing else

Builds each class of `keras_affect.models` at its default arguments with random weights, counts
parameters and multiply-adds, exports it to int8 and, with --time, runs that on one thread. A model
of clips is exported for streaming, and counted and timed by the frame; its encoder is its default
one, with the weights that ship. Of each name of weights, the network is counted, and the .tflite
that ships beside it measured. Takes about five minutes on two cores.
"""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np

from keras_affect import models
from keras_affect._files import written_whole
from keras_affect.export import to_litert, to_litert_streaming
from keras_affect.weights import architectures, catalog
from keras_affect.weights.architectures import Architecture, Cost

# Runs before the clock starts, and runs of which the median is taken.
WARM_UP = 20
RUNS = 200


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--time", action="store_true", help="measure int8 on one thread")
    options = parser.parse_args()
    before = {}
    if architectures.FILE.is_file():
        before = {row.name: row for row in architectures.architectures()}
    rows = []
    for name in sorted(vars(models)):
        if inspect.isclass(getattr(models, name)):
            print(name, flush=True)
            rows.append(_measured(name, before.get(name), options.time))
    with written_whole(architectures.FILE, overwrite=True) as beside:
        text = json.dumps([dataclasses.asdict(row) for row in rows], indent=2)
        beside.write_text(text + "\n", encoding="utf-8")


def _measured(name: str, before: Architecture | None, timed: bool) -> Architecture:
    model = getattr(models, name)(weights=None)
    is_of_clips = isinstance(model, models.TemporalAffect)
    # What int8 takes in bytes does not depend on the numbers.
    noise = np.random.default_rng(0).integers(0, 256, (8, *model.input_shape[-3:]))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        write = to_litert_streaming if is_of_clips else to_litert
        write(model, path, "int8", calibration=noise.astype(np.float32))
        cost = _cost(model, path, before.cost if before else None, timed)
    weights = {}
    for entry in catalog.entries():
        if (entry.model, entry.kind) == (name, "litert"):
            print(f"  {entry.name}", flush=True)
            model = getattr(models, name).from_config(dict(entry.config))
            known = before.cost_of_weights.get(entry.name) if before else None
            weights[entry.name] = _cost(model, entry.verified_path(), known, timed)
    return Architecture(name, is_of_clips, cost, weights)


def _cost(model: Any, litert: Path, before: Cost | None, timed: bool) -> Cost:
    milliseconds = before.int8_milliseconds if before else None
    processor = before.measured_on if before else None
    if timed:
        milliseconds, processor = _milliseconds(litert), _processor()
    is_of_clips = isinstance(model, models.TemporalAffect)
    return Cost(
        parameters=model.count_params(),
        multiply_adds=_multiply_adds(model.encoder if is_of_clips else model)
        + (_of_a_frame(model) if is_of_clips else 0),
        int8_bytes=litert.stat().st_size,
        int8_milliseconds=milliseconds,
        measured_on=processor,
    )


def _multiply_adds(model: Any) -> int:
    import keras

    # The mirror image goes through the convolutions too, and joins the picture before the heads.
    seen = 2 if model.get_config().get("mirrored") else 1
    total = 0
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D):
            total += seen * int(np.prod(layer.kernel.shape)) * int(np.prod(layer.output.shape[1:3]))
        elif isinstance(layer, keras.layers.Dense):
            total += int(np.prod(layer.kernel.shape))
    return total


def _of_a_frame(model: Any) -> int:
    """Multiply-adds behind the encoder of a model of clips: each kernel is used once a frame."""
    return sum(
        int(np.prod(weight.shape))
        for layer in model.layers
        if layer.name != "encoder"
        for weight in layer.weights
        if weight.name.endswith("kernel")
    )


def _milliseconds(path: Path) -> float:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path), num_threads=1)
    interpreter.allocate_tensors()
    rng = np.random.default_rng(0)
    # A picture; of a model of clips the states too, which may hold anything.
    given = {
        of["index"]: rng.integers(0, 256, of["shape"]).astype(of["dtype"])
        for of in interpreter.get_input_details()
    }
    times = []
    for run in range(WARM_UP + RUNS):
        for index, values in given.items():
            interpreter.set_tensor(index, values)
        start = time.perf_counter()
        interpreter.invoke()
        if run >= WARM_UP:
            times.append(time.perf_counter() - start)
    return round(1e3 * statistics.median(times), 3)


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    raise OSError("/proc/cpuinfo: names no processor")


if __name__ == "__main__":
    main()
