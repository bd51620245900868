from __future__ import annotations

import numpy as np
import pytest

keras = pytest.importorskip("keras")

from keras import layers, ops  # noqa: E402

from keras_affect.layers.stochastic_depth import StochasticDepth, stochastic_depth_rates  # noqa: E402
from tests.layers.stochastic_depth_draws import (  # noqa: E402
    JIT,
    draws,
    numbers,
    on_tensorflow,
    residuals,
)

# === Without a branch


@pytest.mark.parametrize("shape", [(64, 3), (64, 2, 3, 4)])
def test_samples_are_kept_whole_or_left_out(shape):
    x = residuals(*shape)
    layer = StochasticDepth(0.3, seed=5)
    (keeps,) = draws(5, 0.3, 1, (64,) + (1,) * (len(shape) - 1))
    assert 0 < keeps.sum() < 64
    np.testing.assert_array_equal(numbers(layer(x, training=True)), keeps * x)


def test_a_batch_is_kept_whole_or_left_out():
    x = residuals(8, 3)
    layer = StochasticDepth(0.3, mode="batch", seed=5)
    keeps = draws(5, 0.3, 12)
    assert 0 < sum(keeps) < 12
    for keep in keeps:
        np.testing.assert_array_equal(numbers(layer(x, training=True)), keep * x)


@pytest.mark.parametrize("mode", ["sample", "batch"])
def test_shortcut_is_added(mode):
    shortcut, residual = residuals(8, 3), residuals(9, 3)[1:]
    alone = StochasticDepth(0.5, mode, seed=1)
    added = StochasticDepth(0.5, mode, seed=1)
    for training in (True, True, True, False):
        expected = shortcut + numbers(alone(residual, training=training))
        found = numbers(added([shortcut, residual], training=training))
        np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("mode", ["sample", "batch"])
def test_expectation_in_training_is_inference(mode):
    draws = 400
    x = np.ones((draws if mode == "sample" else 1, 1), np.float32)
    layer = StochasticDepth(0.2, mode, seed=0)
    calls = 1 if mode == "sample" else draws
    mean = np.mean([numbers(layer(x, training=True)) for _ in range(calls)])
    inference = numbers(layer(x))
    np.testing.assert_allclose(inference, 0.8, rtol=1e-6)
    # Four standard deviations of the mean; dividing by 0.8 in training would give 1.
    assert mean == pytest.approx(0.8, abs=4 * 0.4 / draws**0.5)


def test_inference_is_that_of_the_paper_and_draws_nothing():
    x = residuals(8, 3)
    layer = StochasticDepth(0.2, seed=0)
    state = numbers(layer.seed_generator.state)
    for _ in range(2):
        np.testing.assert_allclose(numbers(layer(x)), 0.8 * x, rtol=1e-6)
    np.testing.assert_array_equal(numbers(layer.seed_generator.state), state)


def test_rate_0_is_the_residual_itself():
    x = residuals(4, 3)
    layer = StochasticDepth(0)
    assert not layer.variables
    for training in (True, False):
        np.testing.assert_array_equal(numbers(layer(x, training=training)), x)


def test_infinity_is_left_out_too():
    found = numbers(StochasticDepth(0.5, seed=0)(np.full((32, 1), np.inf), training=True))
    assert set(found.ravel()) == {0.0, np.inf}


@pytest.mark.parametrize("mode", ["sample", "batch"])
@pytest.mark.parametrize("jit_compile", JIT)
def test_gradients_are_those_of_numpy(mode, jit_compile):
    x = residuals(8, 4)
    inputs = keras.Input((4,))
    dense = layers.Dense(3, use_bias=False)
    model = keras.Model(inputs, StochasticDepth(0.5, mode, seed=3)(dense(inputs)))
    model.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=jit_compile)
    shape = (8, 1) if mode == "sample" else ()
    keeps = draws(3, 0.5, 8, shape, jit_compile)
    assert 0 < np.mean([keep.mean() for keep in keeps]) < 1
    for keep in keeps:
        kernel = numbers(dense.kernel)
        model.train_on_batch(x, np.zeros((8, 3), np.float32))
        gradient = 2 / (8 * 3) * x.T @ (keep * (x @ kernel))
        np.testing.assert_allclose(
            numbers(dense.kernel), kernel - 0.1 * gradient, rtol=1e-4, atol=1e-5
        )


