"""The losses beside NumPy in double precision, values and gradients."""

import json
import os
import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest
from keras import ops

from keras_affect.augmentation import Mixup
from keras_affect.losses import (
    ConcordanceLoss,
    LabelDistributionLoss,
    MaskedCategoricalCrossentropy,
    MaskedMeanSquaredError,
)
from tests.test_metrics import concordance

BACKEND = keras.backend.backend()
NAN = np.nan


def gradient(loss, true, predicted, weight=None):
    """Of the loss by the predictions, by the backend's own means."""
    true, predicted = (np.asarray(values, np.float32) for values in (true, predicted))
    if BACKEND == "tensorflow":
        import tensorflow as tf

        variable = tf.Variable(predicted)
        with tf.GradientTape() as tape:
            value = loss(true, variable, weight)
        return np.asarray(tape.gradient(value, variable))
    if BACKEND == "torch":
        import torch

        variable = torch.tensor(predicted, requires_grad=True)
        loss(true, variable, weight).backward()
        return variable.grad.numpy()
    import jax

    return np.asarray(jax.grad(lambda values: loss(true, values, weight))(predicted))


def finite_differences(reference, predicted, step=1e-5):
    result = np.zeros_like(predicted, np.float64)
    for place in np.ndindex(*predicted.shape):
        moved = []
        for sign in (1, -1):
            values = predicted.astype(np.float64)
            values[place] += sign * step
            moved.append(reference(values))
        result[place] = (moved[0] - moved[1]) / (2 * step)
    return result


def value_of(loss, *arguments):
    return float(ops.convert_to_numpy(loss(*arguments)))


# === References, sample by sample


def squared_error(true, predicted, weight=None):
    weight = np.ones(len(true)) if weight is None else weight
    total, count = 0.0, 0
    for t, p, w in zip(true, predicted, weight, strict=True):
        errors = [(a - b) ** 2 for a, b in zip(t, p, strict=True) if not np.isnan(a)]
        if errors and w:
            total += w * np.mean(errors)
            count += 1
    return total / max(count, 1)


CLASS_WEIGHTS = [0.5, 2.0, 0.0, 1.0, 3.0, 1.0, 1.0, 4.0]


def cross_entropy(
    true, predicted, weight=None, objective="cross_entropy", smoothing=0.0, factors=(1,) * 8
):
    weight = np.ones(len(true)) if weight is None else weight
    total, count = 0.0, 0
    for t, p, w in zip(true, predicted, weight, strict=True):
        mass = np.nansum(t)
        if not w or not mass or np.isnan(t).any():
            continue
        p = p + 1e-7
        if objective == "majority":
            if t.max() <= 0.5 * mass:
                continue
            error = -mass * np.log(p[t.argmax()])
        elif objective == "multi_label":
            chosen = t / mass >= 0.3 - 1e-6
            error = -mass * np.log(max(np.where(chosen, p, 0.001 * p)))
        else:
            t = (1 - smoothing) * t + mass * smoothing / len(t)
            error = -sum(f * a * np.log(b) for f, a, b in zip(factors, t, p, strict=True))
        total += w * error
        count += 1
    return total / max(count, 1)


def one_minus_concordance(true, predicted, weight=None):
    weight = np.ones(len(true)) if weight is None else weight
    losses = []
    for axis in range(2):
        if (weight * ~np.isnan(true[:, axis])).any():
            losses.append(1 - concordance(true[:, axis], predicted[:, axis], weight))
    return np.mean(losses) if losses else 0.0


# === What they are called on


@pytest.fixture(scope="module")
def points():
    generator = np.random.default_rng(0)
    true = generator.uniform(-1, 1, (24, 2)).astype(np.float32)
    predicted = np.tanh(0.8 * true + generator.normal(0.1, 0.4, true.shape)).astype(np.float32)
    true[3] = NAN
    true[::5, 0] = NAN
    return true, predicted


