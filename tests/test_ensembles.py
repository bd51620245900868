import json

import keras
import numpy as np
import pytest
from keras import ops

from keras_affect.ensembles import Ensemble, MonteCarlo
from keras_affect.layers import DropConnect, StochasticDepth
from keras_affect.models import LightweightCNN
from tests.export.conftest import _convert_here, randomize_statistics

BACKEND = keras.backend.backend()


def numbers(tensor):
    return ops.convert_to_numpy(tensor)


def predicted(model, images):
    return {name: numbers(values) for name, values in model(images, training=False).items()}


def pictures(count=6, seed=0):
    rng = np.random.default_rng(seed)
    low = rng.integers(0, 256, (count, 4, 4, 1)).astype(np.float32)
    return low.repeat(4, axis=1).repeat(4, axis=2)


@pytest.fixture(scope="module")
def members():
    made = []
    for seed in range(3):
        keras.utils.set_random_seed(seed)
        made.append(LightweightCNN((16, 16, 1), None, width=0.1, dropout=0.2))
        randomize_statistics(made[-1], seed)
    return made


# === Ensemble


def test_outputs_are_the_members_mean(members):
    images = pictures()
    each = [predicted(member, images) for member in members]
    mean = predicted(Ensemble(members), images)
    weighted = predicted(Ensemble(members, weights=[1, 2, 5]), images)
    assert set(mean) == {"emotion", "valence_arousal"}
    for name, values in mean.items():
        parts = np.stack([outputs[name] for outputs in each])
        assert np.ptp(parts, axis=0).max() > 1e-3
        np.testing.assert_allclose(values, parts.mean(axis=0), rtol=1e-5, atol=1e-6)
        expected = np.tensordot([1 / 8, 2 / 8, 5 / 8], parts, 1)
        np.testing.assert_allclose(weighted[name], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(mean["emotion"].sum(axis=1), 1, rtol=1e-5)


def test_flips_show_each_member_the_mirrored_picture_too(members):
    images = pictures()
    ensemble = Ensemble(members[:2], flips=True)
    found = predicted(ensemble, images)
    for name, values in found.items():
        parts = [
            predicted(member, picture)[name]
            for member in members[:2]
            for picture in (images, images[:, :, ::-1])
        ]
        np.testing.assert_allclose(values, np.mean(parts, axis=0), rtol=1e-5, atol=1e-6)
        mirrored = predicted(ensemble, images[:, :, ::-1])[name]
        np.testing.assert_allclose(mirrored, values, rtol=1e-4, atol=1e-6)


def test_weights_are_shared_and_counted_once(members):
    ensemble = Ensemble(members, flips=True)
    assert ensemble.count_params() == sum(member.count_params() for member in members)
    assert ensemble.members == tuple(members)
    before = predicted(ensemble, pictures())["emotion"]
    bias = members[0].get_layer("emotion").bias
    old = numbers(bias)
    bias.assign(old + np.arange(8, dtype=np.float32))
    assert not np.allclose(predicted(ensemble, pictures())["emotion"], before)
    bias.assign(old)


def test_saved_and_loaded(members, tmp_path):
    ensemble = Ensemble(members, weights=[1, 2, 5], flips=True)
    expected = predicted(ensemble, pictures())
    ensemble.save(tmp_path / "ensemble.keras")
    loaded = keras.saving.load_model(tmp_path / "ensemble.keras")
    assert type(loaded) is Ensemble
    assert loaded.class_names == members[0].class_names
    assert [type(member) for member in loaded.members] == [LightweightCNN] * 3
    assert loaded.get_config() == json.loads(json.dumps(ensemble.get_config()))
    for name, values in predicted(loaded, pictures()).items():
        np.testing.assert_array_equal(values, expected[name])
    # The members that come back are those that it averages.
    parts = [predicted(member, pictures())["emotion"] for member in loaded.members]
    assert np.abs(parts[0] - predicted(members[0], pictures())["emotion"]).max() < 1e-6


def test_it_is_trained_as_one(members):
    ensemble = Ensemble([keras.models.clone_model(member) for member in members[:2]])
    ensemble.compile(
        keras.optimizers.SGD(0.1),
        loss={"emotion": "categorical_crossentropy", "valence_arousal": "mse"},
        jit_compile=False,
    )
    before = [numbers(variable) for variable in ensemble.trainable_variables]
    labels = {"emotion": np.eye(8, dtype=np.float32)[:6], "valence_arousal": np.zeros((6, 2))}
    ensemble.fit(pictures(), labels, verbose=0)
    moved = [
        not np.array_equal(old, numbers(variable))
        for old, variable in zip(before, ensemble.trainable_variables, strict=True)
    ]
    assert np.mean(moved) > 0.95


@pytest.mark.skipif(BACKEND != "tensorflow", reason="export is TensorFlow's")
@pytest.mark.parametrize("flips", [False, True])
def test_int8_export_agrees(members, flips, tmp_path, monkeypatch):
    from keras_affect.export import conversion, to_litert
    from keras_affect.runtime import AffectInterpreter

    monkeypatch.setattr(conversion, "_run_child", _convert_here)
    ensemble = Ensemble(members[:2], flips=flips)
    images = pictures(24)
    report = to_litert(ensemble, tmp_path / "e.tflite", "int8", calibration=images)
    assert report.stayed_float == {}
    # Each layer once, whether it sees one picture or two.
    layers = [layer for member in members[:2] for layer in member._flatten_layers()]
    convolutions = sum(isinstance(layer, keras.layers.Conv2D) for layer in layers)
    assert report.operators["CONV_2D"] == convolutions > 8
    read = AffectInterpreter(tmp_path / "e.tflite").predict(images.astype(np.uint8))
    found = np.array([list(prediction.probabilities.values()) for prediction in read])
    expected = predicted(ensemble, images)["emotion"]
    assert np.ptp(expected, axis=0).max() > 0.02
    assert np.abs(found - expected).max() < 0.05
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.95


@pytest.mark.skipif(BACKEND != "tensorflow", reason="five trainings, alike on every backend")
def test_it_scores_above_its_mean_member():
    """Nets that were trained from different seeds err differently."""
    rng = np.random.default_rng(0)
    prototypes = rng.normal(0, 1, (8, 16))

    def noisy(count):
        label = rng.integers(0, 8, count)
        values = prototypes[label] + rng.normal(0, 2.2, (count, 16))
        return values.reshape(-1, 4, 4, 1).astype(np.float32), np.eye(8, dtype=np.float32)[label]

    images, labels = noisy(160)
    unseen, truth = noisy(1000)
    nets = []
    for seed in range(5):
        keras.utils.set_random_seed(seed)
        net = keras.Sequential(
            [
                keras.Input((4, 4, 1)),
                keras.layers.Flatten(),
                keras.layers.Dense(64, "relu"),
                keras.layers.Dense(8, "softmax"),
            ]
        )
        net.compile(keras.optimizers.Adam(0.01), "categorical_crossentropy", jit_compile=False)
        net.fit(images, labels, epochs=40, batch_size=40, verbose=0)
        nets.append(net)

    def accuracy(model):
        outputs = numbers(model(unseen, training=False))
        return np.mean(outputs.argmax(axis=1) == truth.argmax(axis=1))

    each = [accuracy(net) for net in nets]
    assert accuracy(Ensemble(nets)) > np.mean(each) + 0.01 > 0.3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (lambda m: [[]], r"argument `members`\. Expected a sequence of one or more models"),
        (lambda m: ["abc"], r"argument `members`\. Expected a sequence"),
        (lambda m: [[m[0], 3]], r"argument `members`\. Expected functional models.*Received: 3"),
        (lambda m: [m, [1, 2]], r"argument `weights`\. Expected a positive number for each of 3"),
        (lambda m: [m, [1, 2, 0]], r"argument `weights`\. Expected a positive number"),
        (lambda m: [m, None, 1], r"argument `flips`\. Expected True or False"),
    ],
)
def test_bad_arguments(members, arguments, message):
    with pytest.raises(ValueError, match=message):
        Ensemble(*arguments(members))


