"""What dense and depthwise-separable 3x3 convolutions gain from int8, in networks of one shape.

The choice behind `LightweightCNN`. Each network has its stages, with each dense convolution left
as it is or made a depthwise and a pointwise one, at several widths; weights are random, since
time does not depend on them. Exported by `to_litert`, run by LiteRT on one thread, by turns, so
that a busy moment of the machine falls on all. Run it on an idle machine; use the ratios.

    python tests/benchmarks/convolutions.py
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
from ai_edge_litert.interpreter import Interpreter

from keras_affect.export import to_litert

STAGES = ((32, 2), (64, 2), (88, 2))


def convolution(x: Any, channels: int, separable: bool, strides: int = 1) -> Any:
    if separable:
        x = keras.layers.DepthwiseConv2D(3, strides=strides, padding="same", use_bias=False)(x)
        x = keras.layers.BatchNormalization()(x)
        x = keras.layers.ReLU()(x)
        x = keras.layers.Conv2D(channels, 1, use_bias=False)(x)
    else:
        x = keras.layers.Conv2D(channels, 3, strides=strides, padding="same", use_bias=False)(x)
    return keras.layers.BatchNormalization()(x)


def network(width: float, separable: bool) -> keras.Model:
    inputs = keras.Input((48, 48, 1))
    x = keras.layers.Rescaling(1 / 255)(inputs)
    x = keras.layers.ReLU()(convolution(x, round(32 * width), separable=False))
    x = keras.layers.MaxPooling2D(2)(x)
    for stage, (channels, blocks) in enumerate(STAGES):
        channels = round(channels * width / 8) * 8
        for block in range(blocks):
            strides = 2 if stage > 0 and block == 0 else 1
            branch = keras.layers.ReLU()(convolution(x, channels, separable, strides))
            branch = convolution(branch, channels, separable)
            if strides > 1:
                x = keras.layers.AveragePooling2D(2)(x)
            if x.shape[-1] != channels:
                x = keras.layers.BatchNormalization()(
                    keras.layers.Conv2D(channels, 1, use_bias=False)(x)
                )
            x = keras.layers.ReLU()(keras.layers.Add()([x, branch]))
    x = keras.layers.GlobalAveragePooling2D()(x)
    outputs = {
        "emotion": keras.layers.Dense(8, activation="softmax", name="emotion")(x),
        "valence_arousal": keras.layers.Dense(2, activation="tanh", name="valence_arousal")(x),
    }
    return keras.Model(inputs, outputs)


def multiply_adds(model: keras.Model) -> float:
    total = 0
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D | keras.layers.DepthwiseConv2D):
            total += int(np.prod(layer.kernel.shape)) * int(np.prod(layer.output.shape[1:3]))
    return total / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="rounds over all (default: 15)")
    rounds = parser.parse_args().rounds
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (32, 48, 48, 1)).astype(np.float32)
    rows: dict[tuple[str, str], Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for separable, widths in ((False, (0.5, 1.0)), (True, (1.0, 2.0, 3.0))):
            for width in widths:
                model = network(width, separable)
                # Statistics of real pictures would differ: random ones keep ranges from 0.
                for layer in model.layers:
                    if isinstance(layer, keras.layers.BatchNormalization):
                        layer.moving_variance.assign(rng.uniform(0.5, 2, layer.gamma.shape))
                name = f"{'separable' if separable else 'dense'}, width {width:g}"
                for kind in ("float32", "int8"):
                    path = Path(folder) / f"{len(rows)}.tflite"
                    to_litert(model, path, kind, calibration=images)
                    interpreter = Interpreter(str(path), num_threads=1)
                    interpreter.allocate_tensors()
                    rows[name, kind] = [interpreter, path.stat().st_size, multiply_adds(model), []]
        for _ in range(rounds):
            for interpreter, _, _, times in rows.values():
                runner = interpreter.invoke
                start = time.perf_counter()
                for _ in range(100):
                    runner()
                times.append((time.perf_counter() - start) / 100)
    print("network              multiply-adds  float32    int8  gain  float32 kB  int8 kB")
    for name, kind in rows:
        if kind == "float32":
            _, size, millions, floats = rows[name, "float32"]
            _, small, _, ints = rows[name, "int8"]
            one, two = statistics.median(floats) * 1e3, statistics.median(ints) * 1e3
            print(
                f"{name:21}{millions:9.1f} M  {one:6.3f} ms{two:6.3f} ms {one / two:4.1f}x"
                f"{size / 1e3:11.0f} {small / 1e3:8.0f}"
            )


if __name__ == "__main__":
    main()
