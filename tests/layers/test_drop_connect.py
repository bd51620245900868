"""DropConnect against NumPy, against layers with the same weights dropped by hand, and in use."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from keras_affect.layers import DropConnect
from tests.conftest import REPOSITORY

BACKEND = keras.backend.backend()
on_tensorflow = pytest.mark.skipif(
    BACKEND != "tensorflow", reason="export and tf.distribute are TensorFlow's"
)
layers = keras.layers

#: A wrapped layer each, with the shape of a batch for it.
CASES: dict[str, tuple[Callable[..., Any], tuple[int, ...]]] = {
    "dense": (lambda **k: layers.Dense(4, activation="tanh", **k), (3, 5)),
    "dense of sequences": (lambda **k: layers.Dense(4, **k), (3, 2, 6, 5)),
    "causal conv1d": (lambda **k: layers.Conv1D(4, 3, padding="causal", **k), (3, 7, 5)),
    "conv2d": (lambda **k: layers.Conv2D(4, 3, strides=2, activation="relu", **k), (3, 7, 7, 2)),
    "grouped conv2d": (lambda **k: layers.Conv2D(4, 3, groups=2, **k), (3, 5, 5, 2)),
    "channels first": (
        lambda **k: layers.Conv2D(4, 3, data_format="channels_first", **k),
        (3, 2, 5, 5),
    ),
    "depthwise": (
        lambda **k: layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same", **k),
        (3, 5, 5, 2),
    ),
    "lstm": (lambda **k: layers.LSTM(4, return_sequences=True, **k), (3, 6, 5)),
    "unrolled lstm": (lambda **k: layers.LSTM(4, unroll=True, **k), (3, 6, 5)),
    "gru": (lambda **k: layers.GRU(4, return_sequences=True, **k), (3, 6, 5)),
    "gru, reset before": (lambda **k: layers.GRU(4, reset_after=False, **k), (3, 6, 5)),
}
each_case = pytest.mark.parametrize("case", CASES)


def make(case: str, **arguments: Any) -> tuple[DropConnect, Any, np.ndarray]:
    """The wrapped layer, a layer of its own with the same weights, and a batch."""
    keras.utils.set_random_seed(0)
    construct, shape = CASES[case]
    wrapped = DropConnect(construct(name="wrapped"), **arguments)
    twin = construct(name="twin")
    wrapped.build(shape)
    twin.build(shape)
    rng = np.random.default_rng(1)
    twin.set_weights([rng.normal(0, 0.5, value.shape) for value in twin.get_weights()])
    wrapped.layer.set_weights(twin.get_weights())
    return wrapped, twin, rng.normal(size=shape).astype(np.float32)


def kernel_of(layer: Any) -> Any:
    return layer.cell.recurrent_kernel if isinstance(layer, layers.RNN) else layer.kernel


def bias_of(layer: Any) -> Any:
    return layer.cell.bias if isinstance(layer, layers.RNN) else layer.bias


def numbers(tensor: Any) -> np.ndarray:
    return np.asarray(ops.convert_to_numpy(tensor), np.float64)


def record(layer: DropConnect, monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """The masks that an eager call draws, True where a weight is kept."""
    drawn: list[np.ndarray] = []
    draw = layer._draw

    def recording(shape: Any) -> Any:
        mask = draw(shape)
        drawn.append(np.asarray(ops.convert_to_numpy(mask)))
        return mask

    monkeypatch.setattr(layer, "_draw", recording)
    return drawn


def fix(layer: DropConnect, monkeypatch: pytest.MonkeyPatch, masks: list[np.ndarray]) -> None:
    """Make each call draw these masks, in turn."""
    given: list[np.ndarray] = []

    def fixed(shape: Any) -> Any:
        if not given:
            given.extend(masks)
        return ops.convert_to_tensor(given.pop(0))

    monkeypatch.setattr(layer, "_draw", fixed)


def gradients(layer: Any, loss_of: Callable[[], Any], by: list[Any]) -> list[np.ndarray]:
    """Of a loss by variables, by the backend's own means."""
    if BACKEND == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            loss = loss_of()
        return [numbers(value) for value in tape.gradient(loss, [v.value for v in by])]
    if BACKEND == "torch":
        for variable in by:
            variable.value.grad = None
        loss_of().backward()
        return [numbers(variable.value.grad) for variable in by]
    import jax

    def stateless(values: list[Any]) -> Any:
        others = [v for v in layer.variables if not any(v is given for given in by)]
        state = [*zip(by, values, strict=True), *((v, v.value) for v in others)]
        with keras.StatelessScope(state_mapping=state):
            return loss_of()

    return [numbers(value) for value in jax.grad(stateless)([v.value for v in by])]


# === What it computes


