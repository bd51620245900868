from __future__ import annotations

from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras")

from keras_affect.training.quantization_aware import QuantizationAware, rounded  # noqa: E402


def reference(kernel: np.ndarray, bits: int, channel_axes: int = 1) -> np.ndarray:
    """One channel after another, in steps that Python counts."""
    steps = 2 ** (bits - 1) - 1
    flat = kernel.reshape(-1, int(np.prod(kernel.shape[-channel_axes:]))).astype(np.float64)
    for channel in flat.T:  # a view, filled in place
        scale = max(abs(channel).max(), 1e-9) / steps
        channel[:] = [round(value / scale) * scale for value in channel]
    return flat.reshape(kernel.shape)


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize(
    ("shape", "channel_axes"), [((5, 7), 1), ((3, 3, 4, 6), 1), ((3, 3, 4, 2), 2)]
)
def test_rounding(shape, channel_axes, bits):
    kernel = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    kernel[..., 0] = 0  # a channel of zeros, or several
    found = keras.ops.convert_to_numpy(rounded(kernel, bits, channel_axes))
    np.testing.assert_allclose(found, reference(kernel, bits, channel_axes), atol=1e-6)
    other = reference(kernel, bits, 3 - channel_axes)
    assert channel_axes == len(shape) - 1 or np.abs(found - other).max() > 1e-3
    assert np.abs(found - kernel).max() > (0.05 if bits == 4 else 0.002)


def test_a_factor_for_each_channel_rounds_alike():
    """So batch normalisation may be folded into a kernel before or after."""
    kernel = np.random.default_rng(1).normal(size=(3, 3, 4, 6)).astype(np.float32)
    factors = np.float32([0.01, 1, -1, -3, 50, 7])
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(rounded(kernel * factors, 4)),
        keras.ops.convert_to_numpy(rounded(kernel, 4)) * factors,
        rtol=1e-5,
        atol=1e-7,
    )


def linear(kernel: np.ndarray) -> Any:
    inputs = keras.Input(kernel.shape[:1])
    outputs = keras.layers.Dense(kernel.shape[1], use_bias=False, name="dense")(inputs)
    model = keras.Model(inputs, outputs)
    model.get_layer("dense").kernel.assign(kernel)
    return model


def kernel_of(model: Any) -> np.ndarray:
    return keras.ops.convert_to_numpy(model.get_layer("dense").kernel)


def test_a_step_on_rounded_weights_moves_the_weights_as_they_are():
    rng = np.random.default_rng(2)
    kernel, images, wanted = (
        rng.normal(size=shape).astype(np.float32) for shape in ((5, 3), (16, 5), (16, 3))
    )
    model = linear(kernel)
    aware = QuantizationAware(model, bits=4)
    aware.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=False)
    error = images @ reference(kernel, 4) - wanted
    loss = aware.evaluate(images, wanted, batch_size=16, verbose=0)
    assert loss == pytest.approx(np.square(error).mean(), rel=1e-5)
    assert loss != pytest.approx(np.square(images @ kernel - wanted).mean(), rel=1e-3)

    aware.fit(images, wanted, batch_size=16, verbose=0)
    gradient = images.T @ error * 2 / error.size
    np.testing.assert_allclose(kernel_of(model), kernel - 0.1 * gradient, atol=1e-5)
    # The gradient of rounded weights, not of the weights as they are.
    exact = images.T @ (images @ kernel - wanted) * 2 / error.size
    assert np.abs(gradient - exact).max() > 1e-3