# === As a layer


@pytest.mark.parametrize("mode", ["sample", "batch"])
def test_saved_and_read_without_custom_objects(mode, tmp_path):
    inputs = keras.Input((5, 5, 4))
    block = StochasticDepth(0.3, mode, seed=8)
    model = keras.Model(inputs, block([inputs, layers.Conv2D(4, 1)(inputs)]))
    model.save(tmp_path / "model.keras")
    read = keras.saving.load_model(tmp_path / "model.keras")
    (layer,) = [layer for layer in read.layers if isinstance(layer, StochasticDepth)]
    assert layer.get_config() == block.get_config()
    x = residuals(4, 5, 5, 4)
    np.testing.assert_array_equal(numbers(read(x)), numbers(model(x)))
    np.testing.assert_array_equal(numbers(read(x, training=True)), numbers(model(x, training=True)))


def test_shapes():
    layer = StochasticDepth(0.2)
    assert layer(keras.Input((4, 3))).shape == (None, 4, 3)
    assert layer([keras.Input((None, 3)), keras.Input((4, 3))]).shape == (None, 4, 3)
    assert layer.compute_output_shape([(2, 3), (None, 3)]) == (2, 3)


def test_masks_pass():
    x = keras.layers.Masking()(np.array([[[1.0], [0.0], [2.0]]]))
    expected = [[True, False, True]]
    for found in (StochasticDepth(0.2)(x), StochasticDepth(0.2)([x, x])):
        assert ops.convert_to_numpy(found._keras_mask).tolist() == expected


@pytest.mark.parametrize("dtype", ["float16", "mixed_bfloat16"])
def test_half_precision(dtype):
    layer = StochasticDepth(0.25, dtype=dtype, seed=0)
    for training in (False, True):
        found = layer(residuals(4, 3), training=training)
        assert keras.backend.standardize_dtype(found.dtype) == dtype.removeprefix("mixed_")
    # What is kept is not rounded again, and at inference 0.75 is exact.
    rounded = numbers(ops.cast(residuals(4, 3), found.dtype))
    (keeps,) = draws(0, 0.25, 1, (4, 1))
    np.testing.assert_array_equal(
        numbers(StochasticDepth(0.25, dtype=dtype, seed=0)(residuals(4, 3), training=True)),
        keeps * rounded,
    )


def test_the_rate_is_that_of_float32_in_half_precision():
    """0.999 is 1 in bfloat16, which would leave out everything."""
    layer = StochasticDepth(0.999, dtype="bfloat16", seed=0)
    kept = numbers(layer(np.ones((20000, 1), np.float32), training=True)).sum()
    assert 4 <= kept <= 40


def test_seeds_reproduce():
    x = np.ones((64, 1), np.float32)
    one, two, other = (StochasticDepth(0.5, seed=seed) for seed in (1, 1, 2))
    first, second = ([numbers(layer(x, training=True)) for _ in range(3)] for layer in (one, two))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first[0], first[1])
    assert not np.array_equal(first[0], numbers(other(x, training=True)))


# === Rates


def test_rates_of_the_linear_rule():
    rates = stochastic_depth_rates(12, 0.5)
    np.testing.assert_allclose(rates, np.arange(1, 13) / 24)
    # What a step costs, of one with all blocks: the 0.73.
    assert 1 - np.mean(rates) == pytest.approx(0.73, abs=0.005)
    assert stochastic_depth_rates(1, 0) == [0.0]


# === What is refused


@pytest.mark.parametrize("rate", [1.7, 1, -0.1, float("nan"), "0.5", True, None])
def test_bad_rates(rate):
    for name, call in (
        ("rate", StochasticDepth),
        ("final_rate", lambda rate: stochastic_depth_rates(3, rate)),
    ):
        with pytest.raises(ValueError, match="Invalid") as error:
            call(rate)
        assert str(error.value) == (
            f"Invalid value for argument `{name}`. Expected a float in [0, 1). "
            f"Received: {name}={rate!r}"
        )


