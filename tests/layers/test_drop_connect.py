"""DropConnect against NumPy: outputs, gradients, and the mean over many masks."""

from __future__ import annotations

import json
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from keras_affect.layers import DropConnect
from tests.layers import drop_connect_numpy as reference
from tests.layers.drop_connect_cases import (
    CASES,
    dropped,
    each_case,
    finite_differences,
    fix,
    gradients,
    layers,
    make,
    numbers,
    record,
)

# === What it computes


@each_case
@pytest.mark.parametrize("drop_bias", [False, True])
def test_is_the_layer_with_weights_dropped(
    case: str, drop_bias: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrapped, weights, inputs = make(case, rate=0.3, drop_bias=drop_bias, seed=3)
    whole = CASES[case].by_numpy(inputs, *weights)
    masks = record(wrapped, monkeypatch)
    outputs = numbers(wrapped(inputs, training=True))
    # One mask, whatever the samples, positions and steps.
    assert [mask.shape for mask in masks] == [
        weights[CASES[case].dropped].shape,
        *([weights[-1].shape] if drop_bias else []),
    ]
    assert not masks[0].all()
    expected = CASES[case].by_numpy(inputs, *dropped(case, weights, masks, 0.3))
    np.testing.assert_allclose(outputs, expected, atol=5e-6)
    assert np.abs(outputs - whole).max() > 0.01
    # Its own weights are as they were, and so is inference, which draws nothing.
    state = numbers(wrapped.seed_generator.state)
    np.testing.assert_allclose(numbers(wrapped(inputs)), whole, atol=5e-6)
    np.testing.assert_array_equal(numbers(wrapped.seed_generator.state), state)
    assert len(masks) == 1 + drop_bias


def test_rate_of_0_is_the_layer() -> None:
    wrapped, weights, inputs = make("dense", rate=0, inference="gaussian")
    for training in (False, True):
        np.testing.assert_allclose(
            numbers(wrapped(inputs, training=training)),
            CASES["dense"].by_numpy(inputs, *weights),
            atol=1e-6,
        )


class Doubled(layers.Dense):
    def call(self, inputs: Any, training: bool | None = None) -> Any:
        return 2 * super().call(inputs)


def test_runs_what_a_subclass_adds() -> None:
    wrapped = DropConnect(Doubled(3, kernel_initializer="ones", use_bias=False), 0.5, seed=0)
    outputs = numbers(wrapped(np.eye(4, dtype=np.float32), training=True))
    assert set(outputs.ravel()) == {0, 4}


# === Gradients


@each_case
def test_gradients_reach_kept_weights_alone(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against finite differences of the layer in NumPy, by all its weights."""
    wrapped, weights, inputs = make(case, rate=0.4, drop_bias=True)
    rng = np.random.default_rng(4)
    masks = [rng.random(weights[i].shape) > 0.4 for i in (CASES[case].dropped, -1)]
    fix(wrapped, monkeypatch, masks)
    direction = rng.normal(size=wrapped.compute_output_shape(inputs.shape))

    def loss_of(*weights: np.ndarray) -> float:
        outputs = CASES[case].by_numpy(inputs, *dropped(case, list(weights), masks, 0.4))
        return float(np.sum(outputs * direction))

    expected = finite_differences(loss_of, weights)
    weight = ops.convert_to_tensor(direction.astype(np.float32))
    found = gradients(wrapped, lambda: ops.sum(wrapped(inputs, training=True) * weight))
    for own, value in zip(found, expected, strict=True):
        np.testing.assert_allclose(own, value, atol=1e-4)
    for index, mask in zip((CASES[case].dropped, -1), masks, strict=True):
        assert (found[index][~mask] == 0).all()
        assert (~mask).any()
        assert (found[index][mask] != 0).any()


# === Over many draws


@pytest.mark.parametrize("case", ["dense of sequences", "causal conv1d", "conv2d", "depthwise"])
def test_keeps_the_mean_of_what_is_linear(case: str) -> None:
    wrapped, weights, inputs = make(case, rate=0.2, drop_bias=True, seed=1)
    wrapped.layer.activation = None
    linear = {"conv2d": lambda *a: reference.conv2d(*a, strides=2)}
    expected = linear.get(case, CASES[case].by_numpy)(inputs, *weights)
    drawn = np.stack([numbers(wrapped(inputs, training=True)) for _ in range(150)])
    error = drawn.std(0) / np.sqrt(len(drawn))
    assert (np.abs(drawn.mean(0) - expected) < 5 * error).all()
    # So many draws do show a kernel that is not divided by 0.8.
    assert (np.abs(drawn.mean(0) - 0.8 * expected) > 6 * error).any()


@pytest.mark.parametrize("case", ["unrolled lstm", "unrolled gru, reset before"])
def test_mean_of_recurrent_layers_against_numpys(case: str) -> None:
    wrapped, weights, inputs = make(case, rate=0.2, seed=1)
    kept = np.random.default_rng(0).random((20_000, *weights[1].shape)) >= 0.2
    by_numpy = CASES[case].by_numpy(inputs, weights[0], weights[1] * kept / 0.8, weights[2])
    drawn = np.stack([numbers(wrapped(inputs, training=True)) for _ in range(100)])
    error = drawn.std(0) / np.sqrt(len(drawn))
    assert (np.abs(drawn.mean(0) - by_numpy.mean(0)) < 5 * error).all()
    np.testing.assert_allclose(drawn.std(0), by_numpy.std(0), rtol=0.35)


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


# === What it says of itself


@each_case
def test_shapes(case: str) -> None:
    wrapped, weights, inputs = make(case)
    expected = (None, *CASES[case].by_numpy(inputs, *weights).shape[1:])
    symbolic = keras.KerasTensor((None, *inputs.shape[1:]))
    assert tuple(wrapped(symbolic).shape) == expected
    assert tuple(wrapped.compute_output_shape(symbolic.shape)) == expected
    # The wrapped layer's weights and no others.
    assert [id(v) for v in wrapped.weights] == [id(v) for v in wrapped.layer.weights]


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


def test_supports_masks_where_the_layer_does() -> None:
    assert DropConnect(layers.Dense(2)).supports_masking
    assert not DropConnect(layers.Conv2D(2, 1)).supports_masking