@pytest.fixture(scope="module")
def votes():
    generator = np.random.default_rng(1)
    counts = generator.multinomial(10, [0.4, 0.25, 0.1, 0.1, 0.05, 0.05, 0.03, 0.02], 24)
    counts[::4] = [8, 2, 0, 0, 0, 0, 0, 0]
    true = (counts / 10).astype(np.float32)
    true[5] = 0  # nobody labelled it
    true[6] *= 0.4  # mixed with one that nobody labelled
    logits = generator.normal(size=true.shape)
    predicted = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return true, predicted.astype(np.float32)


@pytest.fixture(scope="module")
def weight():
    return np.random.default_rng(2).choice([0, 0.5, 1, 3], 24).astype(np.float32)


CASES = [
    (ConcordanceLoss(epsilon=1e-12), one_minus_concordance, "points"),
    (MaskedMeanSquaredError(), squared_error, "points"),
    (MaskedCategoricalCrossentropy(), cross_entropy, "votes"),
    (
        MaskedCategoricalCrossentropy(label_smoothing=0.2, class_weights=CLASS_WEIGHTS),
        lambda *a: cross_entropy(*a, smoothing=0.2, factors=CLASS_WEIGHTS),
        "votes",
    ),
    *(
        (LabelDistributionLoss(name), lambda *a, name=name: cross_entropy(*a, objective=name),
         "votes")
        for name in ("cross_entropy", "majority", "multi_label")
    ),
]  # fmt: skip
each_loss = pytest.mark.parametrize(
    ("loss", "reference", "data"),
    CASES,
    ids=lambda value: getattr(value, "objective", getattr(value, "name", "")),
)


@each_loss
@pytest.mark.parametrize("weighted", [False, True])
def test_value_and_gradient_are_those_of_numpy(loss, reference, data, weighted, weight, request):
    true, predicted = request.getfixturevalue(data)
    weight = weight if weighted else None
    expected = reference(true, predicted.astype(np.float64), weight)
    assert expected > 0.1
    assert value_of(loss, true, predicted, weight) == pytest.approx(expected, rel=2e-5)
    found = gradient(loss, true, predicted, weight)
    by_hand = finite_differences(lambda values: reference(true, values, weight), predicted)
    assert np.abs(by_hand).max() > 1e-3
    np.testing.assert_allclose(found, by_hand, rtol=2e-3, atol=2e-5)


@each_loss
def test_missing_labels_change_nothing(loss, reference, data, request):
    true, predicted = request.getfixturevalue(data)
    missing = np.full_like(true, NAN)
    more = np.concatenate([true, missing, np.zeros_like(true) if data == "votes" else missing])
    other = np.random.default_rng(3).permutation(predicted)
    value = value_of(loss, more, np.concatenate([predicted, other, other]))
    assert value == pytest.approx(value_of(loss, true, predicted), rel=1e-5)
    found = gradient(loss, more, np.concatenate([predicted, other, other]))
    assert np.isfinite(found).all()
    assert not found[len(true) :].any()


@each_loss
def test_no_label_at_all_is_0_with_gradients_of_0(loss, reference, data, request):
    true, predicted = request.getfixturevalue(data)
    missing = np.full_like(true, NAN)
    assert value_of(loss, missing, predicted) == 0
    assert not gradient(loss, missing, predicted).any()


@each_loss
def test_weight_0_leaves_out_what_is_not_finite(loss, reference, data, request):
    true, predicted = (values.copy() for values in request.getfixturevalue(data))
    weight = np.ones(len(true), np.float32)
    weight[0] = 0
    expected = value_of(loss, true[1:], predicted[1:])
    true[0] = 1e30
    assert value_of(loss, true, predicted, weight) == pytest.approx(expected, rel=1e-5)


