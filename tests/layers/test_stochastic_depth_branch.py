"""Stochastic depth around a branch: what comes out, and how it learns."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest

keras = pytest.importorskip("keras")

from keras import layers, ops  # noqa: E402

from keras_affect.layers import StochasticDepth  # noqa: E402
from tests.layers.stochastic_depth_draws import (  # noqa: E402
    BACKEND,
    JIT,
    copy,
    draws,
    numbers,
    on_tensorflow,
    residuals,
)


def test_inference_is_scaled_and_draws_nothing():
    branch = keras.Sequential([layers.Conv2D(4, 3, padding="same"), layers.BatchNormalization()])
    block = StochasticDepth(0.2, "batch", branch, seed=0)
    x = residuals(4, 5, 5, 4)
    block(x, training=True)
    old = [numbers(variable.value) for variable in block.variables]
    expected = x + 0.8 * numbers(branch(x))
    for _ in range(2):
        np.testing.assert_allclose(numbers(block(x)), expected, rtol=1e-5, atol=1e-5)
    assert np.abs(expected - x).max() > 0.1
    for variable, value in zip(block.variables, old, strict=True):
        np.testing.assert_array_equal(numbers(variable.value), value)


def test_sample_mode_computes_the_branch_for_all():
    branch = layers.Dense(3)
    layer = StochasticDepth(0.4, branch=branch, seed=2)
    x = residuals(16, 3)
    (keeps,) = draws(2, 0.4, 1, (16, 1))
    found = numbers(layer(x, training=True))
    np.testing.assert_allclose(found, x + keeps * numbers(branch(x)), rtol=1e-5, atol=1e-6)
    assert 0 < keeps.sum() < 16


def test_expectation_in_training_is_inference():
    branch = layers.Dense(3)
    layer = StochasticDepth(0.2, "batch", branch, seed=0)
    x = residuals(2, 3)
    calls = 400
    mean = np.mean([numbers(layer(x, training=True)) for _ in range(calls)], 0)
    residual = np.abs(numbers(branch(x)))
    # Four standard deviations of the mean.
    assert np.all(np.abs(mean - numbers(layer(x))) <= 4 * 0.4 / calls**0.5 * residual + 1e-5)


@pytest.mark.parametrize("mode", ["sample", "batch"])
@pytest.mark.parametrize("jit_compile", JIT)
def test_gradients_are_those_of_finite_differences(mode, jit_compile):
    """Of y = x + b * tanh(x K), x = z W, to K and to W, which reaches K's input."""
    z, y = residuals(6, 4) / 2, residuals(6, 3)
    inputs = keras.Input((4,))
    before = layers.Dense(3, use_bias=False)
    branch = layers.Dense(3, use_bias=False, activation="tanh")
    block = StochasticDepth(0.5, mode, branch, seed=3)
    model = keras.Model(inputs, block(before(inputs)))
    model.compile(keras.optimizers.SGD(1.0), "mse", jit_compile=jit_compile)
    shape = (6, 1) if mode == "sample" else ()
    keeps = draws(3, 0.5, 6, shape, jit_compile)
    assert 0 < np.mean([keep.mean() for keep in keeps]) < 1

    def loss(weights, keep):
        w, k = weights
        x = z.astype(np.float64) @ w
        return np.mean((x + keep * np.tanh(x @ k) - y) ** 2)

    for keep in keeps:
        weights = [numbers(layer.kernel).astype(np.float64) for layer in (before, branch)]
        model.train_on_batch(z, y)
        for which, layer in enumerate((before, branch)):
            expected = np.zeros_like(weights[which])
            for index in np.ndindex(*expected.shape):
                moved = []
                for step in (1e-5, -1e-5):
                    shifted = [each.copy() for each in weights]
                    shifted[which][index] += step
                    moved.append(loss(shifted, keep))
                expected[index] = (moved[0] - moved[1]) / 2e-5
            found = weights[which] - numbers(layer.kernel)
            np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)
            assert np.any(expected) or (layer is branch and not keep.any())
        for layer, value in zip((before, branch), weights, strict=True):
            layer.kernel.assign(value)


@pytest.mark.parametrize("run_eagerly", [False, True])
def test_regularizers_count_on_every_step(run_eagerly):
    x = residuals(8, 3)
    branch = layers.Dense(3, use_bias=False, kernel_regularizer=keras.regularizers.L2(0.1))
    inputs = keras.Input((3,))
    model = keras.Model(inputs, StochasticDepth(0.5, "batch", branch, seed=3)(inputs))
    model.compile(
        keras.optimizers.SGD(0.5),
        "mse",
        run_eagerly=run_eagerly,
        jit_compile=BACKEND == "jax" and not run_eagerly,
    )
    keeps = draws(3, 0.5, 6)
    assert 0 < sum(keeps) < 6
    for keep in keeps:
        kernel = numbers(branch.kernel)
        found = model.train_on_batch(x, x)
        model.reset_metrics()
        residual = keep * (x @ kernel)
        expected = np.mean(residual**2) + 0.1 * np.sum(kernel**2)
        assert float(found) == pytest.approx(expected, rel=1e-4)
        gradient = 2 / x.size * x.T @ residual + 2 * 0.1 * kernel
        np.testing.assert_allclose(
            numbers(branch.kernel), kernel - 0.5 * gradient, rtol=1e-4, atol=1e-5
        )