@pytest.mark.parametrize("other", [{"input_shape": (20, 16, 1)}, {"classes": ["a", "b"]},
                                   {"valence_arousal": False}])  # fmt: skip
def test_members_must_fit_each_other(members, other):
    stranger = LightweightCNN(
        **{"input_shape": (16, 16, 1), "weights": None, "width": 0.1, "name": "stranger", **other}
    )
    with pytest.raises(ValueError, match=r"argument `members`\. Expected models with one.*strange"):
        Ensemble([members[0], stranger])


# === Monte Carlo


def dropping(rate=0.5, seed=0):
    """A net of one hidden layer with dropout on it."""
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(12, "tanh", kernel_initializer="glorot_normal"),
            keras.layers.Dropout(rate),
            keras.layers.Dense(4, "softmax", kernel_initializer="random_normal"),
        ]
    )


def test_mean_and_spread_converge_to_those_of_numpy():
    model = dropping(0.4)
    model.layers[-1].kernel.assign(np.random.default_rng(1).normal(0, 1.5, (12, 4)))
    x = np.random.default_rng(2).normal(size=(1, 6)).astype(np.float32)
    kernel, bias, head, head_bias = (numbers(v).astype(float) for v in model.trainable_variables)
    rng = np.random.default_rng(3)
    hidden = np.tanh(x @ kernel + bias)
    dropped = hidden * (rng.uniform(size=(100_000, 12)) >= 0.4) / 0.6
    logits = dropped @ head + head_bias
    by_numpy = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)

    # Dropout draws for each row: 1,000 rows in 20 passes are 20,000 draws.
    outputs = MonteCarlo(model, samples=20)(x.repeat(1000, axis=0))
    mean, spread = (numbers(outputs[name]) for name in ("emotion", "emotion_spread"))
    np.testing.assert_allclose(mean.mean(axis=0), by_numpy.mean(axis=0), atol=0.01)
    np.testing.assert_allclose(
        np.sqrt(np.square(spread).mean(axis=0)), by_numpy.std(axis=0), atol=0.01
    )
    # The control: what the net gives at inference is something else.
    assert np.abs(numbers(model(x))[0] - by_numpy.mean(axis=0)).max() > 0.02