@each_loss
def test_weights_of_sequences_and_of_columns(loss, reference, data, weight, request):
    true, predicted = request.getfixturevalue(data)
    expected = value_of(loss, true, predicted, weight)
    assert value_of(loss, true, predicted, weight[:, None]) == pytest.approx(expected, rel=1e-5)
    clips = [values.reshape(6, 4, -1) for values in (true, predicted)]
    value = value_of(loss, *clips, weight.reshape(6, 4))
    assert value == pytest.approx(expected, rel=1e-5)


@each_loss
def test_config_round_trip(loss, reference, data, request):
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(loss)))
    again = keras.saving.deserialize_keras_object(config)
    assert type(again) is type(loss)
    assert again.get_config() == loss.get_config()
    true, predicted = request.getfixturevalue(data)
    assert value_of(again, true, predicted) == value_of(loss, true, predicted)


@each_loss
def test_shapes_that_would_broadcast_are_refused(loss, reference, data):
    with pytest.raises(ValueError, match=r"argument `y_true`\. Expected the shape of the predict"):
        loss(np.zeros((4, 1)), np.zeros((4, 2)))


# === Concordance


def test_both_ends_of_concordance(points):
    true = np.random.default_rng(4).normal(size=(50, 2)).astype(np.float32)
    true -= true.mean(axis=0)
    assert value_of(ConcordanceLoss(), true, true) == pytest.approx(0, abs=1e-5)
    assert value_of(ConcordanceLoss(), true, -true) == pytest.approx(2, abs=1e-5)


@pytest.mark.parametrize("constant", [0.0, 0.3, -1.0])
@pytest.mark.parametrize("rows", [1, 2, 16])
def test_without_variance_gradients_are_finite(constant, rows):
    same = np.full((rows, 2), constant, np.float32)
    varied = np.random.default_rng(5).uniform(-1, 1, (rows, 2)).astype(np.float32)
    for true, predicted in ((same, same), (same, varied), (varied, same)):
        assert value_of(ConcordanceLoss(), true, predicted) == pytest.approx(1, abs=1e-3)
        assert np.isfinite(gradient(ConcordanceLoss(), true, predicted)).all()
    # Predictions that are all one number must be able to part.
    if rows > 2:
        assert np.abs(gradient(ConcordanceLoss(), varied, same)).max() > 1e-3


def test_an_integer_weight_repeats_the_sample(points):
    true, predicted = points
    repeats = np.arange(len(true)) % 3
    weighted = value_of(ConcordanceLoss(), true, predicted, repeats.astype(np.float32))
    repeated = value_of(ConcordanceLoss(), true.repeat(repeats, 0), predicted.repeat(repeats, 0))
    assert weighted == pytest.approx(repeated, abs=1e-5)


def test_it_is_learnt_from(points):
    true, _ = points
    keras.utils.set_random_seed(0)
    features = np.nan_to_num(true) + np.random.default_rng(6).normal(0, 0.2, true.shape)
    small = keras.initializers.Identity(0.1)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, kernel_initializer=small)])
    model.compile(keras.optimizers.Adam(0.1), loss=ConcordanceLoss(), jit_compile=False)
    history = model.fit(features, true, batch_size=24, epochs=40, verbose=0).history["loss"]
    assert history[-1] < 0.2 < 0.5 < history[0]


# === FER+'s objectives


def one(values):
    return np.array([values], np.float32)


def test_objectives_by_hand():
    votes = one([0.4, 0.3, 0.2, 0.1])
    predicted = one([0.1, 0.5, 0.2, 0.2])
    assert value_of(LabelDistributionLoss("cross_entropy"), votes, predicted) == pytest.approx(
        -(0.4 * np.log(0.1) + 0.3 * np.log(0.5) + 0.3 * np.log(0.2)), rel=1e-5
    )
    # Two labels; the second is the likeliest of them.
    assert value_of(LabelDistributionLoss("multi_label"), votes, predicted) == pytest.approx(
        -np.log(0.5), rel=1e-5
    )
    found = gradient(LabelDistributionLoss("multi_label"), votes, predicted)[0]
    np.testing.assert_allclose(found, [0, -2, 0, 0], rtol=1e-5)
    # One label at a higher threshold.
    assert value_of(LabelDistributionLoss("multi_label", 0.35), votes, predicted) == (
        pytest.approx(-np.log(0.1), rel=1e-5)
    )
    # No emotion has more than half, so the image counts for nothing.
    assert value_of(LabelDistributionLoss("majority"), votes, predicted) == 0
    votes = one([0.6, 0.4, 0, 0])
    assert value_of(LabelDistributionLoss("majority"), votes, predicted) == pytest.approx(
        -np.log(0.1), rel=1e-5
    )