def test_a_shared_branch_learns_from_each_block_that_runs_it():
    x = residuals(8, 3)
    branch = layers.Dense(3, use_bias=False)
    inputs = keras.Input((3,))
    first = StochasticDepth(0.5, "batch", branch, seed=3)
    second = StochasticDepth(0.5, "batch", branch, seed=4)
    model = keras.Model(inputs, second(first(inputs)))
    model.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=BACKEND == "jax")
    keeps = np.stack([draws(seed, 0.5, 12) for seed in (3, 4)], 1)
    assert len({tuple(pair) for pair in keeps.tolist()}) == 4
    for a, b in keeps:
        kernel = numbers(branch.kernel) / 3
        branch.kernel.assign(kernel)
        model.train_on_batch(x, 0 * x)
        middle = x + a * (x @ kernel)
        outputs = middle + b * (middle @ kernel)
        upstream = 2 / x.size * outputs
        gradient = b * middle.T @ upstream
        gradient += a * x.T @ (upstream + b * upstream @ kernel.T)
        np.testing.assert_allclose(
            numbers(branch.kernel), kernel - 0.1 * gradient, rtol=1e-4, atol=1e-5
        )


def functional_branch():
    """Two paths of which one is the shorter, as a residual branch of its own shape."""
    inputs = keras.Input((4, 4, 2))
    x = layers.Conv2D(2, 3, padding="same", use_bias=False)(inputs)
    x = layers.BatchNormalization(momentum=0.5)(x)
    return keras.Model(inputs, layers.Add()([layers.Dropout(0.3, seed=1)(x), inputs]))


@pytest.mark.parametrize("make", [functional_branch, lambda: keras.Sequential([layers.Dense(2)])])
def test_saved_and_read_without_custom_objects(make, tmp_path):
    inputs = keras.Input((4, 4, 2))
    branch = make()
    first = StochasticDepth(0.3, "batch", branch, seed=5)
    # The second block shares the first one's branch, and so it must after reading.
    model = keras.Model(inputs, StochasticDepth(0.3, "sample", branch, seed=6)(first(inputs)))
    x = residuals(4, 4, 4, 2)
    model(x, training=True)
    model.save(tmp_path / "model.keras")
    read = keras.saving.load_model(tmp_path / "model.keras")
    # As JSON: what was read has lists where tuples were.
    assert json.dumps(read.get_config()) == json.dumps(model.get_config())
    np.testing.assert_array_equal(numbers(read(x)), numbers(model(x)))
    one, two = (layer for layer in read.layers if isinstance(layer, StochasticDepth))
    assert one.branch is two.branch
    assert len(read.weights) == len(model.weights)


def test_a_functional_model_as_branch_is_skipped_whole():
    inputs = keras.Input((4, 4, 2))
    branch = functional_branch()
    model = keras.Model(inputs, StochasticDepth(0.5, "batch", branch, seed=3)(inputs))
    model.compile("sgd", "mse", jit_compile=BACKEND == "jax")
    x = residuals(8, 4, 4, 2)
    moved = []
    keeps = draws(3, 0.5, 8)
    for _ in keeps:
        old = [numbers(variable.value) for variable in branch.variables]
        model.train_on_batch(x, x)
        new = [numbers(variable.value) for variable in branch.variables]
        changed = {not np.array_equal(a, b) for a, b in zip(old, new, strict=True)}
        assert len(changed) == 1
        moved += changed
    assert moved == [bool(keep) for keep in keeps]
    assert 0 < sum(moved) < 8


@pytest.mark.parametrize(("mode", "dtype"), [("sample", "float32"), ("batch", "mixed_bfloat16")])
def test_a_mask_reaches_the_branch(mode, dtype):
    x = residuals(4, 5, 3)
    x[:, 3:] = 0
    masked = keras.Input((5, 3))
    lstm = layers.LSTM(3, return_sequences=True, dtype=dtype)
    block = StochasticDepth(0.5, mode, lstm, seed=3, dtype=dtype)
    outputs = block(layers.Masking(dtype=dtype)(masked))
    model = keras.Model(masked, outputs)
    with_mask = numbers(lstm(x, mask=x.any(-1)))
    assert not np.allclose(with_mask, numbers(lstm(x)), atol=1e-2)
    tolerance = 1e-5 if dtype == "float32" else 2e-2
    np.testing.assert_allclose(
        numbers(model(x)), numbers(ops.cast(x, block.compute_dtype)) + 0.5 * with_mask,
        rtol=tolerance, atol=tolerance,
    )  # fmt: skip
    keeps = draws(3, 0.5, 4, (4, 1, 1) if mode == "sample" else ())
    assert 0 < np.mean([keep.mean() for keep in keeps]) < 1
    for keep in keeps:
        found = numbers(model(x, training=True))
        np.testing.assert_allclose(found, x + keep * with_mask, rtol=tolerance, atol=tolerance)
    assert (
        ops.convert_to_numpy(block(layers.Masking()(x))._keras_mask).tolist()
        == [[True, True, True, False, False]] * 4
    )