def test_the_spread_is_the_deviation_over_passes():
    model = dropping()
    x = np.random.default_rng(2).normal(size=(3, 6)).astype(np.float32)
    passes = []

    class Remembering(keras.Model):
        def call(self, inputs, training=False):
            passes.append(model(inputs, training=training))
            return passes[-1]

    made = MonteCarlo(Remembering(), samples=5)
    made(x)  # Keras calls it once more to see its outputs' shapes
    passes.clear()
    outputs = made(x)
    assert len(passes) == 5
    values = np.stack([numbers(outputs) for outputs in passes])
    np.testing.assert_allclose(numbers(outputs["emotion"]), values.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(
        numbers(outputs["emotion_spread"]), values.std(axis=0, ddof=1), rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize("place", ["alone", "nested", "wrapped", "branch"])
def test_batch_normalisation_stays_at_inference(place):
    """Wherever it is: a picture's result does not depend on those beside it."""
    inner = [keras.layers.Dense(6), keras.layers.BatchNormalization()]
    if place == "nested":
        inner = [keras.Sequential([keras.Input((6,)), *inner])]
    elif place == "branch":
        inner = [StochasticDepth(0.0, branch=keras.Sequential([keras.Input((6,)), *inner]))]
    elif place == "wrapped":
        inner = [
            keras.layers.Reshape((1, 6)),
            keras.layers.TimeDistributed(inner[1]),
            keras.layers.Flatten(),
        ]
    model = keras.Sequential([keras.Input((6,)), *inner, keras.layers.Dense(3)])
    randomize_statistics(model)
    normalization = next(
        layer for layer in model._flatten_layers() if hasattr(layer, "moving_mean")
    )
    normalization.gamma.trainable = False
    before = [numbers(v) for v in (normalization.moving_mean, normalization.moving_variance)]
    x = np.random.default_rng(0).normal(3, 2, (8, 6)).astype(np.float32)
    outputs = MonteCarlo(model, samples=2)(x)
    # Nothing else is random here, so the passes equal inference.
    expected = numbers(model(x, training=False))
    np.testing.assert_allclose(numbers(outputs["emotion"]), expected, rtol=1e-5, atol=1e-5)
    assert np.abs(numbers(model(x, training=True)) - expected).max() > 0.1, "the control"
    normalization.moving_mean.assign(before[0])
    normalization.moving_variance.assign(before[1])
    MonteCarlo(model, samples=2).predict(x, verbose=0)
    np.testing.assert_array_equal(numbers(normalization.moving_mean), before[0])
    assert normalization.trainable
    assert [v.trainable for v in normalization.weights] == [False, True, False, False]


@pytest.mark.parametrize("kind", ["dropout", "drop_connect", "stochastic_depth"])
def test_what_drops_goes_on_dropping(kind):
    layers = {
        "dropout": [keras.layers.Dropout(0.5)],
        "drop_connect": [DropConnect(keras.layers.Dense(6), 0.5)],
        "stochastic_depth": [StochasticDepth(0.5, branch=keras.layers.Dense(6))],
    }
    model = keras.Sequential([keras.Input((6,)), *layers[kind], keras.layers.Dense(3)])
    x = np.random.default_rng(0).normal(size=(16, 6)).astype(np.float32)
    outputs = MonteCarlo(model, samples=4).predict(x, batch_size=8, verbose=0)
    assert (outputs["emotion_spread"].max(axis=1) > 1e-3).mean() > 0.8


def test_all_outputs_flips_and_evaluation(members):
    images = pictures()
    still = LightweightCNN((16, 16, 1), None, width=0.1, dropout=0.0)
    found = predicted(MonteCarlo(still, samples=2, flips=True), images)
    assert set(found) == {
        "emotion",
        "emotion_spread",
        "valence_arousal",
        "valence_arousal_spread",
    }
    one, other = predicted(still, images), predicted(still, images[:, :, ::-1])
    for name in ("emotion", "valence_arousal"):
        mean = (one[name] + other[name]) / 2
        np.testing.assert_allclose(found[name], mean, rtol=1e-4, atol=1e-5)
        spread = np.abs(one[name] - other[name]) / np.sqrt(2)
        np.testing.assert_allclose(found[f"{name}_spread"], spread, rtol=1e-3, atol=1e-5)
    assert MonteCarlo(members[0]).class_names == members[0].class_names


def test_of_clips_each_frame_is_mirrored_and_none_turned_over():
    """A model that looks at the upper left quarter alone tells columns from rows."""
    clip = keras.Input((3, 4, 6, 1))
    quarter = keras.layers.Lambda(lambda x: ops.mean(x[:, :, :2, :3], axis=(1, 2, 3, 4)))(clip)
    model = keras.Model(clip, {"emotion": ops.reshape(quarter, (-1, 1))})
    clips = np.random.default_rng(0).uniform(0, 255, (2, 3, 4, 6, 1)).astype(np.float32)
    expected = (clips[:, :, :2, :3].mean((1, 2, 3, 4)) + clips[:, :, :2, 3:].mean((1, 2, 3, 4))) / 2
    for mirrored in (
        Ensemble([model, model], flips=True),
        MonteCarlo(model, samples=2, flips=True),
    ):
        found = predicted(mirrored, clips)["emotion"]
        np.testing.assert_allclose(found[:, 0], expected, rtol=1e-5)


@pytest.mark.parametrize("shape", [(6,), (4, 6)])
def test_what_is_no_picture_has_no_mirror_image(shape):
    inputs = keras.Input(shape)
    model = keras.Model(inputs, {"emotion": keras.layers.Dense(3)(inputs)})
    x = np.zeros((2, *shape), np.float32)
    with pytest.raises(ValueError, match="mirror images are of pictures"):
        MonteCarlo(model, samples=2, flips=True)(x)
    with pytest.raises(ValueError, match="mirror images are of pictures"):
        Ensemble([model, model], flips=True)


def test_monte_carlo_saved_and_loaded(tmp_path):
    made = MonteCarlo(dropping(0.0), samples=3, flips=False, name="passes")
    x = np.random.default_rng(0).normal(size=(2, 6)).astype(np.float32)
    expected = numbers(made(x)["emotion"])
    made.save(tmp_path / "passes.keras")
    loaded = keras.saving.load_model(tmp_path / "passes.keras")
    assert type(loaded) is MonteCarlo
    assert (loaded.samples, loaded.name) == (3, "passes")
    np.testing.assert_array_equal(numbers(loaded(x)["emotion"]), expected)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="export is TensorFlow's")
def test_export_refuses_what_draws(members, tmp_path):
    from keras_affect.export import to_litert

    with pytest.raises(ValueError, match=r"MonteCarlo draws random numbers.*model that it avera"):
        to_litert(MonteCarlo(members[0], name="passes"), tmp_path / "m.tflite", "float32")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model": 3}, r"argument `model`\. Expected a Keras model.*model=3"),
        ({"samples": 1}, r"argument `samples`\. Expected an integer of 2 or more.*samples=1"),
        ({"samples": 2.0}, r"argument `samples`"),
        ({"flips": 0}, r"argument `flips`\. Expected True or False"),
    ],
)
def test_bad_monte_carlo(members, arguments, message):
    with pytest.raises(ValueError, match=message):
        MonteCarlo(**{"model": members[0], **arguments})
