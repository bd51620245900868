"""DropConnect of LSTM and GRU: states, masks, both directions, and the paths Keras may take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from keras_affect.layers import DropConnect
from tests.layers.drop_connect_cases import BACKEND, fix, layers, numbers, record


def some(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def test_one_mask_for_all_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    wrapped = DropConnect(layers.LSTM(3, return_sequences=True), 0.5, seed=0)
    wrapped.build((2, 5, 4))
    masks = record(wrapped, monkeypatch)
    whole = numbers(wrapped(some(2, 5, 4), training=True))
    assert [mask.shape for mask in masks] == [(3, 12)]
    # The first step sees a state of 0, and nothing of the recurrent kernel.
    np.testing.assert_allclose(numbers(wrapped(some(2, 5, 4)))[:, 0], whole[:, 0], atol=1e-6)
    # And each later one the same mask: a sequence in two parts, with the state handed over.
    fix(wrapped, monkeypatch, masks)
    wrapped.return_state = True
    first, *states = wrapped(some(2, 5, 4)[:, :2], training=True)
    second, *_ = wrapped(some(2, 5, 4)[:, 2:], initial_state=states, training=True)
    parts = np.concatenate([numbers(first), numbers(second)], axis=1)
    np.testing.assert_allclose(parts, whole, atol=1e-6)


def test_rolled_and_unrolled_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    mask = np.random.default_rng(0).random((3, 9)) > 0.3
    drawn = []
    for unroll in (False, True):
        wrapped = DropConnect(layers.GRU(3, unroll=unroll), 0.3)
        wrapped.build((2, 4, 5))
        wrapped.set_weights([some(*value.shape) for value in wrapped.get_weights()])
        fix(wrapped, monkeypatch, [mask])
        drawn.append(numbers(wrapped(some(2, 4, 5), training=True)))
    np.testing.assert_allclose(drawn[0], drawn[1], atol=1e-6)


@pytest.mark.parametrize("use_cudnn", ["auto", False, True])
def test_paths_of_the_backend(use_cudnn: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What Keras would do on its own, on weights dropped: fused kernels, or the error for none."""
    lstm = layers.LSTM(3, use_cudnn=use_cudnn)
    wrapped = DropConnect(lstm, 0.3, seed=0)
    wrapped.build((2, 4, 5))
    if use_cudnn is True and BACKEND != "torch":  # whose fused kernels run on a CPU too
        for layer in (lstm, wrapped):
            with pytest.raises(ValueError, match="cuDNN is not supported"):
                layer(some(2, 4, 5), training=True)
        return
    mask = np.random.default_rng(0).random((3, 12)) > 0.3
    fix(wrapped, monkeypatch, [mask])
    outputs = numbers(wrapped(some(2, 4, 5), training=True))
    kernel = lstm.cell.recurrent_kernel
    kernel.assign(np.where(mask, numbers(kernel) / 0.7, 0))
    np.testing.assert_allclose(outputs, numbers(lstm(some(2, 4, 5))), atol=1e-6)


# === States


def test_states_kept_between_calls() -> None:
    lstm = layers.LSTM(3, stateful=True)
    wrapped = DropConnect(lstm, 0.3, seed=0)
    inputs = np.ones((2, 4, 5), np.float32)
    first = numbers(wrapped(inputs, training=True))
    assert np.abs(first).max() > 0
    np.testing.assert_allclose(numbers(lstm.states[0]), first, atol=1e-6)
    # The next call goes on from there: as one that is handed the state.
    states = [np.array(numbers(state), np.float32) for state in lstm.states]
    going_on = numbers(wrapped(inputs))
    wrapped.reset_state()
    assert not np.abs(numbers(lstm.states[0])).any()
    np.testing.assert_allclose(going_on, numbers(wrapped(inputs, initial_state=states)), atol=1e-6)


def test_stateful_layers_train() -> None:
    # PyTorch's fused LSTM can't keep states in training, wrapped or not.
    lstm = layers.LSTM(3, stateful=True, use_cudnn=False)
    model = keras.Sequential([keras.Input(batch_shape=(2, 4, 5)), DropConnect(lstm, 0.3)])
    model.compile("sgd", "mse", jit_compile=BACKEND == "jax")
    before = model.get_weights()
    model.fit(some(4, 4, 5), np.ones((4, 3)), batch_size=2, verbose=0, shuffle=False)
    if BACKEND != "jax":  # in whose `fit` Keras forgets the states of recurrent layers
        assert np.abs(numbers(lstm.states[0])).max() > 0
    assert all((new != old).any() for new, old in zip(model.get_weights(), before, strict=True))


