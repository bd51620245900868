"""`SignAgreement` and `RootMeanSquaredError` beside NumPy; concordance is in test_metrics.py."""

import json

import keras
import numpy as np
import pytest

from keras_affect import emotions
from keras_affect.metrics import RootMeanSquaredError, SignAgreement
from tests.test_metrics import streamed

NAN = np.nan
AXES = {None: slice(0, 2), "valence": slice(0, 1), "arousal": slice(1, 2)}
METRICS = [SignAgreement, RootMeanSquaredError]
each_metric = pytest.mark.parametrize("metric", METRICS)


def reference(metric, true, predicted, weight=None, axis=None, middle=0.0):
    """Label by label."""
    weight = np.ones(len(true)) if weight is None else weight
    weight = np.broadcast_to(weight[:, None] if weight.ndim == 1 else weight, true.shape)
    parts = [values[:, AXES[axis]].ravel().astype(float) for values in (true, predicted, weight)]
    total = count = 0.0
    for t, p, w in zip(*parts, strict=True):
        if np.isnan(t) or w == 0:
            continue
        agree = np.sign(t - middle) == np.sign(p - middle)
        total += w * (float(agree) if metric is SignAgreement else (t - p) ** 2)
        count += w
    return total / count if metric is SignAgreement else np.sqrt(total / count)


@pytest.fixture(scope="module")
def pairs():
    generator = np.random.default_rng(0)
    true = generator.uniform(-1, 1, (133, 2))
    predicted = np.tanh(0.8 * true + generator.normal(0.1, 0.4, true.shape))
    true[:20] = 0  # neutral
    true[::7, 0] = NAN
    true[5] = NAN
    return true.astype(np.float32), predicted.astype(np.float32)


@each_metric
@pytest.mark.parametrize("axis", list(AXES))
@pytest.mark.parametrize("batch", [1, 8, 133])
def test_the_whole_set_at_any_batch_size(metric, axis, batch, pairs):
    true, predicted = pairs
    weight = np.random.default_rng(1).choice([0, 0.5, 1, 3], len(true)).astype(np.float32)
    made = metric(axis)
    assert made.name.endswith(f"_{axis}" if axis else made.name)
    assert streamed(made, true, predicted, batch=batch) == pytest.approx(
        reference(metric, true, predicted, axis=axis), rel=1e-5
    )
    expected = reference(metric, true, predicted, weight, axis)
    assert abs(expected - reference(metric, true, predicted, axis=axis)) > 1e-4
    found = streamed(metric(axis), true, predicted, weight, batch)
    assert found == pytest.approx(expected, rel=1e-5)


@each_metric
def test_nothing_seen_is_0(metric, pairs):
    made = metric()
    assert float(made.result()) == 0
    made.update_state(np.full((4, 2), NAN, np.float32), np.zeros((4, 2), np.float32))
    assert float(made.result()) == 0
    streamed(made, *pairs)
    made.reset_state()
    assert float(made.result()) == 0


@pytest.mark.parametrize("scale", ["five", "afew_va", "sam", (0, 1)])
def test_any_scale(scale, pairs):
    true, predicted = pairs
    low, high = emotions.scale_bounds(scale)
    there = np.isfinite(true).all(axis=1)
    true, predicted = (
        emotions.convert_scale(values[there], "unit", scale) for values in (true, predicted)
    )
    in_unit = pairs[0][there], pairs[1][there]
    # Rounding of 1..9 moves no label off the middle.
    agreement = streamed(SignAgreement(scale=scale), true, predicted)
    assert agreement == pytest.approx(reference(SignAgreement, *in_unit), abs=1e-6)
    error = streamed(RootMeanSquaredError(source=scale), true, predicted)
    expected = reference(RootMeanSquaredError, *in_unit)
    assert error == pytest.approx(expected * (high - low) / 2, rel=1e-4)
    # Reported in another scale than that of the labels.
    back = streamed(RootMeanSquaredError(source=scale, target="unit"), true, predicted)
    assert back == pytest.approx(expected, rel=1e-4)
    there_again = streamed(RootMeanSquaredError(target=scale), *in_unit)
    assert there_again == pytest.approx(error, rel=1e-4)


def test_the_middle_agrees_with_itself_alone():
    true = np.array([[0, 0], [0.5, -0.5]], np.float32)
    assert streamed(SignAgreement(), true, true) == 1
    assert streamed(SignAgreement(), true, true + 0.01) == pytest.approx(0.5)
    assert streamed(SignAgreement(), true, -true) == pytest.approx(0.5)


def test_nan_predictions():
    true = np.full((2, 2), 0.5, np.float32)
    predicted = np.array([[NAN, 0.5], [0.5, 0.5]], np.float32)
    assert streamed(SignAgreement(), true, predicted) == 0.75
    assert np.isnan(streamed(RootMeanSquaredError(), true, predicted))


@each_metric
def test_config_round_trip(metric, pairs):
    given = {"scale": "five"} if metric is SignAgreement else {"source": "five", "target": [0, 1]}
    made = metric("arousal", **given)
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(made)))
    again = keras.saving.deserialize_keras_object(config)
    assert type(again) is metric
    assert again.get_config() == made.get_config()
    assert streamed(again, *pairs) == streamed(made, *pairs) != 0


@each_metric
def test_bad_arguments(metric):
    with pytest.raises(ValueError, match=r'argument `axis`\. Expected "valence", "arousal" or'):
        metric("dominance")
    name = "scale" if metric is SignAgreement else "source"
    with pytest.raises(ValueError, match=rf"argument `{name}`\. Expected one of 'unit'"):
        metric(**{name: "eleven"})
    with pytest.raises(ValueError, match=r"argument `y_pred`\. Expected shape \(\.\.\., 2\)"):
        metric().update_state(np.zeros((4, 2)), np.zeros((4, 1)))


def test_in_a_compiled_model_and_what_is_better(pairs):
    true, predicted = pairs
    model = keras.Sequential([keras.Input((2,)), keras.layers.Activation("linear")])
    model.compile(metrics=[SignAgreement(), RootMeanSquaredError("valence")], loss="mse")
    logs = model.evaluate(predicted, true, batch_size=50, verbose=0, return_dict=True)
    assert logs["sign_agreement"] == pytest.approx(
        reference(SignAgreement, true, predicted), abs=1e-6
    )
    assert logs["root_mean_squared_error_valence"] == pytest.approx(
        reference(RootMeanSquaredError, true, predicted, axis="valence"), abs=1e-5
    )


@pytest.mark.parametrize(
    ("metric", "better", "worse"),
    [(SignAgreement, 0.4, 0.2), (RootMeanSquaredError, 0.2, 0.4)],
)
def test_callbacks_know_which_way_is_better(metric, better, worse, pairs):
    model = keras.Sequential(
        [keras.Input((2,)), keras.layers.Dense(2, kernel_initializer="identity")]
    )
    # Nothing is learnt, so the second epoch is no better than the first.
    model.compile(keras.optimizers.SGD(0.0), loss="mse", metrics=[metric()], jit_compile=False)
    stop = keras.callbacks.EarlyStopping(f"val_{metric().name}", patience=1)
    inputs, targets = pairs[1], np.nan_to_num(pairs[0])
    model.fit(inputs, targets, validation_data=pairs[::-1], epochs=3, verbose=0, callbacks=[stop])
    assert stop.stopped_epoch == 1
    assert stop.monitor_op(better, worse)
    assert not stop.monitor_op(worse, better)