def test_the_model_stays_what_it_was_and_all_of_it_is_trained():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(4, 3, padding="same", name="conv")(inputs)
    x = keras.layers.BatchNormalization(momentum=0.5, name="norm")(x)
    x = keras.layers.DepthwiseConv2D(3, name="depthwise", activation="relu")(x)
    x = keras.layers.Dropout(0.5, name="dropout", seed=3)(keras.layers.GlobalMaxPooling2D()(x))
    nested = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="softmax")])
    model = keras.Model(inputs, {"emotion": nested(x)})
    images = np.random.default_rng(3).normal(size=(32, 8, 8, 1)).astype(np.float32)
    labels = {"emotion": np.eye(3, dtype=np.float32)[np.arange(32) % 3]}
    before = [keras.ops.convert_to_numpy(variable) for variable in model.variables]
    outputs = keras.ops.convert_to_numpy(model(images)["emotion"])

    aware = QuantizationAware(model)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(model(images)["emotion"]), outputs)
    found = aware.predict(images, verbose=0)["emotion"]
    for layer, axes in (("conv", 1), ("depthwise", 2)):
        kernel = model.get_layer(layer).kernel
        kernel.assign(reference(keras.ops.convert_to_numpy(kernel), 4, axes))
    dense = nested.layers[-1].kernel
    dense.assign(reference(keras.ops.convert_to_numpy(dense), 4))
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(model(images)["emotion"]), found, atol=1e-5
    )
    assert np.abs(found - outputs).max() > 1e-3
    for variable, value in zip(model.variables, before, strict=True):
        variable.assign(value)

    assert {id(v) for v in aware.trainable_variables} == {id(v) for v in model.trainable_variables}
    aware.compile(keras.optimizers.SGD(0.05), {"emotion": "categorical_crossentropy"})
    aware.fit(images, labels, batch_size=8, epochs=2, verbose=0)
    for variable, value in zip(model.variables, before, strict=True):
        # Kernels, statistics of batch normalisation, and the state that dropout draws from.
        assert not np.array_equal(keras.ops.convert_to_numpy(variable), value), variable.path


def test_it_wins_back_what_rounding_loses():
    rng = np.random.default_rng(4)
    kernel, images = rng.normal(size=(24, 8)), rng.normal(size=(512, 24)).astype(np.float32)
    # Inputs that say nearly the same can make good what rounding does to one of them.
    images[:, 12:] = images[:, :12] + 0.1 * images[:, 12:]
    wanted = (images @ kernel).astype(np.float32)
    losses = {}
    for is_aware in (False, True):
        model = linear(kernel.astype(np.float32))
        aware = QuantizationAware(model, bits=4)
        trained = aware if is_aware else model
        aware.compile("sgd", "mse")
        # Weights near a boundary of steps would go to and fro at a rate that stays.
        trained.compile(
            keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.03, 60)), "mse"
        )
        trained.fit(images, wanted, batch_size=512, epochs=60, verbose=0)
        losses[is_aware] = aware.evaluate(images, wanted, batch_size=512, verbose=0)
    assert losses[True] < 0.75 * losses[False]


def test_config_round_trip(tmp_path):
    aware = QuantizationAware(linear(np.ones((5, 3), np.float32) * 0.3), bits=8)
    again = QuantizationAware.from_config(aware.get_config())
    assert (again.bits, again.name) == (8, aware.name)
    assert kernel_of(again.model).shape == (5, 3)
    aware.model.save(tmp_path / "plain.keras")
    plain = keras.saving.load_model(tmp_path / "plain.keras")
    np.testing.assert_array_equal(kernel_of(plain), kernel_of(aware.model))


@pytest.mark.parametrize("bits", [2, 16, 4.5, True, "4"])
def test_bits_at_fault(bits):
    with pytest.raises(ValueError, match=r"argument `bits`\. Expected 4 or 8\. Received: bits="):
        QuantizationAware(linear(np.ones((5, 3), np.float32)), bits=bits)


def test_models_at_fault():
    with pytest.raises(ValueError, match=r"argument `model`\. Expected a built Keras model"):
        QuantizationAware(keras.layers.Dense(3))
    inputs = keras.Input((4,))
    with pytest.raises(ValueError, match=r"argument `model`\. Expected a model with kernels"):
        QuantizationAware(keras.Model(inputs, keras.layers.ReLU()(inputs)))
    lora = linear(np.ones((5, 3), np.float32))
    lora.get_layer("dense").enable_lora(2)
    with pytest.raises(ValueError, match=r"Expected 'dense' to hold.*made of LoRA factors"):
        QuantizationAware(lora)
