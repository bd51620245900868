"""What every public loss promises, on whatever backend runs."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from tests.contract.specimens import COMPILED, LOSSES, LOSSES_OF_POINTS

keras = pytest.importorskip("keras")

every_loss = pytest.mark.parametrize(("label", "make"), LOSSES.items(), ids=LOSSES)


def is_of_points(label: str) -> bool:
    return label in LOSSES_OF_POINTS


def targets(label: str, count: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Labels, a quarter of them missing, and predictions."""
    rng = np.random.default_rng(0)
    if is_of_points(label):
        true = rng.uniform(-1, 1, (count, 2))
        predicted = 0.5 * true + rng.normal(0, 0.2, true.shape)
        true[::4] = np.nan
    else:
        true, predicted = rng.dirichlet(np.full(8, 0.3), (2, count))
        predicted = 0.9 * predicted + 0.1 / 8
        true[::4] = 0
    return true.astype(np.float32), predicted.astype(np.float32)


def compiled_model(label: str, loss: Any, compiled: bool) -> Any:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4,))
    activation, units = ("tanh", 2) if is_of_points(label) else ("softmax", 8)
    model = keras.Model(inputs, keras.layers.Dense(units, activation)(inputs))
    model.compile(keras.optimizers.SGD(0.1), loss, jit_compile=compiled)
    return model


def features(count: int = 40) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(count, 4)).astype(np.float32)


def value(loss: Any, *arguments: Any) -> float:
    return float(keras.ops.convert_to_numpy(loss(*arguments)))


@every_loss
def test_configuration_makes_the_same_loss(label, make):
    loss = make()
    text = json.dumps(keras.losses.serialize(loss))
    again = keras.losses.deserialize(json.loads(text))
    assert type(again) is type(loss)
    assert again.get_config() == loss.get_config()
    assert value(again, *targets(label)) == value(loss, *targets(label)) > 0.01


@every_loss
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_dtypes_of_what_it_is_given(label, make, dtype):
    true, predicted = targets(label)
    found = value(make(), *(keras.ops.cast(values, dtype) for values in (true, predicted)))
    assert found == pytest.approx(value(make(), true, predicted), rel=0.03)


@every_loss
@pytest.mark.parametrize("compiled", COMPILED)
def test_fit_with_missing_labels(label, make, compiled):
    model = compiled_model(label, make(), compiled)
    true, _ = targets(label)
    before = model.evaluate(features(), true, batch_size=40, verbose=0)
    history = model.fit(features(), true, batch_size=20, epochs=8, verbose=0).history["loss"]
    assert np.isfinite(history).all()
    assert model.evaluate(features(), true, batch_size=40, verbose=0) < before


@every_loss
def test_saved_without_custom_objects(label, make, tmp_path):
    model = compiled_model(label, make(), COMPILED[0])
    true, _ = targets(label)
    expected = model.evaluate(features(), true, batch_size=40, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert type(loaded.loss) is type(make())
    found = loaded.evaluate(features(), true, batch_size=40, verbose=0)
    assert found == pytest.approx(expected, rel=1e-5)