def test_numpy_numbers_are_numbers():
    assert StochasticDepth(np.float32(0.25)).get_config()["rate"] == 0.25
    assert stochastic_depth_rates(np.int64(2), np.float64(0.5)) == [0.25, 0.5]


@pytest.mark.parametrize("blocks", [0, 2.0, True, "3"])
def test_bad_blocks(blocks):
    with pytest.raises(ValueError, match="Invalid") as error:
        stochastic_depth_rates(blocks)
    assert str(error.value) == (
        "Invalid value for argument `blocks`. Expected an integer of 1 or more. "
        f"Received: blocks={blocks!r}"
    )


def test_bad_modes_and_branches():
    with pytest.raises(ValueError, match="Invalid") as error:
        StochasticDepth(0.5, "row")
    assert str(error.value) == (
        'Invalid value for argument `mode`. Expected "sample" or "batch". Received: mode=\'row\''
    )
    with pytest.raises(ValueError, match="Invalid") as error:
        StochasticDepth(0.5, branch="conv")
    assert str(error.value) == (
        "Invalid value for argument `branch`. Expected a Keras layer or None. "
        "Received: branch='conv'"
    )
    twice = keras.Input((3,))
    two = keras.Model(twice, [twice, layers.Dense(3)(twice)])
    for branch, shape in (
        (layers.Dense(4), (None, 4)),
        (layers.Reshape((3, 1)), (None, 3, 1)),
        (two, [(None, 3), (None, 3)]),
    ):
        with pytest.raises(ValueError, match="Invalid") as error:
            StochasticDepth(0.5, "batch", branch)(keras.Input((3,)))
        assert str(error.value) == (
            "Invalid value for argument `branch`. Expected a layer that keeps the shape of its "
            f"input, (None, 3). Received: one that returns {shape}"
        )


@pytest.mark.parametrize("shapes", [[(2, 3)], [(2, 3)] * 3, [(2, 3), (2, 1)], [(2, 3), (2, 3, 1)]])
def test_bad_inputs(shapes):
    inputs = [np.zeros(shape, np.float32) for shape in shapes]
    built = StochasticDepth(0.5)
    built(inputs[0])
    for layer in (StochasticDepth(0.5), built):
        with pytest.raises(ValueError, match="argument `inputs`") as error:
            layer(inputs)
        assert "Expected one tensor, or a shortcut and a residual of one shape." in str(error.value)
        assert f"Received: inputs of shape {shapes}" in str(error.value)
    with pytest.raises(ValueError, match="Expected one tensor, since the layer has a branch"):
        StochasticDepth(0.5, branch=layers.Dense(3))([inputs[0]] * 2)


# === TensorFlow alone


@pytest.fixture
def policy(request):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_dtype_policy(before)


@on_tensorflow
@pytest.mark.parametrize(
    ("quantization", "policy"),
    # A model in mixed precision is exported as a copy in float32, made of its layers' configs.
    [("float32", "float32"), ("int8", "mixed_bfloat16")],
    indirect=["policy"],
)
def test_export(quantization, policy, tmp_path):
    from keras_affect.export import to_litert

    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 1))
    x = layers.Conv2D(4, 3, padding="same", activation="relu")(layers.Rescaling(1 / 255)(image))
    branch = [layers.Conv2D(4, 3, padding="same"), layers.BatchNormalization(), layers.Dropout(0.3)]
    x = StochasticDepth(0.3, "batch", keras.Sequential(branch))(x)
    x = StochasticDepth(0.2)([x, layers.Conv2D(4, 1)(x)])
    outputs = layers.Dense(8, activation="softmax")(layers.Flatten()(x))
    images = np.random.default_rng(0).integers(0, 256, (32, 8, 8, 1)).astype(np.float32)
    report = to_litert(
        keras.Model(image, outputs), tmp_path / "a.tflite", quantization, calibration=images
    )
    assert not any("RANDOM" in name or "VAR" in name or "IF" in name for name in report.operators)
    assert not report.stayed_float or quantization == "float32"
    assert report.largest_error["emotion"] < (1e-5 if quantization == "float32" else 0.1)
