"""What the tests of DropConnect share: wrapped layers of every kind, their masks and gradients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from keras_affect.layers import DropConnect
from tests.layers import drop_connect_numpy as reference

BACKEND = keras.backend.backend()
on_tensorflow = pytest.mark.skipif(
    BACKEND != "tensorflow", reason="tf.function, tf.distribute and export are TensorFlow's"
)
layers = keras.layers


@dataclass(frozen=True)
class Case:
    """A layer to wrap.

    Attributes:
        construct: Makes the layer; takes `name` and `dtype`.
        shape: Of a batch for it.
        by_numpy: The layer in NumPy: inputs and `get_weights()` to outputs.
        dropped: Which of its weights is dropped; the bias, with `drop_bias`, is the last.
    """

    construct: Callable[..., Any]
    shape: tuple[int, ...]
    by_numpy: Callable[..., np.ndarray]
    dropped: int = 0


CASES: dict[str, Case] = {
    "dense": Case(
        lambda **k: layers.Dense(4, activation="tanh", **k),
        (3, 5),
        lambda x, kernel, bias: np.tanh(x @ kernel + bias),
    ),
    "dense of sequences": Case(
        lambda **k: layers.Dense(4, **k), (3, 2, 6, 5), lambda x, kernel, bias: x @ kernel + bias
    ),
    "causal conv1d": Case(
        lambda **k: layers.Conv1D(4, 3, padding="causal", **k), (3, 7, 5), reference.causal_conv1d
    ),
    "conv2d": Case(
        lambda **k: layers.Conv2D(4, 3, strides=2, activation="tanh", **k),
        (3, 7, 7, 2),
        lambda *a: np.tanh(reference.conv2d(*a, strides=2)),
    ),
    "grouped conv2d": Case(
        lambda **k: layers.Conv2D(4, 3, groups=2, **k),
        (3, 5, 5, 2),
        lambda *a: reference.conv2d(*a, groups=2),
    ),
    "channels first": Case(
        lambda **k: layers.Conv2D(4, 3, data_format="channels_first", **k),
        (3, 2, 5, 5),
        lambda x, *a: np.moveaxis(reference.conv2d(np.moveaxis(x, 1, -1), *a), -1, 1),
    ),
    "depthwise": Case(
        lambda **k: layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same", **k),
        (3, 5, 5, 2),
        reference.depthwise_conv2d,
    ),
    "lstm": Case(
        lambda **k: layers.LSTM(4, return_sequences=True, **k),
        (3, 4, 5),
        lambda *a: np.stack(reference.lstm(*a), axis=-2),
        dropped=1,
    ),
    "unrolled lstm": Case(
        lambda **k: layers.LSTM(4, unroll=True, **k),
        (3, 4, 5),
        lambda *a: reference.lstm(*a)[-1],
        dropped=1,
    ),
    "gru": Case(
        lambda **k: layers.GRU(4, return_sequences=True, **k),
        (3, 4, 5),
        lambda *a: np.stack(reference.gru(*a), axis=-2),
        dropped=1,
    ),
    "unrolled gru, reset before": Case(
        lambda **k: layers.GRU(4, unroll=True, reset_after=False, **k),
        (3, 4, 5),
        lambda *a: reference.gru(*a, reset_after=False)[-1],
        dropped=1,
    ),
}
each_case = pytest.mark.parametrize("case", CASES)


def make(name: str, **arguments: Any) -> tuple[DropConnect, list[np.ndarray], np.ndarray]:
    """A wrapped layer, its weights, all different and none near 0, and a batch."""
    case = CASES[name]
    wrapped = DropConnect(case.construct(name="wrapped"), **arguments)
    wrapped.build(case.shape)
    rng = np.random.default_rng(1)
    wrapped.set_weights(
        [
            rng.choice([-1, 1], value.shape) * rng.uniform(0.1, 0.9, value.shape)
            for value in wrapped.get_weights()
        ]
    )
    weights = [np.asarray(value, np.float64) for value in wrapped.get_weights()]
    return wrapped, weights, rng.normal(size=case.shape).astype(np.float32)


def dropped(
    name: str, weights: list[np.ndarray], masks: list[np.ndarray], rate: float
) -> list[np.ndarray]:
    """The weights with masks applied: to the kernel, and to the bias if there is a second one."""
    weights = list(weights)
    for index, mask in zip((CASES[name].dropped, -1), masks, strict=False):
        weights[index] = np.where(mask, weights[index] / (1 - rate), 0)
    return weights


def numbers(tensor: Any) -> np.ndarray:
    return np.asarray(ops.convert_to_numpy(tensor), np.float64)


def record(layer: DropConnect, monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """The masks that eager calls draw, True where a weight is kept."""
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
        mask = given.pop(0)
        assert mask.shape == tuple(shape)
        return ops.convert_to_tensor(mask)

    monkeypatch.setattr(layer, "_draw", fixed)


def gradients(layer: Any, loss_of: Callable[[], Any]) -> list[np.ndarray]:
    """Of a loss by a layer's trainable variables, by the backend's own means."""
    by = layer.trainable_variables
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


def finite_differences(loss_of: Callable[..., float], values: list[np.ndarray]) -> list[np.ndarray]:
    """Of a loss in NumPy's float64 by each of its values."""
    found = [np.empty_like(value) for value in values]
    for position, value in enumerate(values):
        for index in np.ndindex(*value.shape):
            sides = []
            for step in (1e-5, -1e-5):
                moved = value.copy()
                moved[index] += step
                sides.append(loss_of(*values[:position], moved, *values[position + 1 :]))
            found[position][index] = (sides[0] - sides[1]) / 2e-5
    return found