@each_case
@pytest.mark.parametrize("drop_bias", [False, True])
def test_is_the_layer_with_weights_dropped(
    case: str, drop_bias: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrapped, twin, inputs = make(case, rate=0.3, drop_bias=drop_bias, seed=3)
    whole = numbers(twin(inputs))
    masks = record(wrapped, monkeypatch)
    outputs = numbers(wrapped(inputs, training=True))
    # One mask, whatever the samples, positions and steps.
    assert [mask.shape for mask in masks] == [
        tuple(kernel_of(twin).shape),
        *([tuple(bias_of(twin).shape)] if drop_bias else []),
    ]
    assert not any(mask.all() for mask in masks[:1])
    for variable, mask in zip((kernel_of(twin), bias_of(twin)), masks, strict=False):
        variable.assign(np.where(mask, numbers(variable) / 0.7, 0))
    np.testing.assert_allclose(outputs, numbers(twin(inputs)), atol=2e-6)
    assert np.abs(outputs - whole).max() > 0.01
    # Its own weights are as they were, and so is inference, which draws nothing.
    state = numbers(wrapped.seed_generator.state)
    np.testing.assert_allclose(numbers(wrapped(inputs)), whole, atol=1e-6)
    np.testing.assert_array_equal(numbers(wrapped.seed_generator.state), state)
    assert len(masks) == 1 + drop_bias


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def lstm_of_numpy(
    inputs: np.ndarray, kernel: np.ndarray, recurrent: np.ndarray, bias: np.ndarray
) -> np.ndarray:
    """Last outputs `(masks, batch, units)` for recurrent kernels `(masks, units, 4 units)`."""
    state = output = np.zeros((len(recurrent), len(inputs), recurrent.shape[1]))
    for step in range(inputs.shape[1]):
        gates = inputs[:, step] @ kernel + bias + output @ recurrent
        let_in, keep, new, out = np.split(gates, 4, axis=-1)
        state = sigmoid(keep) * state + sigmoid(let_in) * np.tanh(new)
        output = sigmoid(out) * np.tanh(state)
    return output


def test_lstm_against_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    wrapped, twin, inputs = make("unrolled lstm", rate=0.4, seed=5)
    masks = record(wrapped, monkeypatch)
    outputs = numbers(wrapped(inputs, training=True))
    (mask,) = masks
    kernel, recurrent, bias = twin.get_weights()
    expected = lstm_of_numpy(inputs, kernel, (recurrent * mask / 0.6)[None], bias)[0]
    np.testing.assert_allclose(outputs, expected, atol=2e-6)


@pytest.mark.parametrize("case", ["dense", "dense of sequences"])
@pytest.mark.parametrize("drop_bias", [False, True])
def test_per_sample_against_numpy(
    case: str, drop_bias: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrapped, twin, inputs = make(case, rate=0.3, per_sample=True, drop_bias=drop_bias, seed=3)
    masks = record(wrapped, monkeypatch)
    outputs = numbers(wrapped(inputs, training=True))
    kernel, bias = twin.get_weights()
    assert masks[0].shape == (len(inputs), *kernel.shape)
    assert (masks[0][0] != masks[0][1]).any()
    for sample, values in enumerate(inputs):
        own = values @ (kernel * masks[0][sample] / 0.7)
        own = own + (bias * masks[1][sample] / 0.7 if drop_bias else bias)
        own = np.tanh(own) if case == "dense" else own
        np.testing.assert_allclose(outputs[sample], own, atol=2e-6)


# === Gradients


@each_case
def test_gradients_reach_kept_weights_alone(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    wrapped, twin, inputs = make(case, rate=0.4, drop_bias=True, seed=2)
    rng = np.random.default_rng(4)
    masks = [rng.random(tuple(v.shape)) > 0.4 for v in (kernel_of(twin), bias_of(twin))]
    fix(wrapped, monkeypatch, masks)
    weight = ops.convert_to_tensor(rng.normal(size=tuple(twin(inputs).shape)).astype(np.float32))
    found = gradients(
        wrapped,
        lambda: ops.sum(wrapped(inputs, training=True) * weight),
        wrapped.trainable_variables,
    )
    for variable, mask in zip((kernel_of(twin), bias_of(twin)), masks, strict=True):
        variable.assign(np.where(mask, numbers(variable) / 0.6, 0))
    expected = gradients(twin, lambda: ops.sum(twin(inputs) * weight), twin.trainable_variables)
    dropped = {id(kernel_of(twin)): masks[0], id(bias_of(twin)): masks[1]}
    for variable, own, value in zip(twin.trainable_variables, found, expected, strict=True):
        mask = dropped.get(id(variable))
        if mask is not None:
            assert (own[~mask] == 0).all()
            assert (own[mask] != 0).any()
            value = np.where(mask, value / 0.6, 0)
        np.testing.assert_allclose(own, value, atol=2e-5)


@pytest.mark.parametrize("per_sample", [False, True])
def test_gradients_against_finite_differences(
    per_sample: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(3, 4))
    wrapped = DropConnect(
        layers.Dense(2, activation="tanh", dtype="float64"), 0.4, per_sample=per_sample
    )
    if BACKEND == "jax":
        pytest.skip("JAX computes in float32, where differences tell nothing")
    wrapped.build((3, 4))
    mask = rng.random((3, 4, 2) if per_sample else (4, 2)) > 0.4
    fix(wrapped, monkeypatch, [mask])
    kernel = wrapped.layer.kernel
    start = numbers(kernel)

    def loss() -> Any:
        return ops.sum(ops.square(wrapped(ops.convert_to_tensor(inputs), training=True)))

    found = gradients(wrapped, loss, [kernel])[0]
    for index in np.ndindex(*start.shape):
        step = np.zeros_like(start)
        step[index] = 1e-5
        sides = []
        for sign in (1, -1):
            kernel.assign(start + sign * step)
            sides.append(float(numbers(loss())))
        assert abs((sides[0] - sides[1]) / 2e-5 - found[index]) < 1e-7


# === Over many draws


@pytest.mark.parametrize("drop_bias", [False, True])
def test_keeps_mean_and_has_the_papers_variance(drop_bias: bool) -> None:
    wrapped, twin, _ = make("dense of sequences", rate=0.2, per_sample=True, drop_bias=drop_bias)
    kernel, bias = twin.get_weights()
    values = np.random.default_rng(0).normal(size=5).astype(np.float32)
    draws = 20_000
    drawn = numbers(wrapped(np.tile(values, (draws, 1)), training=True))
    variance = np.square(values) @ np.square(kernel) * 0.25
    if drop_bias:
        variance = variance + 0.25 * np.square(bias)
    error = np.sqrt(variance / draws)
    assert (np.abs(drawn.mean(0) - (values @ kernel + bias)) < 5 * error).all()
    np.testing.assert_allclose(drawn.var(0), variance, rtol=0.1)


@pytest.mark.parametrize("case", ["causal conv1d", "grouped conv2d", "depthwise"])
def test_keeps_the_mean_of_convolutions(case: str) -> None:
    wrapped, twin, inputs = make(case, rate=0.2, seed=1)
    drawn = np.stack([numbers(wrapped(inputs, training=True)) for _ in range(200)])
    expected, bias = numbers(twin(inputs)), numbers(twin.bias)
    error = drawn.std(0) / np.sqrt(len(drawn))
    assert (np.abs(drawn.mean(0) - expected) < 5 * error).all()
    # So many draws do show a kernel that is not divided by 0.8.
    undivided = bias + 0.8 * (expected - bias)
    assert (np.abs(drawn.mean(0) - undivided) > 6 * error).any()


def test_mean_of_lstms_against_numpys() -> None:
    wrapped, twin, inputs = make("unrolled lstm", rate=0.2, seed=1)
    kernel, recurrent, bias = twin.get_weights()
    kept = np.random.default_rng(0).random((20_000, *recurrent.shape)) >= 0.2
    by_numpy = lstm_of_numpy(inputs, kernel, recurrent * kept / 0.8, bias)
    drawn = np.stack([numbers(wrapped(inputs, training=True)) for _ in range(200)])
    error = drawn.std(0) / np.sqrt(len(drawn))
    assert (np.abs(drawn.mean(0) - by_numpy.mean(0)) < 5 * error).all()
    np.testing.assert_allclose(drawn.std(0), by_numpy.std(0), rtol=0.3)


def test_share_of_kept_weights_under_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    wrapped = DropConnect(layers.Dense(500, dtype="mixed_bfloat16"), rate=0.2, seed=0)
    wrapped.build((1, 1000))
    masks = record(wrapped, monkeypatch)
    assert keras.backend.standardize_dtype(wrapped(np.ones((1, 1000)), training=True).dtype) == (
        "bfloat16"
    )
    # Drawn in bfloat16 the share would be 0.797 or 0.801.
    assert abs(masks[0].mean() - 0.8) < 5 * np.sqrt(0.16 / masks[0].size) < 0.003


def test_seed() -> None:
    inputs = np.eye(50, dtype=np.float32)
    dense = layers.Dense(20, kernel_initializer="ones")
    one, same, other = (DropConnect(dense, 0.5, seed=seed) for seed in (1, 1, 2))
    first = numbers(one(inputs, training=True))
    np.testing.assert_array_equal(numbers(same(inputs, training=True)), first)
    assert (numbers(other(inputs, training=True)) != first).any()
    assert (numbers(one(inputs, training=True)) != first).any()


def test_rate_of_0_is_the_layer() -> None:
    wrapped, twin, inputs = make("dense", rate=0, inference="gaussian")
    np.testing.assert_array_equal(numbers(wrapped(inputs, training=True)), numbers(twin(inputs)))
    np.testing.assert_array_equal(numbers(wrapped(inputs)), numbers(twin(inputs)))


# === Gaussian inference


def rectified_mean(mean: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """The expected ReLU of a Gaussian, in closed form."""
    from math import erf

    z = mean / deviation
    below = 0.5 * (1 + np.vectorize(erf)(z / np.sqrt(2)))
    return mean * below + deviation * np.exp(-np.square(z) / 2) / np.sqrt(2 * np.pi)


@pytest.mark.parametrize("drop_bias", [False, True])
def test_gaussian_inference(drop_bias: bool) -> None:
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    dense = layers.Dense(6, activation="relu")
    wrapped = DropConnect(
        dense, 0.2, per_sample=True, drop_bias=drop_bias, inference="gaussian", samples=20_000
    )
    inputs = rng.normal(size=(4, 60)).astype(np.float32)
    wrapped.build(inputs.shape)
    kernel, bias = rng.normal(0, 0.2, (60, 6)), rng.normal(0, 1, 6)
    dense.set_weights([kernel, bias])
    mean = inputs @ kernel + bias
    variance = np.square(inputs) @ np.square(kernel) + drop_bias * np.square(bias)
    deviation = np.sqrt(0.25 * variance)
    expected = rectified_mean(mean, deviation)
    error = deviation / np.sqrt(20_000)
    outputs = numbers(wrapped(inputs, training=False))
    assert (np.abs(outputs - expected) < 5 * error).all()
    # It is what networks with masks give on the average, where the mean network is off.
    masked = numbers(wrapped(np.repeat(inputs, 5000, axis=0), training=True))
    masked = masked.reshape(4, 5000, 6).mean(1)
    assert np.abs(masked - np.maximum(mean, 0)).max() > 0.15
    assert np.abs(masked - outputs).max() < 0.07
    assert (numbers(wrapped(inputs)) != outputs).any()
    assert wrapped.draws_at_inference


def test_gaussian_inference_can_be_differentiated_at_0() -> None:
    wrapped = DropConnect(layers.Dense(3, activation="relu"), 0.5, inference="gaussian", samples=4)
    wrapped.build((2, 5))
    zeros = np.zeros((2, 5), np.float32)
    (gradient,) = gradients(wrapped, lambda: ops.sum(wrapped(zeros)), [wrapped.layer.kernel])
    assert np.isfinite(gradient).all()
    np.testing.assert_allclose(numbers(wrapped(zeros)), 0, atol=1e-12)


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


def test_constraints_act_on_whole_weights() -> None:
    dense = layers.Dense(3, kernel_constraint=keras.constraints.UnitNorm(axis=0))
    model = keras.Sequential([keras.Input((5,)), DropConnect(dense, 0.5)])
    model.compile("sgd", "mse", jit_compile=False)
    model.fit(np.ones((8, 5)), np.ones((8, 3)), verbose=0)
    np.testing.assert_allclose(np.square(numbers(dense.kernel)).sum(0), 1, rtol=1e-5)


def test_shared_layer(tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    dense = layers.Dense(5, name="shared")
    image = keras.Input((5,))
    x = DropConnect(dense, 0.5, seed=1, name="first")(image)
    x = DropConnect(dense, 0.2, seed=2, name="second")(x)
    model = keras.Model(image, dense(x))
    assert len(model.trainable_variables) == 2
    inputs = np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32)
    kernel, bias = dense.get_weights()
    expected = ((inputs @ kernel + bias) @ kernel + bias) @ kernel + bias
    np.testing.assert_allclose(numbers(model(inputs)), expected, atol=1e-5)
    model.compile(keras.optimizers.SGD(0.01), "mse", jit_compile=False)
    model.fit(inputs, inputs, epochs=2, verbose=0)
    model.save(tmp_path / "shared.keras")
    loaded = keras.saving.load_model(tmp_path / "shared.keras")
    assert loaded.get_layer("first").layer is loaded.get_layer("second").layer
    assert loaded.get_layer("first").layer is loaded.get_layer("shared")
    np.testing.assert_allclose(numbers(loaded(inputs)), numbers(model(inputs)), atol=1e-6)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
@each_case
def test_mixed_precision(case: str, policy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    construct, shape = CASES[case]
    if policy == "mixed_float16" and BACKEND == "torch" and "gru" in case:
        pytest.skip("PyTorch has no float16 GRU on the CPU")
    wrapped, _, inputs = make(case, rate=0.3, drop_bias=True)
    low = DropConnect(construct(dtype=policy), rate=0.3, drop_bias=True)
    assert low.compute_dtype == low.layer.compute_dtype == policy.removeprefix("mixed_")
    low.build(shape)
    low.set_weights(wrapped.get_weights())
    rng = np.random.default_rng(4)
    masks = [rng.random(tuple(v.shape)) > 0.3 for v in (kernel_of(low.layer), bias_of(low.layer))]
    fix(low, monkeypatch, masks)
    fix(wrapped, monkeypatch, masks)
    outputs = low(inputs, training=True)
    assert keras.backend.standardize_dtype(outputs.dtype) == low.compute_dtype
    expected = numbers(wrapped(inputs, training=True))
    tolerance = 0.06 if "bfloat16" in policy else 0.01
    assert np.abs(numbers(ops.cast(outputs, "float32")) - expected).max() < tolerance * max(
        1, np.abs(expected).max()
    )
    assert all(variable.dtype == "float32" for variable in low.trainable_variables)


# === Training


def recurrent_and_dense(**arguments: Any) -> Any:
    """A net where much is assigned in training: seeds, moving statistics, dropout's masks."""
    inputs = keras.Input((None, 4))
    x = DropConnect(layers.LSTM(6, dropout=0.2, return_sequences=True), 0.3, seed=1)(inputs)
    x = DropConnect(layers.GRU(6, recurrent_dropout=0.1), 0.3, drop_bias=True, seed=2)(x)
    x = layers.BatchNormalization()(x)
    x = DropConnect(layers.Dense(8, "relu"), 0.3, per_sample=True, drop_bias=True, seed=3)(x)
    x = DropConnect(layers.Dense(2), 0.3, inference="gaussian", seed=4)(x)
    model = keras.Model(inputs, x)
    model.compile(keras.optimizers.Adam(0.05), "mse", **arguments)
    return model


@pytest.mark.parametrize("jit_compile", [False, True])
def test_fit(jit_compile: bool) -> None:
    if jit_compile and BACKEND == "torch":
        pytest.skip("PyTorch's compiler needs a C++ compiler at run time")
    keras.utils.set_random_seed(0)
    model = recurrent_and_dense(jit_compile=jit_compile)
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(64, 5, 4)).astype(np.float32)
    targets = 2 + inputs[:, -1, :2]
    before = model.evaluate(inputs, targets, verbose=0)
    weights = model.get_weights()
    seeds = [layer.seed_generator for layer in model.layers if isinstance(layer, DropConnect)]
    drawn = [int(numbers(seed.state)[1]) for seed in seeds]
    model.fit(inputs, targets, batch_size=16, epochs=10, shuffle=False, verbose=0)
    assert model.evaluate(inputs, targets, verbose=0) < 0.7 * before
    assert all((new != old).any() for new, old in zip(model.get_weights(), weights, strict=True))
    # What was drawn and assigned inside the step is there behind it.
    steps = [int(numbers(seed.state)[1]) - first for seed, first in zip(seeds, drawn, strict=True)]
    assert all(count >= 40 for count in steps), steps
    assert np.abs(numbers(model.layers[3].moving_mean)).max() > 0
    if BACKEND != "torch":  # whose dropout takes no seed
        assert int(numbers(model.layers[1].layer.cell.seed_generator.state)[1]) > 0


def test_states_kept_between_calls() -> None:
    keras.utils.set_random_seed(0)
    lstm = layers.LSTM(3, stateful=True)
    wrapped = DropConnect(lstm, 0.3, seed=0)
    inputs = np.ones((2, 4, 5), np.float32)
    first = numbers(wrapped(inputs, training=True))
    np.testing.assert_allclose(numbers(lstm.states[0]), first, atol=1e-6)
    assert np.abs(first).max() > 0


def test_initial_state_and_returned_states() -> None:
    wrapped = DropConnect(layers.LSTM(3, return_state=True), 0.3)
    start = [keras.Input((3,)), keras.Input((3,))]
    sequence = keras.Input((None, 5))
    outputs = wrapped(sequence, initial_state=start)
    assert [tuple(output.shape) for output in outputs] == [(None, 3)] * 3
    model = keras.Model([sequence, *start], outputs)
    rng = np.random.default_rng(0)
    values = [rng.normal(size=shape).astype(np.float32) for shape in ((2, 4, 5), (2, 3), (2, 3))]
    for found, expected in zip(
        model(values), wrapped.layer(values[0], initial_state=values[1:]), strict=True
    ):
        np.testing.assert_allclose(numbers(found), numbers(expected), atol=1e-6)
    assert (numbers(model(values, training=True)[0]) != numbers(model(values)[0])).any()


def test_masked_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    embedding = layers.Embedding(10, 5, mask_zero=True)
    wrapped = DropConnect(layers.LSTM(3, return_sequences=True), 0.3)
    wrapped.build((2, 4, 5))
    fix(wrapped, monkeypatch, [np.random.default_rng(0).random((3, 12)) > 0.3])
    model = keras.Sequential([keras.Input((None,), dtype="int32"), embedding, wrapped])
    words = np.array([[3, 4, 0, 0], [3, 4, 5, 6]])
    for training in (False, True):
        outputs = numbers(model(words, training=training))
        np.testing.assert_array_equal(outputs[0, 1], outputs[0, 3])
        assert (outputs[1, 1] != outputs[1, 3]).any()
    assert wrapped.compute_mask(None, "a mask") == "a mask"
    assert DropConnect(layers.Dense(2)).supports_masking
    assert not DropConnect(layers.Conv2D(2, 1)).supports_masking


def test_in_a_loop() -> None:
    keras.utils.set_random_seed(0)
    wrapped = DropConnect(layers.Dense(1, kernel_initializer="ones"), 0.5, seed=0)
    model = keras.Sequential([keras.Input((12, 20)), layers.TimeDistributed(wrapped)])
    inputs = np.ones((3, 12, 20), np.float32)
    drawn = numbers(model(inputs, training=True))[..., 0]
    # A mask for each step, the same for all samples.
    assert len(set(drawn[0])) > 3
    np.testing.assert_array_equal(drawn[0], drawn[2])
    model.compile(keras.optimizers.SGD(0.001), "mse", jit_compile=False)
    model.fit(inputs, np.zeros((3, 12, 1)), epochs=3, verbose=0)
    assert numbers(wrapped.layer.kernel).mean() < 0.99


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


@on_tensorflow
def test_per_sample_of_a_batch_of_unknown_size() -> None:
    import tensorflow as tf

    wrapped = DropConnect(layers.Dense(4, kernel_initializer="ones"), 0.5, per_sample=True)
    wrapped.build((None, None, 30))

    @tf.function(input_signature=[tf.TensorSpec((None, None, 30))])
    def run(inputs: Any) -> Any:
        return wrapped(inputs, training=True)

    outputs = run(tf.ones((3, 2, 30)))
    assert outputs.shape == (3, 2, 4)
    assert (outputs[:, 0] == outputs[:, 1]).numpy().all()
    assert (outputs[0] != outputs[1]).numpy().any()
    assert run.get_concrete_function().output_shapes.as_list() == [None, None, 4]


MIRRORED = """
import numpy as np, tensorflow as tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2)
import keras
from keras_affect.layers import DropConnect
keras.utils.set_random_seed(0)
layers = keras.layers
with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
    model = keras.Sequential([
        keras.Input((5, 4)),
        DropConnect(layers.LSTM(6, dropout=0.2), 0.3),
        DropConnect(layers.Dense(8, "relu"), 0.3, per_sample=True),
        DropConnect(layers.Dense(2), 0.3, drop_bias=True),
    ])
    model.compile(keras.optimizers.Adam(0.05), "mse", jit_compile=False)
inputs = np.random.default_rng(0).normal(size=(64, 5, 4)).astype("float32")
targets = 2 + inputs[:, -1, :2]
first = model.evaluate(inputs, targets, verbose=0)
model.fit(inputs, targets, batch_size=16, epochs=10, verbose=0)
last = model.evaluate(inputs, targets, verbose=0)
assert last < 0.8 * first, (first, last)
print("trained")
"""


@on_tensorflow
def test_mirrored_strategy() -> None:
    child = subprocess.run(
        [sys.executable, "-c", MIRRORED],
        cwd=REPOSITORY,
        env=os.environ | {"CUDA_VISIBLE_DEVICES": "-1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert child.stdout.strip().endswith("trained"), child.stderr


# === Saved, rebuilt, shaped


@each_case
def test_saved_and_reloaded(case: str, tmp_path: Path) -> None:
    construct, shape = CASES[case]
    wrapped = DropConnect(
        construct(), 0.3, per_sample="dense" in case, drop_bias=True, seed=7, name="dropped"
    )
    model = keras.Sequential([keras.Input(shape[1:]), wrapped])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    again = loaded.get_layer("dropped")
    assert type(again) is DropConnect
    assert again.get_config() == wrapped.get_config()
    inputs = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    np.testing.assert_array_equal(numbers(loaded(inputs)), numbers(model(inputs)))
    np.testing.assert_array_equal(
        numbers(loaded(inputs, training=True)), numbers(model(inputs, training=True))
    )


def test_config() -> None:
    arguments = {
        "rate": 0.25, "per_sample": True, "drop_bias": True, "inference": "gaussian",
        "samples": 9, "seed": 3,
    }  # fmt: skip
    wrapped = DropConnect(layers.Dense(3, name="inner", dtype="mixed_bfloat16"), **arguments)
    config = json.loads(json.dumps(wrapped.get_config()))
    again = DropConnect.from_config(config)
    assert {name: getattr(again, name) for name in arguments} == arguments
    assert again.get_config() == wrapped.get_config()
    assert again.layer.name == "inner"
    assert again.compute_dtype == "bfloat16"


@each_case
def test_shapes(case: str) -> None:
    wrapped, twin, inputs = make(case)
    symbolic = keras.KerasTensor((None, *inputs.shape[1:]))
    expected = tuple(twin(symbolic).shape)
    assert tuple(wrapped(symbolic).shape) == expected
    assert wrapped.compute_output_shape(symbolic.shape) == expected
    assert tuple(wrapped(inputs, training=True).shape) == (len(inputs), *expected[1:])
    # The wrapped layer's weights and no others.
    assert [v.shape for v in wrapped.weights] == [v.shape for v in twin.weights]


def test_quantized_and_lora_kernels_run_but_are_not_dropped() -> None:
    inputs = np.random.default_rng(0).normal(size=(2, 5)).astype(np.float32)
    for change, said in (("int8", "quantized"), ("lora", "made of LoRA factors")):
        dense = layers.Dense(4, name="changed")
        model = keras.Sequential([keras.Input((5,)), DropConnect(dense, 0.3)])
        expected = numbers(model(inputs))
        if change == "lora":
            dense.enable_lora(2)
        else:
            model.quantize("int8")
        np.testing.assert_allclose(numbers(model(inputs)), expected, atol=0.1)
        with pytest.raises(ValueError, match=f"`layer`.*'changed'.*a kernel that is {said}"):
            model(inputs, training=True)


# === Refused


@pytest.mark.parametrize("rate", [1.7, -0.1, 1, 1.0, float("nan"), "0.5", True, None, [0.5]])
def test_refuses_rates(rate: Any) -> None:
    with pytest.raises(ValueError, match="Invalid value") as error:
        DropConnect(layers.Dense(2), rate)
    assert str(error.value) == (
        f"Invalid value for argument `rate`. Expected a float in [0, 1). Received: rate={rate!r}"
    )


def test_takes_numpys_rates() -> None:
    assert DropConnect(layers.Dense(2), np.float32(0.5)).get_config()["rate"] == 0.5


@pytest.mark.parametrize(
    ("layer", "received"),
    [
        (lambda: layers.ReLU(name="rectify"), "'rectify', a ReLU"),
        (lambda: layers.BatchNormalization(name="norm"), "'norm', a BatchNormalization"),
        (lambda: DropConnect(layers.Dense(2), name="twice"), "'twice', a DropConnect"),
        (lambda: "dense", "'dense', a str"),
        (lambda: None, "None, a NoneType"),
    ],
)
def test_refuses_layers_without_a_kernel(layer: Callable[[], Any], received: str) -> None:
    with pytest.raises(ValueError, match="Invalid value") as error:
        DropConnect(layer())
    assert str(error.value) == (
        "Invalid value for argument `layer`. Expected a layer with a kernel that can be dropped: "
        f"a Dense, Conv1D, Conv2D, DepthwiseConv2D, LSTM or GRU. Received: layer={received}"
    )


class Doubled(keras.layers.Dense):
    def call(self, inputs: Any, training: bool | None = None) -> Any:
        return 2 * super().call(inputs)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"per_sample": 1}, "`per_sample`. Expected True or False. Received: per_sample=1"),
        ({"drop_bias": "no"}, "`drop_bias`. Expected True or False. Received: drop_bias='no'"),
        (
            {"inference": "median"},
            '`inference`. Expected "mean" or "gaussian". Received: inference=\'median\'',
        ),
        ({"samples": 0}, "`samples`. Expected an integer of 1 or more. Received: samples=0"),
        ({"samples": 2.0}, "`samples`. Expected an integer of 1 or more. Received: samples=2.0"),
        (
            {"dtype": "mixed_bfloat16"},
            "`dtype`. Expected one that computes in float32, as the wrapped layer does. "
            "Received: dtype='mixed_bfloat16'",
        ),
    ],
)
def test_refuses_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match="Invalid value") as error:
        DropConnect(layers.Dense(2), **arguments)
    assert str(error.value) == f"Invalid value for argument {message}"


@pytest.mark.parametrize(
    ("layer", "arguments", "message"),
    [
        (
            lambda: layers.Conv2D(2, 3),
            {"per_sample": True},
            "`per_sample`. Expected per_sample=False around anything but a Dense. "
            "Received: per_sample=True around a Conv2D",
        ),
        (
            lambda: Doubled(2),
            {"per_sample": True},
            "`per_sample`. Expected per_sample=False around anything but a Dense. "
            "Received: per_sample=True around a Doubled",
        ),
        (
            lambda: layers.LSTM(2),
            {"inference": "gaussian"},
            "`inference`. Expected inference='mean' around anything but a Dense. "
            "Received: inference='gaussian' around a LSTM",
        ),
        (
            lambda: layers.Dense(2, use_bias=False, name="bare"),
            {"drop_bias": True},
            "`drop_bias`. Expected False around a layer without a bias. "
            "Received: drop_bias=True around 'bare'",
        ),
    ],
)
def test_refuses_what_a_layer_has_not(
    layer: Callable[[], Any], arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match="Invalid value") as error:
        DropConnect(layer(), **arguments)
    assert str(error.value) == f"Invalid value for argument {message}"


def test_runs_what_a_subclass_adds() -> None:
    wrapped = DropConnect(Doubled(3, kernel_initializer="ones", use_bias=False), 0.5, seed=0)
    outputs = numbers(wrapped(np.eye(4, dtype=np.float32), training=True))
    assert set(outputs.ravel()) == {0, 4}


def test_refuses_rematerialized_layers() -> None:
    with keras.RematScope(mode="full"):
        dense = layers.Dense(2, name="twice")
    with pytest.raises(ValueError, match=r"outside of keras.RematScope.*layer='twice'"):
        DropConnect(dense)


# === Exported


def exportable(wrap: bool, **arguments: Any) -> Any:
    """Convolutions, an unrolled LSTM and dense layers over 8x8 images, wrapped or not."""
    keras.utils.set_random_seed(0)

    def dropped(layer: Any) -> Any:
        return DropConnect(layer, 0.3, **arguments) if wrap else layer

    image = keras.Input((8, 8, 1))
    x = layers.Rescaling(1 / 127.5, -1)(image)
    x = dropped(layers.Conv2D(8, 3, padding="same", activation="relu"))(x)
    x = dropped(layers.DepthwiseConv2D(3, padding="same", activation="relu"))(x)
    x = layers.Reshape((8, 64))(x)
    x = dropped(layers.Conv1D(8, 3, padding="same"))(x)
    x = dropped(layers.LSTM(8, unroll=True, return_sequences=True))(x)
    x = dropped(layers.GRU(8, unroll=True))(x)
    if not arguments:
        x = dropped(layers.Dense(16, activation="tanh"))(x)
    return keras.Model(image, layers.Dense(8, activation="softmax")(x), name="wrapped")


@on_tensorflow
@pytest.mark.parametrize("quantization", ["float32", "int8"])
def test_export_holds_the_wrapped_layers_alone(quantization: str, tmp_path: Path) -> None:
    from keras_affect.export import to_litert

    plain, wrapped = exportable(False), exportable(True)
    rng = np.random.default_rng(0)
    weights = [rng.normal(0, 0.5, value.shape) for value in plain.get_weights()]
    plain.set_weights(weights)
    wrapped.set_weights(weights)
    images = rng.integers(0, 256, (32, 8, 8, 1)).astype(np.float32)
    reports = [
        to_litert(model, tmp_path / f"{name}.tflite", quantization, calibration=images)
        for name, model in (("plain", plain), ("wrapped", wrapped))
    ]
    assert reports[1].operators == reports[0].operators
    assert reports[1].size == pytest.approx(reports[0].size, rel=0.05)
    assert not reports[1].stayed_float
    assert reports[1].largest_error["emotion"] < (1e-5 if quantization == "float32" else 0.15)
    assert np.ptp(numbers(wrapped(images)), axis=0).max() > 0.2


@on_tensorflow
def test_export_from_mixed_precision(tmp_path: Path) -> None:
    from keras_affect.export import to_litert

    image = keras.Input((4, 4, 1))
    x = layers.Flatten()(image)
    x = DropConnect(layers.Dense(8, "softmax", dtype="mixed_bfloat16"), 0.3, dtype=None)(x)
    report = to_litert(keras.Model(image, x), tmp_path / "low.tflite", "float32")
    assert report.largest_error["emotion"] < 1e-5


@on_tensorflow
def test_export_refuses_gaussian_inference_by_name(tmp_path: Path) -> None:
    from keras_affect.export import ConversionError, to_litert

    image = keras.Input((4, 4, 1))
    gaussian = DropConnect(layers.Dense(8), 0.3, inference="gaussian", name="drawn")
    model = keras.Model(image, gaussian(layers.Flatten()(image)), name="sampler")
    nested = keras.Model(image, keras.Sequential([model])(image), name="nested")
    for refused in (model, nested):
        with pytest.raises(ConversionError) as error:
            to_litert(refused, tmp_path / "a.tflite", "float32")
        assert str(error.value) == (
            f"{refused.name} can't be exported: its layer 'drawn' (DropConnect) draws random "
            'numbers at inference; build it with inference="mean", the weights are the same. '
            "Nothing was written"
        )
    assert not list(tmp_path.iterdir())
