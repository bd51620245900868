import importlib.util
import json
import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest

keras = pytest.importorskip("keras")

from keras_affect.metrics import ConcordanceCorrelation  # noqa: E402


def concordance(true, predicted, weight=None):
    """Lin's coefficient of one column, value by value, in double precision."""
    weight = [1.0] * len(true) if weight is None else weight
    rows = [
        (float(t), float(p), float(w))
        for t, p, w in zip(true, predicted, weight, strict=True)
        if w and not np.isnan(t)
    ]
    total = sum(w for _, _, w in rows)
    true_mean = sum(w * t for t, _, w in rows) / total
    predicted_mean = sum(w * p for _, p, w in rows) / total
    true_variance = sum(w * (t - true_mean) ** 2 for t, _, w in rows) / total
    predicted_variance = sum(w * (p - predicted_mean) ** 2 for _, p, w in rows) / total
    covariance = sum(w * (t - true_mean) * (p - predicted_mean) for t, p, w in rows) / total
    return 2 * covariance / (true_variance + predicted_variance + (true_mean - predicted_mean) ** 2)


def both(true, predicted, weight=None):
    weight = np.ones(len(true)) if weight is None else weight
    columns = np.broadcast_to(weight[:, None] if weight.ndim == 1 else weight, true.shape)
    return np.mean([concordance(true[:, i], predicted[:, i], columns[:, i]) for i in (0, 1)])


def streamed(metric, true, predicted, weight=None, batch=128):
    for start in range(0, len(true), batch):
        part = slice(start, start + batch)
        metric.update_state(true[part], predicted[part], None if weight is None else weight[part])
    return float(keras.ops.convert_to_numpy(metric.result()))


@pytest.fixture(scope="module")
def pairs():
    """Targets and predictions whose batches differ: sorted, so that no batch is like another."""
    generator = np.random.default_rng(0)
    true = np.sort(generator.uniform(-1, 1, (133, 2)), axis=0)
    predicted = np.tanh(0.8 * true + generator.normal(0.1, 0.4, true.shape))
    return true.astype(np.float32), predicted.astype(np.float32)


@pytest.mark.parametrize("batch", [1, 8, 128, 133])
def test_the_whole_set_at_any_batch_size(pairs, batch):
    true, predicted = pairs
    expected = both(true, predicted)
    assert 0.5 < expected < 0.95
    assert streamed(ConcordanceCorrelation(), true, predicted, batch=batch) == pytest.approx(
        expected, abs=1e-6
    )


def test_a_mean_of_batches_would_be_another_number(pairs):
    true, predicted = pairs
    starts = range(0, len(true), 8)
    mean = np.mean([both(true[s : s + 8], predicted[s : s + 8]) for s in starts])
    assert abs(mean - both(true, predicted)) > 0.1


def test_axis(pairs):
    true, predicted = pairs
    assert abs(both(true, predicted) - concordance(true[:, 0], predicted[:, 0])) > 1e-3
    for column, axis in enumerate(("valence", "arousal")):
        metric = ConcordanceCorrelation(axis=axis)
        assert metric.name == f"concordance_correlation_{axis}"
        assert streamed(metric, true, predicted) == pytest.approx(
            concordance(true[:, column], predicted[:, column]), abs=1e-6
        )


@pytest.mark.parametrize("batch", [1, 8, 128])
def test_sample_weights(pairs, batch):
    true, predicted = pairs
    weight = np.random.default_rng(1).choice([0, 0.5, 1, 3], len(true)).astype(np.float32)
    expected = both(true, predicted, weight)
    assert abs(expected - both(true, predicted)) > 1e-4
    value = streamed(ConcordanceCorrelation(), true, predicted, weight, batch)
    assert value == pytest.approx(expected, abs=1e-6)


def test_weights_of_each_axis(pairs):
    true, predicted = pairs
    weight = np.random.default_rng(2).uniform(0, 2, true.shape).astype(np.float32)
    assert streamed(ConcordanceCorrelation(), true, predicted, weight, 8) == pytest.approx(
        both(true, predicted, weight), abs=1e-6
    )


