"""DropConnect of a Dense as in the paper: a mask for each sample, and Gaussian inference."""

from __future__ import annotations

from math import erf

import numpy as np
import pytest
from keras import backend, initializers, ops

from keras_affect.layers import DropConnect
from tests.layers.drop_connect_cases import (
    finite_differences,
    fix,
    gradients,
    layers,
    make,
    numbers,
    on_tensorflow,
    record,
)

# === A mask for each sample


def by_numpy(
    inputs: np.ndarray, kernel: np.ndarray, bias: np.ndarray, masks: list[np.ndarray]
) -> np.ndarray:
    """Outputs `(batch, ..., units)` at rate 0.3, before the activation."""
    kernels = np.where(masks[0], kernel / 0.7, 0)
    biases = np.where(masks[1], bias / 0.7, 0) if len(masks) > 1 else [bias] * len(inputs)
    return np.stack([x @ k + b for x, k, b in zip(inputs, kernels, biases, strict=True)])


@pytest.mark.parametrize("case", ["dense", "dense of sequences"])
@pytest.mark.parametrize("drop_bias", [False, True])
def test_per_sample_against_numpy(
    case: str, drop_bias: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrapped, weights, inputs = make(case, rate=0.3, per_sample=True, drop_bias=drop_bias, seed=3)
    masks = record(wrapped, monkeypatch)
    outputs = numbers(wrapped(inputs, training=True))
    assert [mask.shape for mask in masks] == [
        (len(inputs), *weight.shape) for weight in weights[: 1 + drop_bias]
    ]
    assert (masks[0][0] != masks[0][1]).any()
    expected = by_numpy(inputs, *weights, masks)
    expected = np.tanh(expected) if case == "dense" else expected
    np.testing.assert_allclose(outputs, expected, atol=2e-6)


def test_per_sample_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    wrapped, weights, inputs = make("dense", rate=0.3, per_sample=True, drop_bias=True)
    rng = np.random.default_rng(4)
    masks = [rng.random((len(inputs), *weight.shape)) > 0.3 for weight in weights]
    # One weight that no sample keeps.
    masks[0][:, 0, 0] = False
    fix(wrapped, monkeypatch, masks)
    expected = finite_differences(
        lambda *weights: np.square(np.tanh(by_numpy(inputs, *weights, masks))).sum(), weights
    )
    found = gradients(wrapped, lambda: ops.sum(ops.square(wrapped(inputs, training=True))))
    for own, value in zip(found, expected, strict=True):
        np.testing.assert_allclose(own, value, atol=1e-4)
    assert found[0][0, 0] == 0
    assert np.count_nonzero(found[0]) > 10


@pytest.mark.parametrize("drop_bias", [False, True])
def test_keeps_mean_and_has_the_papers_variance(drop_bias: bool) -> None:
    wrapped, (kernel, bias), _ = make(
        "dense of sequences", rate=0.2, per_sample=True, drop_bias=drop_bias, seed=1
    )
    values = np.random.default_rng(0).normal(size=5).astype(np.float32)
    draws = 20_000
    drawn = numbers(wrapped(np.tile(values, (draws, 1)), training=True))
    variance = np.square(values) @ np.square(kernel) * 0.25
    if drop_bias:
        variance = variance + 0.25 * np.square(bias)
    error = np.sqrt(variance / draws)
    assert (np.abs(drawn.mean(0) - (values @ kernel + bias)) < 5 * error).all()
    np.testing.assert_allclose(drawn.var(0), variance, rtol=0.1)


@on_tensorflow
def test_per_sample_of_a_batch_of_unknown_size() -> None:
    import tensorflow as tf

    wrapped = DropConnect(layers.Dense(4, kernel_initializer="ones"), 0.5, per_sample=True, seed=0)
    wrapped.build((None, None, 30))

    @tf.function(input_signature=[tf.TensorSpec((None, None, 30))])
    def run(inputs: tf.Tensor) -> tf.Tensor:
        return wrapped(inputs, training=True)

    outputs = run(tf.ones((3, 2, 30)))
    assert outputs.shape == (3, 2, 4)
    assert (outputs[:, 0] == outputs[:, 1]).numpy().all()
    assert (outputs[0] != outputs[1]).numpy().any()
    assert run.get_concrete_function().output_shapes.as_list() == [None, None, 4]


# === Gaussian inference


def rectified_mean(mean: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """The expected ReLU of a Gaussian, in closed form."""
    z = mean / deviation
    below = 0.5 * (1 + np.vectorize(erf)(z / np.sqrt(2)))
    return mean * below + deviation * np.exp(-np.square(z) / 2) / np.sqrt(2 * np.pi)


@pytest.mark.parametrize("drop_bias", [False, True])
def test_gaussian_inference(drop_bias: bool) -> None:
    rng = np.random.default_rng(0)
    dense = layers.Dense(6, activation="relu")
    wrapped = DropConnect(
        dense,
        0.2,
        per_sample=True,
        drop_bias=drop_bias,
        inference="gaussian",
        samples=20_000,
        seed=0,
    )
    inputs = rng.normal(size=(4, 100)).astype(np.float32)
    wrapped.build(inputs.shape)
    kernel, bias = rng.normal(0, 0.2, (100, 6)), rng.normal(0, 0.5, 6)
    dense.set_weights([kernel, bias])
    mean = inputs @ kernel + bias
    # The paper's, of weights that are not divided: the unit's input over 1 - rate has this one.
    variance = 0.2 * 0.8 * (np.square(inputs) @ np.square(kernel) + drop_bias * np.square(bias))
    deviation = np.sqrt(variance) / 0.8
    outputs = numbers(wrapped(inputs, training=False))
    error = deviation / np.sqrt(20_000)
    assert (np.abs(outputs - rectified_mean(mean, deviation)) < 5 * error).all()
    # It is what networks with masks give on the average, where the mean network is off.
    masked = numbers(wrapped(np.repeat(inputs, 5000, axis=0), training=True))
    masked = masked.reshape(4, 5000, 6).mean(1)
    assert np.abs(masked - np.maximum(mean, 0)).max() > 0.2
    # Each side is an average of draws; beyond that, weights that are kept or not are not Gaussian.
    spread = 5 * deviation * (1 / np.sqrt(5000) + 1 / np.sqrt(20_000))
    assert (np.abs(masked - outputs) < spread + 0.01).all()
    assert (numbers(wrapped(inputs)) != outputs).any()
    assert wrapped.draws_at_inference


def test_gaussian_inference_averages_as_many_draws_as_asked_for() -> None:
    dense = layers.Dense(2000, kernel_initializer="ones")
    inputs = np.ones((1, 4), np.float32)
    spread = []
    for samples in (1, 16):
        wrapped = DropConnect(dense, 0.5, inference="gaussian", samples=samples, seed=0)
        spread.append(numbers(wrapped(inputs)).std())
    # Variance of a unit's input: 4 weights of 1 by 0.5 / 0.5.
    np.testing.assert_allclose(spread, [2, 0.5], rtol=0.1)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_gaussian_inference_in_half_precision(policy: str) -> None:
    # In float16 the square of 1e-4 is 0, and there would be no spread.
    dense = layers.Dense(2000, kernel_initializer=initializers.Constant(1e-4), dtype=policy)
    wrapped = DropConnect(dense, 0.5, inference="gaussian", samples=1, seed=0)
    outputs = wrapped(np.ones((1, 4), np.float32))
    assert backend.standardize_dtype(outputs.dtype) == wrapped.compute_dtype
    np.testing.assert_allclose(numbers(ops.cast(outputs, "float32")).std(), 2e-4, rtol=0.1)


def test_gaussian_inference_can_be_differentiated_at_0() -> None:
    wrapped = DropConnect(layers.Dense(3, activation="relu"), 0.5, inference="gaussian", samples=4)
    wrapped.build((2, 5))
    zeros = np.zeros((2, 5), np.float32)
    for gradient in gradients(wrapped, lambda: ops.sum(wrapped(zeros))):
        assert np.isfinite(gradient).all()
    np.testing.assert_allclose(numbers(wrapped(zeros)), 0, atol=1e-12)
