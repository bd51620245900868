import keras
import numpy as np
import pytest
from keras import ops

from keras_affect.layers.fixup import ScalarAffine
from tests.augmentation.gradients import differences, gradient

EACH = [
    {},
    {"use_multiplier": False},
    {"use_bias": False},
    {"multiplier_initializer": "zeros", "bias_initializer": keras.initializers.Constant(0.25)},
]


def x(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def set_to(layer, multiplier, bias):
    if layer.use_multiplier:
        layer.multiplier.assign(multiplier)
    if layer.use_bias:
        layer.bias.assign(bias)


@pytest.mark.parametrize("arguments", EACH[:3], ids=str)
@pytest.mark.parametrize("shape", [(3,), (3, 4), (2, 5, 6, 3)], ids=str)
def test_against_numpy(arguments, shape):
    layer = ScalarAffine(**arguments)
    layer.build(shape)
    inputs = x(*shape)
    np.testing.assert_array_equal(ops.convert_to_numpy(layer(inputs)), inputs)
    set_to(layer, 1.5, -0.75)
    expected = inputs * (1.5 if layer.use_multiplier else 1) - (0.75 if layer.use_bias else 0)
    np.testing.assert_allclose(ops.convert_to_numpy(layer(inputs)), expected, rtol=1e-6)
    assert len(layer.trainable_variables) == layer.use_multiplier + layer.use_bias
    assert layer.count_params() == len(layer.trainable_variables)


def test_gradient_by_the_inputs():
    layer, inputs, upstream = ScalarAffine(), x(4, 3), x(4, 3, seed=1)
    layer.build(inputs.shape)
    set_to(layer, 1.5, -0.75)
    ours = gradient(layer, inputs, upstream)
    np.testing.assert_allclose(ours, 1.5 * upstream, rtol=1e-6)
    np.testing.assert_allclose(ours, differences(layer, inputs, upstream, 0.25), atol=1e-5)


def test_training_step_is_the_analytic_gradient():
    inputs, targets = x(16, 3), x(16, 3, seed=1)
    model = keras.Sequential([keras.Input((3,)), ScalarAffine()])
    layer = model.layers[0]
    set_to(layer, 1.5, -0.75)
    model.compile(keras.optimizers.SGD(0.5), "mse", jit_compile=False)
    model.train_on_batch(inputs, targets)
    error = 1.5 * inputs.astype("float64") - 0.75 - targets
    multiplier, bias = (float(ops.convert_to_numpy(v)) for v in layer.trainable_variables)
    assert multiplier == pytest.approx(1.5 - 0.5 * 2 * (error * inputs).mean(), rel=1e-5)
    assert bias == pytest.approx(-0.75 - 0.5 * 2 * error.mean(), rel=1e-5)


# XLA compiles for TensorFlow and JAX.
@pytest.mark.parametrize(
    "jit_compile", [False, True] if keras.backend.backend() != "torch" else [False]
)
@pytest.mark.parametrize("arguments", EACH, ids=[*map(str, EACH[:3]), "initializers"])
def test_saved_and_fitted(arguments, jit_compile, tmp_path):
    inputs = keras.Input((4,))
    outputs = keras.layers.Dense(2)(ScalarAffine(**arguments)(inputs))
    assert outputs.shape == (None, 2)
    model = keras.Model(inputs, outputs)
    model.compile("sgd", "mse", jit_compile=jit_compile)
    model.fit(x(8, 4), x(8, 2), verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.layers[1].get_config() == model.layers[1].get_config()
    np.testing.assert_allclose(
        loaded.predict(x(8, 4), verbose=0), model.predict(x(8, 4), verbose=0), rtol=1e-6
    )


@pytest.mark.parametrize("dtype", ["float16", "mixed_bfloat16"])
def test_half_precision(dtype):
    layer = ScalarAffine(dtype=dtype)
    outputs = layer(x(4, 3))
    assert keras.backend.standardize_dtype(outputs.dtype) == layer.compute_dtype
    assert keras.backend.standardize_dtype(layer.bias.dtype) == layer.variable_dtype


def test_masks_pass():
    inputs = keras.layers.Masking()(np.array([[[1.0], [0.0]]], "float32"))
    outputs = ScalarAffine()(inputs)
    np.testing.assert_array_equal(
        ops.convert_to_numpy(keras.layers.GlobalAveragePooling1D()(outputs)), [[1.0]]
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"use_bias": 0.5},
            "`use_bias`. Expected True or False. Received: use_bias=0.5",
        ),
        (
            {"use_multiplier": "no"},
            "`use_multiplier`. Expected True or False. Received: use_multiplier='no'",
        ),
        (
            {"use_multiplier": False, "use_bias": False},
            "`use_bias`. Expected True where `use_multiplier` is False: the layer would do "
            "nothing. Received: use_bias=False",
        ),
    ],
    ids=str,
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011, the whole text is compared
        ScalarAffine(**arguments)
    assert str(caught.value) == f"Invalid value for argument {message}"