def test_cross_entropy_is_keras_own_where_all_is_there(votes):
    true, predicted = (np.delete(values, [5, 6], axis=0) for values in votes)
    expected = float(ops.convert_to_numpy(keras.losses.CategoricalCrossentropy()(true, predicted)))
    assert value_of(MaskedCategoricalCrossentropy(), true, predicted) == pytest.approx(
        expected, rel=1e-5
    )
    smoothed = keras.losses.CategoricalCrossentropy(label_smoothing=0.1)(true, predicted)
    assert value_of(MaskedCategoricalCrossentropy(0.1), true, predicted) == pytest.approx(
        float(ops.convert_to_numpy(smoothed)), rel=1e-5
    )


def test_a_probability_of_0_still_gets_a_gradient():
    found = gradient(MaskedCategoricalCrossentropy(), one([1, 0]), one([0, 1]))
    assert np.isfinite(found).all()
    assert found[0, 0] < -1e3


# === Reductions


@pytest.mark.parametrize("loss", [MaskedMeanSquaredError, MaskedCategoricalCrossentropy])
def test_reductions(loss, points, votes, weight):
    true, predicted = points if loss is MaskedMeanSquaredError else votes
    errors = ops.convert_to_numpy(loss(reduction=None)(true, predicted, weight))
    assert errors.shape == (24,)
    assert np.count_nonzero(errors) < 24
    missing = 3 if loss is MaskedMeanSquaredError else 5
    counted = np.delete(weight, missing)
    for reduction, expected in (
        ("sum", errors.sum()),
        ("sum_over_batch_size", errors.sum() / np.count_nonzero(counted)),
        ("mean_with_sample_weight", errors.sum() / counted.sum()),
    ):
        value = value_of(loss(reduction=reduction), true, predicted, weight)
        assert value == pytest.approx(expected, rel=1e-5)


# === In a fit


def two_headed(losses):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6, 6, 1))
    x = keras.layers.Flatten()(inputs)
    outputs = {
        "emotion": keras.layers.Dense(8, activation="softmax")(x),
        "valence_arousal": keras.layers.Dense(2, activation="tanh")(x),
    }
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.SGD(0.1), loss=losses, jit_compile=False)
    return model


LOSSES = {
    "emotion": MaskedCategoricalCrossentropy(),
    "valence_arousal": ConcordanceLoss(),
}


@pytest.mark.parametrize("mixed", ["not", "rows", "weights"])
@pytest.mark.parametrize(
    "losses",
    [
        LOSSES,
        {"emotion": LabelDistributionLoss("multi_label"),
         "valence_arousal": MaskedMeanSquaredError()},
    ],
    ids=["concordance", "squared"],
)  # fmt: skip
def test_one_fit_of_sets_with_and_without_labels(losses, mixed, points, votes):
    """Emotions alone, valence and arousal alone, both, and neither; also mixed."""
    images = np.random.default_rng(7).uniform(0, 1, (24, 6, 6, 1)).astype(np.float32)
    emotion, valence_arousal = votes[0].copy(), points[0].copy()
    emotion[:6] = 0
    valence_arousal[4:12] = NAN
    batch = (images, {"emotion": emotion, "valence_arousal": valence_arousal})
    if mixed != "not":
        mixup = Mixup(0.4, mask_missing=mixed == "weights", seed=0)
        batch = keras.tree.map_structure(ops.convert_to_numpy, mixup(*batch))
    assert len(batch) == (3 if mixed == "weights" else 2)
    weight = batch[2] if mixed == "weights" else None
    model = two_headed(losses)
    before = [ops.convert_to_numpy(v) for v in model.trainable_variables]
    history = model.fit(
        *batch[:2], sample_weight=weight, batch_size=12, epochs=2, shuffle=False, verbose=0
    ).history
    assert np.isfinite(history["loss"]).all()
    for old, variable in zip(before, model.trainable_variables, strict=True):
        new = ops.convert_to_numpy(variable)
        assert np.isfinite(new).all()
        assert not np.array_equal(old, new)