def test_an_integer_weight_repeats_the_sample(pairs):
    true, predicted = (values[:50] for values in pairs)
    repeats = np.arange(50) % 3
    weighted = streamed(ConcordanceCorrelation(), true, predicted, repeats.astype("float32"), 7)
    repeated = streamed(
        ConcordanceCorrelation(), true.repeat(repeats, 0), predicted.repeat(repeats, 0), batch=7
    )
    assert weighted == pytest.approx(repeated, abs=1e-6)


@pytest.mark.parametrize("batch", [1, 8, 128])
def test_missing_targets_are_left_out_axis_by_axis(pairs, batch):
    true, predicted = pairs
    true = true.copy()
    true[::5, 0] = np.nan
    true[:128] = np.nan  # a whole first batch, at every batch size
    true[-1] = np.nan
    value = streamed(ConcordanceCorrelation(), true, predicted, batch=batch)
    assert value == pytest.approx(both(true, predicted), abs=1e-6)


def test_nan_predictions_show_unless_left_out(pairs):
    true, predicted = (values.copy() for values in pairs)
    expected = both(true[1:], predicted[1:])
    predicted[0] = np.nan
    assert np.isnan(streamed(ConcordanceCorrelation(), true, predicted))
    weight = np.ones(len(true), np.float32)
    weight[0] = 0
    weighted = streamed(ConcordanceCorrelation(), true, predicted, weight)
    assert weighted == pytest.approx(expected, abs=1e-6)
    true[0] = np.nan
    assert streamed(ConcordanceCorrelation(), true, predicted) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("constant", [0.0, 0.1, -0.7, 1e4])
@pytest.mark.parametrize("batch", [1, 8, 128])
def test_one_and_the_same_number_is_0(constant, batch):
    # 0 / 0; rounding must not make it 1.
    same = np.full((133, 2), constant, np.float32)
    assert streamed(ConcordanceCorrelation(), same, same, batch=batch) == 0


def test_a_constant_beside_what_varies_is_0(pairs):
    true, _ = pairs
    same = np.full_like(true, 0.1)
    assert streamed(ConcordanceCorrelation(), true, same) == pytest.approx(0, abs=1e-6)
    assert streamed(ConcordanceCorrelation(), same, true) == pytest.approx(0, abs=1e-6)


def test_nothing_seen_is_0():
    metric = ConcordanceCorrelation()
    assert float(metric.result()) == 0
    metric.update_state(np.full((4, 2), np.nan, np.float32), np.zeros((4, 2), np.float32))
    assert float(metric.result()) == 0


@pytest.mark.parametrize("batch", [1, 8, 128])
@pytest.mark.parametrize(("offset", "tolerance"), [(100, 1e-5), (1e4, 1e-4)])
def test_far_from_0(offset, tolerance, batch):
    generator = np.random.default_rng(3)
    true = generator.normal(size=(300, 2))
    predicted = true + generator.normal(size=true.shape)
    true, predicted = ((values + offset).astype(np.float32) for values in (true, predicted))
    expected = both(true, predicted)
    assert expected == pytest.approx(2 / 3, abs=0.1)
    value = streamed(ConcordanceCorrelation(), true, predicted, batch=batch)
    assert value == pytest.approx(expected, abs=tolerance)


def test_raw_sums_would_not_hold_there():
    # What the merging of co-moments is for: float32 sums of products lose every digit.
    values = (np.random.default_rng(3).normal(size=300) + 1e4).astype(np.float32)
    raw = np.mean(values * values, dtype=np.float32) - np.mean(values, dtype=np.float32) ** 2
    assert abs(raw - values.var(dtype=np.float64)) > 0.5


@pytest.mark.parametrize(("factor", "expected"), [(1, 1), (-1, -1)])
def test_both_ends(pairs, factor, expected):
    true = pairs[0] - pairs[0].mean(axis=0)
    assert streamed(ConcordanceCorrelation(), true, factor * true) == pytest.approx(
        expected, abs=1e-5
    )


def test_reset_state(pairs):
    true, predicted = pairs
    metric = ConcordanceCorrelation()
    streamed(metric, predicted[:100] * 3, true[:100], batch=50)
    metric.reset_state()
    assert float(metric.result()) == 0
    assert streamed(metric, true, predicted) == pytest.approx(both(true, predicted), abs=1e-6)


