"""What dense and depthwise-separable 3x3 convolutions gain from int8, in networks of one shape.

The choice behind `LightweightCNN`. Each network has its stages, with each dense convolution left
as it is or made a depthwise and a pointwise one, at several widths; weights are random, since
time does not depend on them. Exported by `to_litert`, run by LiteRT on one thread; the ratio is
of speed, int8 to float32.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from keras_affect.export import to_litert

STAGES = ((32, 2), (64, 2), (88, 2))
CALLS = 100


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


def runner(path: Path, calls: int) -> Callable[[], None]:
    interpreter = Interpreter(str(path), num_threads=1)
    interpreter.allocate_tensors()

    def run() -> None:
        for _ in range(calls):
            interpreter.invoke()

    return run


@pytest.mark.parametrize(
    ("kind", "width"),
    [("dense", 0.5), ("dense", 1), ("separable", 1), ("separable", 2), ("separable", 3)],
)
def test_gain_of_int8(compare: Any, smoke: bool, kind: str, width: float, tmp_path: Path) -> None:
    if smoke and width > 1:
        pytest.skip("--smoke: the smallest of each kind")
    model = network(0.25 if smoke else width, separable=kind == "separable")
    rng = np.random.default_rng(0)
    # Statistics of real pictures would differ: random ones keep ranges from 0.
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.moving_variance.assign(rng.uniform(0.5, 2, layer.gamma.shape))
    images = rng.integers(0, 256, (32, 48, 48, 1)).astype(np.float32)
    paths = {name: tmp_path / f"{name}.tflite" for name in ("int8", "float32")}
    for quantization, path in paths.items():
        to_litert(model, path, quantization, calibration=images)
    calls = 1 if smoke else CALLS
    compare(
        f"{kind} convolutions, width {width:g}, int8 / float32",
        runner(paths["int8"], calls),
        runner(paths["float32"], calls),
        rounds=15,
        warmups=1,
        calls=calls,
        ratio="speed",
        note=f"{multiply_adds(model):.1f} M multiply-adds, "
        + ", ".join(f"{name} {path.stat().st_size / 1e3:.0f} kB" for name, path in paths.items()),
    )