def test_initial_state_and_returned_states() -> None:
    wrapped = DropConnect(layers.LSTM(3, return_state=True), 0.3, seed=0)
    start = [keras.Input((3,)), keras.Input((3,))]
    sequence = keras.Input((None, 5))
    outputs = wrapped(sequence, initial_state=start)
    assert [tuple(output.shape) for output in outputs] == [(None, 3)] * 3
    model = keras.Model([sequence, *start], outputs)
    values = [some(2, 4, 5), some(2, 3), some(2, 3) + 1]
    expected = wrapped.layer(values[0], initial_state=values[1:])
    for found, value in zip(model(values), expected, strict=True):
        np.testing.assert_allclose(numbers(found), numbers(value), atol=1e-6)
    assert (numbers(model(values, training=True)[0]) != numbers(model(values)[0])).any()


# === Masks


def test_masked_steps() -> None:
    embedding = layers.Embedding(10, 5, mask_zero=True)
    wrapped = DropConnect(layers.LSTM(3, return_sequences=True), 0.3, seed=0)
    model = keras.Sequential([keras.Input((None,), dtype="int32"), embedding, wrapped])
    words = np.array([[3, 4, 0, 0], [3, 4, 5, 6]])
    for training in (False, True):
        outputs = numbers(model(words, training=training))
        np.testing.assert_array_equal(outputs[0, 1], outputs[0, 3])
        assert (outputs[1, 1] != outputs[1, 3]).any()
    assert wrapped.compute_mask(None, "a mask") == "a mask"
    wrapped.return_sequences = False
    assert wrapped.compute_mask(None, "a mask") is None


# === Both directions


@pytest.mark.parametrize("recurrent", [layers.LSTM, layers.GRU])
def test_bidirectional(recurrent: Any, tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)

    def network(wrap: bool) -> Any:
        layer = recurrent(3, return_sequences=True)
        return keras.Sequential(
            [
                keras.Input((None,), dtype="int32"),
                layers.Embedding(9, 4, mask_zero=True),
                layers.Bidirectional(DropConnect(layer, 0.4, seed=1) if wrap else layer),
            ]
        )

    wrapped, plain = network(True), network(False)
    weights = [some(*value.shape) for value in plain.get_weights()]
    wrapped.set_weights(weights)
    plain.set_weights(weights)
    both = wrapped.layers[1]
    assert (both.forward_layer.go_backwards, both.backward_layer.go_backwards) == (False, True)
    assert both.forward_layer.layer is not both.backward_layer.layer
    words = np.array([[1, 2, 3, 0], [4, 5, 0, 0]])
    whole = numbers(plain(words))
    np.testing.assert_allclose(numbers(wrapped(words)), whole, atol=1e-6)
    # Masked steps are 0, by what Bidirectional sets in the layer.
    assert not whole[0, 3].any()
    trained = numbers(wrapped(words, training=True))
    # Each direction's first step has no state yet, and is whole.
    np.testing.assert_allclose(trained[:, 0, :3], whole[:, 0, :3], atol=1e-6)
    np.testing.assert_allclose(trained[0, 2, 3:], whole[0, 2, 3:], atol=1e-6)
    assert (trained[:, 1, :3] != whole[:, 1, :3]).all()
    assert (trained[:, 0, 3:] != whole[:, 0, 3:]).all()
    wrapped.save(tmp_path / "both.keras")
    loaded = keras.saving.load_model(tmp_path / "both.keras")
    np.testing.assert_allclose(numbers(loaded(words)), whole, atol=1e-6)


def test_bidirectional_with_a_backward_layer_and_states() -> None:
    forward = DropConnect(layers.LSTM(3, stateful=True), 0.3)
    backward = DropConnect(layers.LSTM(3, stateful=True, go_backwards=True), 0.3)
    both = layers.Bidirectional(forward, backward_layer=backward)
    assert tuple(both(some(2, 4, 5), training=True).shape) == (2, 6)
    assert all(np.abs(numbers(state)).max() > 0 for state in both.states)
    both.reset_state()
    assert not any(np.abs(numbers(state)).any() for state in both.states)


def test_a_dense_has_no_attributes_of_recurrent_layers() -> None:
    wrapped = DropConnect(layers.Dense(2))
    for name in ("go_backwards", "return_sequences", "states", "reset_state", "use_cudnn"):
        assert not hasattr(wrapped, name)
    with pytest.raises(AttributeError, match="has no attribute 'stateful'"):
        _ = wrapped.stateful