@pytest.mark.parametrize("loss", [ConcordanceLoss(), MaskedMeanSquaredError()])
def test_masked_steps_are_left_out(loss):
    generator = np.random.default_rng(8)
    clips = generator.uniform(0.1, 1, (6, 5, 2)).astype(np.float32)
    clips[:, 3:] = 0
    true = generator.uniform(-1, 1, clips.shape).astype(np.float32)
    model = keras.Sequential([keras.Input((5, 2)), keras.layers.Masking()])
    model.compile(loss=loss, jit_compile=False)
    found = model.evaluate(clips, true, batch_size=6, verbose=0)
    expected = value_of(loss, true[:, :3], clips[:, :3])
    assert abs(expected - value_of(loss, true, clips)) > 1e-3
    assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="tf.distribute is TensorFlow's")
def test_replicas_each_take_their_part(points, tmp_path):
    """A process of its own: logical devices must be set before TensorFlow starts."""
    true, predicted = (values[8:24] for values in points)
    np.save(tmp_path / "points.npy", [true, predicted])
    script = f"""
        import json
        import numpy as np, tensorflow as tf

        device = tf.config.LogicalDeviceConfiguration()
        physical = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(physical, [device, device])
        import keras
        from keras_affect.losses import ConcordanceLoss, MaskedMeanSquaredError

        true, predicted = np.load({str(tmp_path / "points.npy")!r})
        results = []
        with tf.distribute.MirroredStrategy(["cpu:0", "cpu:1"]).scope():
            for loss in (ConcordanceLoss(), MaskedMeanSquaredError()):
                model = keras.Sequential([keras.Input((2,)), keras.layers.Activation("linear")])
                model.compile(loss=loss, jit_compile=False)
                results.append(model.evaluate(predicted, true, batch_size=16, verbose=0))
        print(json.dumps(results))
    """
    path = tmp_path / "script.py"
    path.write_text(textwrap.dedent(script))
    done = subprocess.run(
        [sys.executable, path],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    halves = [(true[:8], predicted[:8]), (true[8:], predicted[8:])]
    for found, loss in zip(
        json.loads(done.stdout.splitlines()[-1]),
        (ConcordanceLoss(), MaskedMeanSquaredError()),
        strict=True,
    ):
        expected = np.mean([value_of(loss, *half) for half in halves])
        assert found == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ConcordanceLoss(epsilon=0), r"argument `epsilon`\. Expected a finite number abo"),
        (lambda: ConcordanceLoss(epsilon=NAN), "epsilon=nan"),
        (lambda: MaskedCategoricalCrossentropy(1.0), r"argument `label_smoothing`\. Expected a f"),
        (
            lambda: MaskedCategoricalCrossentropy(class_weights=[1, -1]),
            r"argument `class_weights`\. Expected a finite factor of 0 or more",
        ),
        (
            lambda: MaskedCategoricalCrossentropy(class_weights=[1])(one([1, 0]), one([1, 0])),
            r"argument `class_weights`\. Expected a factor for each of 2 classes",
        ),
        (lambda: MaskedMeanSquaredError("average"), "argument `reduction`"),
        (lambda: LabelDistributionLoss("drawn"), r'argument `objective`\. .*labels="drawn"'),
        (lambda: LabelDistributionLoss("multi_label", 0), r"argument `threshold`\. Expected a fl"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()
