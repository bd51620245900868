"""What every public metric promises, on whatever backend runs."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from tests.contract.specimens import COMPILED, METRICS

keras = pytest.importorskip("keras")

every_metric = pytest.mark.parametrize("make", METRICS.values(), ids=METRICS)


def targets(count: int = 40) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    true = rng.uniform(-1, 1, (count, 2)).astype(np.float32)
    return true, (0.5 * true + rng.normal(0, 0.2, true.shape)).astype(np.float32)


@every_metric
def test_configuration_makes_the_same_metric(make):
    metric = make()
    text = json.dumps(keras.metrics.serialize(metric))
    again = keras.metrics.deserialize(json.loads(text))
    assert type(again) is type(metric)
    assert again.get_config() == metric.get_config()


@every_metric
def test_batches_and_reset_change_nothing(make):
    true, predicted = targets()
    whole, parts = make(), make()
    whole.update_state(true, predicted)
    for start, end in ((0, 1), (1, 8), (8, 40)):
        parts.update_state(true[start:end], predicted[start:end])
    assert abs(float(whole.result())) > 0.01
    assert float(parts.result()) == pytest.approx(float(whole.result()), abs=1e-5)
    expected = float(whole.result())
    whole.reset_state()
    assert float(whole.result()) != expected
    whole.update_state(true, predicted)
    assert float(whole.result()) == pytest.approx(expected, abs=1e-6)


@every_metric
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_dtypes_of_what_it_is_given(make, dtype):
    true, predicted = targets()
    exact, metric = make(), make()
    exact.update_state(true, predicted)
    metric.update_state(*(keras.ops.cast(values, dtype) for values in (true, predicted)))
    assert float(metric.result()) == pytest.approx(float(exact.result()), abs=0.02)


@every_metric
def test_sample_weights_and_missing_targets(make):
    true, predicted = targets()
    kept = np.arange(40) % 3 > 0
    expected = make()
    expected.update_state(true[kept], predicted[kept])
    weighted = make()
    weighted.update_state(true, predicted, sample_weight=kept.astype(np.float32))
    missing = make()
    missing.update_state(np.where(kept[:, None], true, np.nan), predicted)
    for metric in (weighted, missing):
        assert float(metric.result()) == pytest.approx(float(expected.result()), abs=1e-5)


def compiled_model(metric: Any, compiled: bool) -> Any:
    inputs = keras.Input((2,))
    model = keras.Model(inputs, keras.layers.Dense(2, activation="tanh")(inputs))
    model.compile("sgd", "mse", metrics=[metric], jit_compile=compiled)
    return model


@every_metric
@pytest.mark.parametrize("compiled", COMPILED)
def test_fit_and_evaluate(make, compiled):
    keras.utils.set_random_seed(0)
    true, predicted = targets()
    metric = make()
    model = compiled_model(metric, compiled)
    history = model.fit(predicted, true, batch_size=16, epochs=2, verbose=0)
    assert np.isfinite(history.history[metric.name]).all()
    found = model.evaluate(predicted, true, batch_size=7, verbose=0, return_dict=True)
    expected = make()
    expected.update_state(true, model.predict(predicted, verbose=0))
    assert found[metric.name] == pytest.approx(float(expected.result()), abs=1e-5)


@every_metric
def test_saved_without_custom_objects(make, tmp_path):
    keras.utils.set_random_seed(0)
    true, predicted = targets()
    model = compiled_model(make(), COMPILED[0])
    model.fit(predicted, true, verbose=0)
    expected = model.evaluate(predicted, true, verbose=0, return_dict=True)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    found = loaded.evaluate(predicted, true, verbose=0, return_dict=True)
    assert found.keys() == expected.keys()
    assert list(found.values()) == pytest.approx(list(expected.values()), abs=1e-5)