def test_sizes_not_known_before_the_call():
    branch = layers.Conv2D(2, 3, padding="same")
    block = StochasticDepth(0.5, "batch", branch, seed=0)
    inputs = keras.Input((None, None, 2))
    assert block(inputs).shape == (None, None, None, 2)
    model = keras.Model(inputs, block(inputs))
    model.compile("sgd", "mse", jit_compile=BACKEND == "jax")
    for size in (4, 5):
        x = residuals(2, size, size, 2)
        assert model.predict(x, verbose=0).shape == x.shape
        assert np.isfinite(model.train_on_batch(x, x))


def test_float16_trains_with_a_scaled_loss():
    policy = "mixed_float16"
    branch = keras.Sequential(
        [layers.Dense(3, dtype=policy), layers.BatchNormalization(momentum=0.5, dtype=policy)]
    )
    inputs = keras.Input((3,))
    block = StochasticDepth(0.5, "batch", branch, seed=3, dtype=policy)
    outputs = layers.Dense(3, dtype="float32")(block(inputs))
    assert block.output.dtype == "float16"
    model = keras.Model(inputs, outputs)
    scaled = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.05), initial_scale=256)
    model.compile(scaled, "mse", jit_compile=BACKEND == "jax")
    x = residuals(64, 3)
    losses = model.fit(x, x, batch_size=16, epochs=10, verbose=0).history["loss"]
    assert losses[-1] < 0.7 * losses[0]


@on_tensorflow
def test_synchronized_batch_normalization_runs_like_any_other():
    x = residuals(8, 3)
    plain, synchronized = (
        layers.BatchNormalization(momentum=0.5, synchronized=each) for each in (False, True)
    )
    models = []
    for branch in (plain, synchronized):
        inputs = keras.Input((3,))
        model = keras.Model(inputs, StochasticDepth(0.5, "batch", branch, seed=3)(inputs))
        model.compile("sgd", "mse", jit_compile=False)
        models.append(model)
    copy(*models)
    for _ in range(6):
        losses = [model.train_on_batch(x, 0 * x) for model in models]
        assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    np.testing.assert_allclose(
        numbers(plain.moving_mean), numbers(synchronized.moving_mean), rtol=1e-5
    )
    assert np.any(numbers(plain.moving_mean))


@on_tensorflow
def test_replicas_keep_or_leave_out_the_whole_batch(tmp_path):
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

        strategy = tf.distribute.MirroredStrategy(["cpu:0", "cpu:1"])

        def network(mode, synchronized, momentum=0.0):
            with strategy.scope():
                inputs = keras.Input((4,))
                branch = keras.Sequential([
                    layers.Dense(4),
                    layers.BatchNormalization(momentum=momentum, synchronized=synchronized),
                    layers.Dropout(0.3),
                ])
                x = StochasticDepth(0.5, mode, branch, seed=3)(inputs)
                model = keras.Model(inputs, layers.Dense(1)(x))
                model.compile("sgd", "mse", jit_compile=False)
            return model, branch

        x = np.random.default_rng(0).normal(1, 1, (8, 4)).astype("float32")
        # Momentum 0: the moving mean is the mean of the replicas' means, so of the whole batch,
        # where both ran the branch, and of one part and the old mean where one did.
        model, branch = network("batch", False)
        dense, normalization, _ = branch.layers
        whole = []
        for _ in range(8):
            old = normalization.moving_mean.numpy()
            means = (x @ dense.kernel.numpy() + dense.bias.numpy()).mean(0)
            model.train_on_batch(x, x[:, :1])
            new = normalization.moving_mean.numpy()
            whole.append([bool(np.allclose(new, each, atol=1e-4)) for each in (means, old)])
        model, branch = network("sample", True)
        model.train_on_batch(x, x[:, :1])
        try:
            network("batch", True)[0].train_on_batch(x, x[:, :1])
        except ValueError as error:
            message = str(error)
        print(json.dumps([whole, message]))
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
    whole, message = json.loads(done.stdout.splitlines()[-1])
    assert whole == [[bool(keep), not keep] for keep in draws(3, 0.5, 8)]
    assert (
        "Invalid value for argument `branch`. Expected a layer that does not wait for other "
        "replicas, as BatchNormalization(synchronized=True) does under a tf.distribute strategy, "
        'or mode="sample". Received: mode="batch", branch=<Sequential'
    ) in message