def test_sequences_count_every_step(pairs):
    true, predicted = (values[:130].reshape(13, 10, 2) for values in pairs)
    weight = np.random.default_rng(4).uniform(0, 1, (13, 10)).astype(np.float32)
    value = streamed(ConcordanceCorrelation(), true, predicted, weight, batch=8)
    flat = both(true.reshape(-1, 2), predicted.reshape(-1, 2), weight.reshape(-1))
    assert value == pytest.approx(flat, abs=1e-6)
    value = streamed(ConcordanceCorrelation(), true, predicted, weight[:, 0], batch=8)
    flat = both(true.reshape(-1, 2), predicted.reshape(-1, 2), weight[:, 0].repeat(10))
    assert value == pytest.approx(flat, abs=1e-6)


@pytest.mark.parametrize("axis", [None, "valence", "arousal"])
def test_config_round_trip(pairs, axis):
    metric = ConcordanceCorrelation(axis=axis, name="agreement", dtype="float32")
    config = keras.saving.serialize_keras_object(metric)
    assert json.loads(json.dumps(config))["registered_name"] == (
        "keras_affect>ConcordanceCorrelation"
    )
    again = keras.saving.deserialize_keras_object(config)
    assert type(again) is ConcordanceCorrelation
    assert again.get_config() == metric.get_config()
    assert streamed(again, *pairs) == streamed(metric, *pairs) != 0


@pytest.mark.parametrize("axis", ["dominance", 0, ""])
def test_bad_axis(axis):
    with pytest.raises(ValueError, match=r'argument `axis`\. Expected "valence", "arousal" or'):
        ConcordanceCorrelation(axis=axis)


@pytest.mark.parametrize(
    ("true", "predicted", "name"),
    [((4, 3), (4, 2), "y_true"), ((4, 2), (4, 1), "y_pred"), ((4,), (4, 2), "y_true")],
)
def test_bad_shapes(true, predicted, name):
    with pytest.raises(ValueError, match=rf"argument `{name}`\. Expected shape \(\.\.\., 2\)"):
        ConcordanceCorrelation().update_state(np.zeros(true), np.zeros(predicted))


def test_ranks_that_would_broadcast_are_refused():
    with pytest.raises(ValueError, match="targets and predictions alike"):
        ConcordanceCorrelation().update_state(np.zeros((4, 2)), np.zeros((3, 4, 2)))


@pytest.fixture
def identity():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Activation("linear")])
    model.compile(
        loss="mse",
        metrics=[ConcordanceCorrelation()],
        weighted_metrics=[ConcordanceCorrelation("valence"), ConcordanceCorrelation("arousal")],
    )
    return model


def test_in_a_compiled_model(pairs, identity):
    true, predicted = pairs
    weight = np.random.default_rng(5).uniform(0, 1, len(true)).astype(np.float32)
    logs = identity.evaluate(
        predicted, true, sample_weight=weight, batch_size=50, verbose=0, return_dict=True
    )
    assert logs["concordance_correlation"] == pytest.approx(both(true, predicted), abs=1e-6)
    for column, axis in enumerate(("valence", "arousal")):
        assert logs[f"concordance_correlation_{axis}"] == pytest.approx(
            concordance(true[:, column], predicted[:, column], weight), abs=1e-6
        )


def test_callbacks_take_more_for_better(pairs):
    model = keras.Sequential(
        [keras.Input((2,)), keras.layers.Dense(2, kernel_initializer="identity")]
    )
    # Nothing is learned, so the second epoch is no better than the first.
    model.compile(keras.optimizers.SGD(0.0), loss="mse", metrics=[ConcordanceCorrelation()])
    stop = keras.callbacks.EarlyStopping("val_concordance_correlation", patience=1)
    model.fit(*pairs, validation_data=pairs, epochs=3, verbose=0, callbacks=[stop])
    assert stop.best > 0
    assert stop.stopped_epoch == 1


