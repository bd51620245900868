from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from keras_affect.export import to_litert
from keras_affect.export.precision import in_float32
from tests.export.conftest import SHAPE, Read, randomize_statistics, smooth_images, two_headed


class Halve(keras.layers.Layer):
    """A user's own layer, registered nowhere."""

    def call(self, inputs: Any) -> Any:
        return inputs / 2


class Inner(keras.Model):
    """A subclass that makes its layers itself, under the policy of the moment."""

    def __init__(self, width: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.width = width
        self.dense = keras.layers.Dense(width)

    def call(self, inputs: Any) -> Any:
        return self.dense(inputs)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"width": self.width}


def images() -> np.ndarray:
    return smooth_images(6, seed=5).astype(np.float32)


def compute_types(model: Any) -> set[str]:
    return {layer.compute_dtype for layer in model._flatten_layers()}


def reference(low: Any) -> dict[str, np.ndarray]:
    """What float32 gives with a low-precision model's weights, without the code under test."""
    exact = two_headed(dtype="float32", seed=9)
    for layer in exact.layers:
        layer.set_weights([np.asarray(w) for w in low.get_layer(layer.name).get_weights()])
    return {name: np.asarray(tensor) for name, tensor in exact(images()).items()}


def test_a_float32_model_is_itself(tiny: Any) -> None:
    assert in_float32(tiny) is tiny


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16", "bfloat16"])
def test_low_precision_is_rebuilt_with_the_same_weights(policy: str) -> None:
    low = two_headed(dtype=policy, seed=3)
    low.compile(optimizer="sgd", loss={"emotion": lambda t, p: t - p})
    before = keras.config.dtype_policy()
    exact = in_float32(low)
    assert compute_types(exact) == {"float32"}
    assert len(compute_types(low)) > 1, "the model itself stays as it was"
    assert keras.config.dtype_policy() == before
    wanted = reference(low)
    given = low(images())
    for name, tensor in exact(images()).items():
        np.testing.assert_allclose(tensor, wanted[name], atol=1e-6)
        assert np.abs(np.asarray(given[name]) - wanted[name]).max() > 1e-5, "no rounding to undo"
        assert np.ptp(wanted[name], axis=0).max() > 0.05


def test_own_layers_nested_models_and_wrappers() -> None:
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        nested_in = keras.Input((12, 12, 4))
        nested_out = keras.layers.BatchNormalization()(keras.layers.Conv2D(4, 3)(nested_in))
        nested = keras.Model(nested_in, nested_out, name="nested")
        image = keras.Input(SHAPE)
        x = keras.layers.Conv2D(4, 3, strides=2, padding="same")(Halve()(image / 20))
        x = keras.layers.TimeDistributed(keras.layers.Dense(5))(nested(x))
        x = Inner(6)(keras.layers.GlobalAveragePooling2D()(x))
        low = keras.Model(image, keras.layers.Dense(3, activation="softmax")(x))
    finally:
        keras.config.set_dtype_policy("float32")
    randomize_statistics(low)
    exact = in_float32(low)
    assert compute_types(exact) == {"float32"}
    assert len(exact.weights) == len(low.weights)
    given, wanted = np.asarray(exact(images())), np.asarray(low(images()), np.float32)
    np.testing.assert_allclose(given, wanted, atol=0.02)
    assert np.abs(np.roll(given, 1, axis=0) - wanted).max() > 3 * np.abs(given - wanted).max()


def test_what_cannot_be_rebuilt_is_said() -> None:
    class Hidden(keras.layers.Layer):
        def __init__(self, table: Any) -> None:
            super().__init__(dtype="mixed_bfloat16")
            self.table = table

        def call(self, x: Any) -> Any:
            return x + len(self.table)

    image = keras.Input(SHAPE)
    flat = keras.layers.Flatten()(Hidden({1, 2})(image))
    model = keras.Model(image, flat, name="some")
    with pytest.raises(ValueError, match="'some', which computes in bfloat16 and can't be rebuilt"):
        in_float32(model)
    assert keras.config.dtype_policy().name == "float32"


def test_a_model_quantized_by_keras_is_refused() -> None:
    model = two_headed()
    model.get_layer("emotion").quantize("int8")
    with pytest.raises(ValueError, match="quantized by Keras"):
        in_float32(model)


@pytest.mark.usefixtures("convert_here")
def test_a_model_trained_in_bfloat16_exports(tmp_path: Path) -> None:
    low = two_headed(dtype="mixed_bfloat16", seed=3)
    calibration = smooth_images(32, seed=4)
    report = to_litert(low, tmp_path / "a.tflite", "float32", calibration=calibration)
    assert max(report.largest_error.values()) < 1e-5
    outputs = Read((tmp_path / "a.tflite").read_bytes())(images())
    for name, wanted in reference(low).items():
        np.testing.assert_allclose(outputs[name], wanted, atol=1e-5)
    report = to_litert(low, tmp_path / "b.tflite", "int8", calibration=calibration)
    assert report.stayed_float == {}
