from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras")

from keras import layers, ops  # noqa: E402

from keras_affect.layers.stochastic_depth import StochasticDepth, stochastic_depth_rates  # noqa: E402

BACKEND = keras.backend.backend()
on_tensorflow = pytest.mark.skipif(BACKEND != "tensorflow", reason="TensorFlow's own")
JIT = [False, True] if BACKEND != "torch" else [False]


def numbers(tensor: Any) -> np.ndarray:
    return np.array(ops.convert_to_numpy(ops.cast(tensor, "float32")))


def draws(seed: int, rate: float, calls: int, shape: tuple[int, ...] = ()) -> list[np.ndarray]:
    """What a layer with this seed keeps, call by call."""
    generator = keras.random.SeedGenerator(seed)
    return [
        ops.convert_to_numpy(keras.random.uniform(shape, seed=generator)) >= np.float32(rate)
        for _ in range(calls)
    ]


def residuals(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(1, 2, shape).astype(np.float32)


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
    x = np.ones((4000 if mode == "sample" else 1, 1), np.float32)
    layer = StochasticDepth(0.2, mode, seed=0)
    calls = 1 if mode == "sample" else 2000
    mean = np.mean([numbers(layer(x, training=True)) for _ in range(calls)])
    inference = numbers(layer(x))
    np.testing.assert_allclose(inference, 0.8, rtol=1e-6)
    # Four standard deviations of the mean; dividing by 0.8 in training would give 1.
    assert mean == pytest.approx(0.8, abs=4 * 0.4 / 2000**0.5)


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
    keeps = draws(3, 0.5, 8, shape)
    assert 0 < np.mean([keep.mean() for keep in keeps]) < 1
    for keep in keeps:
        kernel = numbers(dense.kernel)
        model.train_on_batch(x, np.zeros((8, 3), np.float32))
        gradient = 2 / (8 * 3) * x.T @ (keep * (x @ kernel))
        np.testing.assert_allclose(
            numbers(dense.kernel), kernel - 0.1 * gradient, rtol=1e-4, atol=1e-5
        )


# === With a branch


class Counted(layers.Layer):
    """The identity, which counts how often it is run forward and backward."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.counts = {"forward": 0, "backward": 0}

    def count(self, direction):
        self.counts[direction] += 1

    def call(self, inputs, training=False):
        if not training:
            return inputs
        if BACKEND == "torch":
            self.count("forward")
            outputs = inputs * 1
            outputs.register_hook(lambda _: self.count("backward"))
            return outputs
        return self.jax(inputs) if BACKEND == "jax" else self.tensorflow(inputs)

    def jax(self, inputs):
        import jax

        def counted(direction, x):
            jax.debug.callback(lambda: self.count(direction))
            return x

        identity = jax.custom_vjp(lambda x: x)
        identity.defvjp(
            lambda x: (counted("forward", x), None), lambda _, g: (counted("backward", g),)
        )
        return identity(inputs)

    def tensorflow(self, inputs):
        import tensorflow as tf

        def counted(direction, x):
            with tf.control_dependencies([tf.py_function(lambda: self.count(direction), [], [])]):
                return tf.identity(x)

        @tf.custom_gradient
        def identity(x):
            return counted("forward", x), lambda g: counted("backward", g)

        return identity(inputs)


def branched(rate: float, seed: int = 3, *more: Any) -> tuple[Any, Any]:
    """A model of one block, and the block."""
    branch = keras.Sequential(
        [
            layers.Conv2D(4, 3, padding="same"),
            layers.BatchNormalization(momentum=0.5),
            layers.Dropout(0.4, seed=11),
            *more,
        ]
    )
    inputs = keras.Input((5, 5, 4))
    block = StochasticDepth(rate, mode="batch", branch=branch, seed=seed)
    x = layers.GlobalAveragePooling2D()(block(inputs))
    return keras.Model(inputs, layers.Dense(2, name="head", dtype="float32")(x)), block


def state(block: Any) -> list[np.ndarray]:
    return [numbers(variable.value) for variable in block.branch.variables]


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("jit_compile", JIT)
def test_a_block_runs_like_any_other_or_leaves_no_trace(jit_compile, policy):
    if BACKEND == "torch" and policy != "float32":
        pytest.skip("PyTorch's convolutions in bfloat16 take minutes on a CPU without them")
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        keras.utils.set_random_seed(1)
        model, block = branched(0.5)
        always, plain = branched(0.0)
    finally:
        keras.config.set_dtype_policy(before)
    for each in (model, always):
        each.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=jit_compile)
    x, y = residuals(8, 5, 5, 4), residuals(8, 2)
    keeps = draws(3, 0.5, 8)
    assert 2 <= sum(keeps) <= 6
    for keep in keeps:
        old = state(block)
        for target, source in zip(
            plain.branch.variables + always.get_layer("head").variables,
            block.branch.variables + model.get_layer("head").variables,
            strict=True,
        ):
            target.assign(numbers(source.value))
        model.train_on_batch(x, y)
        always.train_on_batch(x, y)
        new = state(block)
        # Kernel, bias, gamma, beta, moving mean and variance, and the dropout's seed.
        assert len(new) == 7
        if keep:
            tolerance = 1e-5 if policy == "float32" else 2e-2
            for found, expected in zip(new, state(plain), strict=True):
                np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)
            assert not any(np.array_equal(a, b) for a, b in zip(new[4:], old[4:], strict=True))
        else:
            for found, expected in zip(new, old, strict=True):
                np.testing.assert_array_equal(found, expected)


def test_a_block_left_out_is_not_computed_forward_or_backward():
    counted = Counted()
    model, _ = branched(0.5, 3, counted)
    model.compile("sgd", "mse", jit_compile=False if BACKEND == "tensorflow" else "auto")
    x, y = residuals(4, 5, 5, 4), residuals(4, 2)
    keeps = draws(3, 0.5, 10)
    assert 0 < sum(keeps) < 10
    for _ in keeps:
        model.train_on_batch(x, y)
    if BACKEND == "jax":
        import jax

        jax.effects_barrier()
    assert counted.counts == {"forward": sum(keeps), "backward": sum(keeps)}


@pytest.mark.parametrize("run_eagerly", [False, True])
def test_losses_of_a_branch_count_where_it_runs(run_eagerly):
    more = layers.ActivityRegularization(l2=0.01), layers.ActivityRegularization(l1=0.02)
    model, block = branched(0.5, 3, *more)
    jit_compile = BACKEND == "jax" and not run_eagerly
    model.compile(
        keras.optimizers.SGD(0.0), "mse", run_eagerly=run_eagerly, jit_compile=jit_compile
    )
    x, y = residuals(8, 5, 5, 4), residuals(8, 2)
    keeps = draws(3, 0.5, 8)
    head = model.get_layer("head")
    without = numbers(head(x.mean((1, 2))))
    skipped = np.mean((without - y) ** 2)
    twin, always = branched(0.0, 3, *(type(m).from_config(m.get_config()) for m in more))
    for target, source in zip(
        always.branch.variables + twin.get_layer("head").variables,
        block.branch.variables + head.variables,
        strict=True,
    ):
        target.assign(numbers(source.value))
    twin.compile(keras.optimizers.SGD(0.0), "mse", run_eagerly=True, jit_compile=False)
    for keep in keeps:
        loss = model.train_on_batch(x, y)
        # What a model returns is the mean since its last reset.
        model.reset_metrics()
        if keep:
            expected = twin.train_on_batch(x, y)
            twin.reset_metrics()
        assert float(loss) == pytest.approx(float(expected if keep else skipped), rel=1e-4)


def test_inference_of_a_branch_is_scaled():
    _, block = branched(0.2)
    x = residuals(4, 5, 5, 4)
    expected = x + 0.8 * numbers(block.branch(x))
    for _ in range(2):
        np.testing.assert_allclose(numbers(block(x)), expected, rtol=1e-5, atol=1e-5)
    assert np.abs(expected - x).max() > 0.1


def test_sample_mode_computes_the_branch_for_all():
    branch = layers.Dense(3)
    layer = StochasticDepth(0.4, branch=branch, seed=2)
    x = residuals(16, 3)
    (keeps,) = draws(2, 0.4, 1, (16, 1))
    found = numbers(layer(x, training=True))
    np.testing.assert_allclose(found, x + keeps * numbers(branch(x)), rtol=1e-5, atol=1e-6)
    assert 0 < keeps.sum() < 16


def test_branches_in_branches():
    inner = StochasticDepth(0.5, "batch", layers.BatchNormalization(momentum=0.5), seed=6)
    inputs = keras.Input((3,))
    outer = StochasticDepth(0.5, "batch", keras.Sequential([inner]), seed=7)
    model = keras.Model(inputs, outer(inputs))
    model.compile("sgd", "mse", jit_compile=BACKEND == "jax")
    outer_keeps, inner_keeps = draws(7, 0.5, 12), iter(draws(6, 0.5, 12))
    x = residuals(8, 3)
    moved, expected = [], []
    for keep in outer_keeps:
        old = numbers(inner.branch.moving_mean.value)
        model.train_on_batch(x, x)
        moved.append(not np.array_equal(numbers(inner.branch.moving_mean.value), old))
        expected.append(bool(keep and next(inner_keeps)))
    assert moved == expected
    assert 0 < sum(moved) < sum(outer_keeps)


# === As a layer


@pytest.mark.parametrize("with_branch", [False, True])
def test_saved_and_read_without_custom_objects(with_branch, tmp_path):
    model, block = branched(0.3)
    if not with_branch:
        inputs = keras.Input((5, 5, 4))
        block = StochasticDepth(0.3, "sample", seed=8)
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
    for found in (
        StochasticDepth(0.2)(x),
        StochasticDepth(0.2)([x, x]),
        StochasticDepth(0.2, "batch", layers.Dense(1))(x),
    ):
        assert ops.convert_to_numpy(found._keras_mask).tolist() == expected


@pytest.mark.parametrize("dtype", ["float16", "mixed_bfloat16"])
def test_half_precision(dtype):
    layer = StochasticDepth(0.25, dtype=dtype, seed=0)
    for training in (False, True):
        found = layer(residuals(4, 3), training=training)
        assert keras.backend.standardize_dtype(found.dtype) == dtype.removeprefix("mixed_")


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
    with pytest.raises(ValueError, match="Invalid") as error:
        StochasticDepth(0.5, "batch", layers.Dense(4))(keras.Input((3,)))
    assert str(error.value) == (
        "Invalid value for argument `branch`. Expected a layer that keeps the shape of its input, "
        "(None, 3). Received: one that returns (None, 4)"
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


@on_tensorflow
@pytest.mark.parametrize("quantization", ["float32", "int8"])
def test_export(quantization, tmp_path):
    from keras_affect.export import to_litert

    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 1))
    x = layers.Conv2D(4, 3, padding="same", activation="relu")(layers.Rescaling(1 / 255)(image))
    x = StochasticDepth(0.3, "batch", layers.Conv2D(4, 3, padding="same"))(x)
    x = StochasticDepth(0.2)([x, layers.Conv2D(4, 1)(x)])
    outputs = layers.Dense(8, activation="softmax")(layers.Flatten()(x))
    images = np.random.default_rng(0).integers(0, 256, (32, 8, 8, 1)).astype(np.float32)
    report = to_litert(
        keras.Model(image, outputs), tmp_path / "a.tflite", quantization, calibration=images
    )
    assert not any("RANDOM" in name or "VAR" in name or "IF" in name for name in report.operators)
    assert not report.stayed_float or quantization == "float32"
    assert report.largest_error["emotion"] < (1e-5 if quantization == "float32" else 0.1)


@on_tensorflow
def test_mirrored_strategy(tmp_path):
    """In a process of its own: a second strategy in one process fails."""
    script = """
        import json
        import numpy as np
        import tensorflow as tf

        physical = tf.config.list_physical_devices("CPU")[0]
        device = tf.config.LogicalDeviceConfiguration()
        tf.config.set_logical_device_configuration(physical, [device, device])
        import keras
        from keras import layers
        from keras_affect.layers import StochasticDepth

        with tf.distribute.MirroredStrategy(["cpu:0", "cpu:1"]).scope():
            inputs = keras.Input((4,))
            branch = keras.Sequential([
                layers.Dense(4), layers.BatchNormalization(momentum=0.5), layers.Dropout(0.3)
            ])
            x = StochasticDepth(0.5, "batch", branch, seed=3)(inputs)
            x = StochasticDepth(0.5, seed=4)([x, layers.Dense(4)(x)])
            model = keras.Model(inputs, layers.Dense(1)(x))
            model.compile("sgd", "mse", jit_compile=False)
        x = np.random.default_rng(0).normal(1, 1, (64, 4)).astype("float32")
        old = branch.get_weights()
        losses = model.fit(x, x[:, :1], batch_size=8, epochs=4, verbose=0).history["loss"]
        moved = [bool((a != b).all()) for a, b in zip(old, branch.get_weights())]
        print(json.dumps([losses, moved]))
    """
    path = tmp_path / "script.py"
    path.write_text(textwrap.dedent(script))
    done = subprocess.run(
        [sys.executable, path],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    losses, moved = json.loads(done.stdout.splitlines()[-1])
    assert losses[-1] < losses[0]
    assert moved == [True] * 6
