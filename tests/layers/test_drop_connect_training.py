"""DropConnect in training: with what else a layer may have, in networks, under every compiler."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from keras_affect.layers import DropConnect
from tests.conftest import REPOSITORY
from tests.layers.drop_connect_cases import (
    BACKEND,
    CASES,
    dropped,
    fix,
    layers,
    make,
    numbers,
    on_tensorflow,
)

# === With what a layer may have


def counted_loss(model: Any, inputs: np.ndarray, training: bool) -> float:
    """The losses that a training step would add, by each backend's way of collecting them."""
    if BACKEND == "jax":
        _, _, losses = model.stateless_call(
            [v.value for v in model.trainable_variables],
            [v.value for v in model.non_trainable_variables],
            ops.convert_to_tensor(inputs),
            training=training,
            return_losses=True,
        )
    else:
        model(inputs, training=training)
        losses = model.losses
    return float(sum(numbers(loss) for loss in losses))


@pytest.mark.parametrize("arguments", [{}, {"per_sample": True}, {"inference": "gaussian"}])
@pytest.mark.parametrize("training", [False, True])
def test_regularizers_see_whole_weights_and_count_once(
    arguments: dict[str, Any], training: bool
) -> None:
    dense = layers.Dense(3, kernel_regularizer=keras.regularizers.L2(0.1))
    model = keras.Sequential([keras.Input((5,)), DropConnect(dense, 0.5, **arguments)])
    inputs = np.ones((4, 5), np.float32)
    expected = 0.1 * np.square(numbers(dense.kernel)).sum()
    assert counted_loss(model, inputs, training) == pytest.approx(expected, rel=1e-5)
    active = layers.Dense(3, activity_regularizer=lambda outputs: ops.sum(outputs * 0 + 1))
    model = keras.Sequential([keras.Input((5,)), DropConnect(active, 0.5, **arguments)])
    # 12 outputs, divided by the batch's size as Keras does.
    assert counted_loss(model, inputs, training) == pytest.approx(3, rel=1e-6)


def test_losses_count_anew_each_call() -> None:
    dense = layers.Dense(3, activity_regularizer=lambda outputs: ops.sum(outputs * 0 + 1))
    wrapped = DropConnect(dense, 0.5)
    for _ in range(2):
        wrapped(np.ones((4, 5), np.float32), training=True)
        assert [float(numbers(loss)) for loss in wrapped.losses] == [3]


def test_constraints_act_on_whole_weights() -> None:
    dense = layers.Dense(3, kernel_constraint=keras.constraints.UnitNorm(axis=0))
    model = keras.Sequential([keras.Input((5,)), DropConnect(dense, 0.5)])
    model.compile("sgd", "mse", jit_compile=False)
    model.fit(np.ones((8, 5)), np.ones((8, 3)), verbose=0)
    np.testing.assert_allclose(np.square(numbers(dense.kernel)).sum(0), 1, rtol=1e-5)


def test_weights_that_are_frozen_stay() -> None:
    wrapped = DropConnect(layers.Dense(3), 0.5, trainable=False)
    model = keras.Sequential([keras.Input((5,)), wrapped, layers.Dense(1)])
    model.compile("sgd", "mse", jit_compile=False)
    before = wrapped.get_weights()
    model.fit(np.ones((8, 5)), np.ones((8, 1)), verbose=0)
    for new, old in zip(wrapped.get_weights(), before, strict=True):
        np.testing.assert_array_equal(new, old)


# A layer of each class in bfloat16; float16, which takes the same path, for fewer.
LOW = [
    *((case, "mixed_bfloat16") for case in ("dense", "causal conv1d", "conv2d", "depthwise")),
    *((case, "mixed_bfloat16") for case in ("lstm", "unrolled gru, reset before")),
    *((case, "mixed_float16") for case in ("dense", "conv2d", "unrolled lstm")),
]