def test_survives_a_saved_model(pairs, identity, tmp_path):
    identity.evaluate(*pairs[::-1], batch_size=64, verbose=0)
    identity.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    logs = again.evaluate(*pairs[::-1], batch_size=64, verbose=0, return_dict=True)
    assert logs["concordance_correlation"] == pytest.approx(both(*pairs), abs=1e-6)


def test_masked_steps_are_left_out():
    generator = np.random.default_rng(6)
    clips = generator.uniform(0.1, 1, (12, 6, 2)).astype(np.float32)
    clips[:, 4:] = 0
    true = generator.uniform(-1, 1, clips.shape).astype(np.float32)
    model = keras.Sequential([keras.Input((6, 2)), keras.layers.Masking()])
    model.compile(loss="mse", metrics=[ConcordanceCorrelation()])
    logs = model.evaluate(clips, true, batch_size=5, verbose=0, return_dict=True)
    kept = both(true[:, :4].reshape(-1, 2), clips[:, :4].reshape(-1, 2))
    assert abs(kept - both(true.reshape(-1, 2), clips.reshape(-1, 2))) > 1e-3
    assert logs["concordance_correlation"] == pytest.approx(kept, abs=1e-6)


def test_half_precision_outputs_are_summed_in_single(pairs):
    true, predicted = pairs
    half = predicted.astype(np.float16)
    value = streamed(ConcordanceCorrelation(), true, half, batch=1)
    assert value == pytest.approx(both(true, half.astype(np.float64)), abs=1e-6)


def run(script, tmp_path, **environment):
    path = tmp_path / "script.py"
    path.write_text(textwrap.dedent(script))
    done = subprocess.run(
        [sys.executable, path],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2", **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_other_backends(pairs, backend, tmp_path):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"needs {backend}, which the project does not install")
    true, predicted = (values.copy() for values in pairs)
    true[::5, 0] = np.nan
    np.save(tmp_path / "pairs.npy", [true, predicted])
    script = f"""
        import json, sys
        import keras, numpy as np
        from keras_affect.metrics import ConcordanceCorrelation

        true, predicted = np.load({str(tmp_path / "pairs.npy")!r})
        metric = ConcordanceCorrelation()
        for start in range(0, len(true), 50):
            metric.update_state(true[start : start + 50], predicted[start : start + 50])
        model = keras.Sequential([keras.Input((2,)), keras.layers.Activation("linear")])
        model.compile(loss="mse", metrics=[ConcordanceCorrelation()])
        logs = model.evaluate(predicted, true, batch_size=50, verbose=0, return_dict=True)
        values = [float(metric.result()), logs["concordance_correlation"]]
        assert "tensorflow" not in sys.modules
        print(json.dumps([keras.backend.backend(), values]))
    """
    used, values = run(script, tmp_path, KERAS_BACKEND=backend)
    assert used == backend
    assert values == pytest.approx([both(true, predicted)] * 2, abs=1e-6)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="replicas are TensorFlow's")
def test_replicas_add_up(pairs, tmp_path):
    # A process of its own: logical devices must be set before TensorFlow starts.
    true, predicted = pairs
    np.save(tmp_path / "pairs.npy", pairs)
    script = f"""
        import json
        import numpy as np, tensorflow as tf

        device = tf.config.LogicalDeviceConfiguration()
        physical = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(physical, [device, device])
        import keras
        from keras_affect.metrics import ConcordanceCorrelation

        true, predicted = np.load({str(tmp_path / "pairs.npy")!r})
        with tf.distribute.MirroredStrategy(["cpu:0", "cpu:1"]).scope():
            model = keras.Sequential([keras.Input((2,)), keras.layers.Activation("linear")])
            metrics = [ConcordanceCorrelation(), ConcordanceCorrelation("valence")]
            model.compile(loss="mse", metrics=metrics)
        logs = model.evaluate(predicted, true, batch_size=50, verbose=0, return_dict=True)
        print(json.dumps(logs))
    """
    logs = run(script, tmp_path, KERAS_BACKEND="tensorflow")
    assert logs["concordance_correlation"] == pytest.approx(both(true, predicted), abs=1e-5)
    assert logs["concordance_correlation_valence"] == pytest.approx(
        concordance(true[:, 0], predicted[:, 0]), abs=1e-5
    )