@pytest.mark.parametrize(("case", "policy"), LOW)
def test_mixed_precision(case: str, policy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _, weights, inputs = make(case)
    low = DropConnect(CASES[case].construct(dtype=policy), rate=0.3, drop_bias=True)
    assert low.compute_dtype == low.layer.compute_dtype == policy.removeprefix("mixed_")
    low.build(inputs.shape)
    low.set_weights(weights)
    rng = np.random.default_rng(4)
    masks = [rng.random(weights[i].shape) > 0.3 for i in (CASES[case].dropped, -1)]
    fix(low, monkeypatch, masks)
    outputs = low(inputs, training=True)
    assert keras.backend.standardize_dtype(outputs.dtype) == low.compute_dtype
    expected = CASES[case].by_numpy(inputs, *dropped(case, weights, masks, 0.3))
    error = np.abs(numbers(ops.cast(outputs, "float32")) - expected).max()
    # Bits behind the point: 8 and 11.
    assert error < (0.03 if "bfloat16" in policy else 0.004) * max(1, np.abs(expected).max())
    assert all(variable.dtype == "float32" for variable in low.trainable_variables)


@pytest.mark.parametrize("arguments", [{}, {"per_sample": True}, {"inference": "gaussian"}])
def test_mixed_precision_without_keras_casts(arguments: dict[str, Any]) -> None:
    """TimeDistributed calls `call`, around which Keras casts nothing."""
    dense = layers.Dense(3, dtype="mixed_bfloat16")
    wrapped = layers.TimeDistributed(DropConnect(dense, 0.5, **arguments), dtype="float32")
    for training in (False, True):
        outputs = wrapped(np.ones((2, 3, 4), np.float32), training=training)
        assert keras.backend.standardize_dtype(outputs.dtype) == "bfloat16"


# === In networks


def recurrent_and_dense() -> Any:
    """A net where much is assigned in training: seeds, moving statistics, dropout's masks."""
    inputs = keras.Input((4, 4))
    x = DropConnect(layers.LSTM(6, dropout=0.2, return_sequences=True), 0.3, seed=1)(inputs)
    x = DropConnect(layers.GRU(6, recurrent_dropout=0.1), 0.3, drop_bias=True, seed=2)(x)
    x = layers.BatchNormalization(name="norm")(x)
    x = DropConnect(layers.Dense(8, "relu"), 0.3, per_sample=True, drop_bias=True, seed=3)(x)
    x = DropConnect(layers.Dense(2), 0.3, inference="gaussian", seed=4)(x)
    return keras.Model(inputs, x)


def convolutional() -> Any:
    """Without recurrent layers, on which PyTorch's compiler, and JAX without one, take minutes."""
    inputs = keras.Input((4, 4))
    x = DropConnect(layers.Conv1D(6, 3), 0.3, seed=1)(inputs)
    x = layers.BatchNormalization(name="norm")(layers.Flatten()(x))
    x = DropConnect(layers.Dense(8, "relu"), 0.3, per_sample=True, drop_bias=True, seed=3)(x)
    x = DropConnect(layers.Dense(2), 0.3, inference="gaussian", seed=4)(x)
    return keras.Model(inputs, x)


# PyTorch's compiler warns of what it looks at itself.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")
@pytest.mark.parametrize("jit_compile", [False, True])
def test_fit(jit_compile: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    keras.utils.set_random_seed(0)
    is_slow = (BACKEND, jit_compile) in (("jax", False), ("torch", True))
    model = convolutional() if is_slow else recurrent_and_dense()
    if BACKEND == "torch" and jit_compile:
        import torch

        # Traced and differentiated as ever; what is left out is the C++ that it would write.
        monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="aot_eager"))
    model.compile(keras.optimizers.Adam(0.05), "mse", jit_compile=jit_compile)
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(64, 4, 4)).astype(np.float32)
    targets = 2 + inputs[:, -1, :2]
    weights = model.get_weights()
    seeds = [layer.seed_generator for layer in model.layers if isinstance(layer, DropConnect)]
    history = model.fit(inputs, targets, batch_size=16, epochs=12, shuffle=False, verbose=0)
    losses = history.history["loss"]
    assert np.isfinite(losses).all()
    assert losses[-1] < 0.6 * losses[0]
    assert all((new != old).any() for new, old in zip(model.get_weights(), weights, strict=True))
    # What was drawn and assigned inside the step is there behind it.
    drawn = [int(numbers(seed.state)[1]) for seed in seeds]
    assert all(count >= 48 for count in drawn), drawn
    assert np.abs(numbers(model.get_layer("norm").moving_mean)).max() > 0
    lstm = model.layers[1].layer
    if BACKEND != "torch" and isinstance(lstm, layers.LSTM):  # whose dropout takes no seed
        assert int(numbers(lstm.cell.seed_generator.state)[1]) > 0
    if not jit_compile:
        # Gaussian inference of a batch that is not full.
        one, other = (model.predict(inputs[:10], batch_size=8, verbose=0) for _ in range(2))
        assert one.shape == (10, 2)
        assert (one != other).any()


def test_shared_layer() -> None:
    dense = layers.Dense(5, name="shared")
    first, second = DropConnect(dense, 0.5, seed=1), DropConnect(dense, 0.2, seed=2)
    image = keras.Input((5,))
    model = keras.Model(image, dense(second(first(image))))
    assert len(model.trainable_variables) == 2
    inputs = np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32)
    kernel, bias = dense.get_weights()
    expected = ((inputs @ kernel + bias) @ kernel + bias) @ kernel + bias
    np.testing.assert_allclose(numbers(model(inputs)), expected, atol=1e-5)
    assert (numbers(first(inputs, training=True)) != numbers(second(inputs, training=True))).any()
    np.testing.assert_allclose(numbers(dense(inputs)), inputs @ kernel + bias, atol=1e-6)
    model.compile(keras.optimizers.SGD(0.01), "mse", jit_compile=False)
    model.fit(inputs, inputs, epochs=2, verbose=0)
    assert (dense.get_weights()[0] != kernel).all()


# === In loops


def test_called_in_a_loop() -> None:
    wrapped = DropConnect(layers.Dense(20, kernel_initializer="ones"), 0.5, seed=0)
    image = x = keras.Input((20,))
    for _ in range(3):
        x = wrapped(x)
    model = keras.Model(image, x)
    assert len(model.trainable_variables) == 2
    inputs = np.ones((2, 20), np.float32)
    np.testing.assert_allclose(numbers(model(inputs)), 20**3, rtol=1e-6)
    before = int(numbers(wrapped.seed_generator.state)[1])
    drawn = numbers(model(inputs, training=True))
    assert len(set(drawn[0])) > 3
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert int(numbers(wrapped.seed_generator.state)[1]) >= before + 3


@pytest.mark.parametrize("steps", [12, None])
def test_time_distributed(steps: int | None) -> None:
    wrapped = DropConnect(layers.Dense(1, kernel_initializer="ones"), 0.5, seed=0)
    model = keras.Sequential([keras.Input((steps, 20)), layers.TimeDistributed(wrapped)])
    inputs = np.ones((3, 12, 20), np.float32)
    np.testing.assert_allclose(numbers(model(inputs)), 20, rtol=1e-6)
    drawn = numbers(model(inputs, training=True))[..., 0]
    # A mask for each step, the same for all samples.
    assert len(set(drawn[0])) > 3
    np.testing.assert_array_equal(drawn[0], drawn[2])
    model.compile(keras.optimizers.SGD(0.001), "mse", jit_compile=BACKEND == "jax")
    model.fit(inputs, np.zeros((3, 12, 1)), epochs=3, verbose=0)
    assert numbers(wrapped.layer.kernel).mean() < 0.95


@on_tensorflow
def test_in_a_loop_of_the_graph() -> None:
    import tensorflow as tf

    wrapped = DropConnect(layers.Dense(20, kernel_initializer="ones"), 0.5, seed=0)
    wrapped.build((None, 20))

    @tf.function(input_signature=[tf.TensorSpec((None, 20)), tf.TensorSpec((), tf.int32)])
    def repeat(inputs: Any, times: Any) -> Any:
        sums = tf.TensorArray(tf.float32, times)
        for i in tf.range(times):
            sums = sums.write(i, tf.reduce_sum(wrapped(inputs, training=True)))
        return sums.stack()

    assert len(set(repeat(tf.ones((2, 20)), 5).numpy())) == 5


# === On two devices


MIRRORED = """
import numpy as np, tensorflow as tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2)
import keras
from keras_affect.layers import DropConnect
keras.utils.set_random_seed(0)
layers = keras.layers
with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
    lstm = layers.LSTM(6, dropout=0.2)
    model = keras.Sequential(
        [keras.Input((3, 4)), DropConnect(lstm, 0.3), DropConnect(layers.Dense(2), 0.3)])
    model.compile(keras.optimizers.Adam(0.1), "mse", jit_compile=False)
inputs = np.random.default_rng(0).normal(size=(64, 3, 4)).astype("float32")
losses = model.fit(inputs, 2 + inputs[:, -1, :2], batch_size=16, epochs=8, verbose=0)
losses = losses.history["loss"]
assert losses[-1] < 0.5 * losses[0], losses
assert lstm.cell.seed_generator.state.numpy()[1] > 0
print("trained")
"""


@on_tensorflow
def test_mirrored_strategy() -> None:
    """Replicas run in threads that change places where a variable is assigned, as dropout does."""
    child = subprocess.run(
        [sys.executable, "-c", MIRRORED],
        cwd=REPOSITORY,
        env=os.environ | {"CUDA_VISIBLE_DEVICES": "-1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert child.stdout.strip().endswith("trained"), child.stderr
