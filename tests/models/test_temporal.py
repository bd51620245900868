"""`TemporalAffect`: beside an LSTM in NumPy, over clips of different lengths, on every backend."""

import functools

import keras
import numpy as np
import pytest

from keras_affect import losses, metrics, models
from keras_affect.layers.drop_connect import DropConnect
from keras_affect.models import TemporalAffect
from keras_affect.weights.storage import load_weights, save_weights_float16
from tests.models.counts import temporal_affect
from tests.runtime.tiny_models import faces

SHAPE = (16, 16, 1)
UNITS = 5


def encoder(pooling="avg", seed=3):
    keras.utils.set_random_seed(seed)
    made = models.LightweightCNN(
        SHAPE, weights=None, include_top=False, pooling=pooling, width=0.125
    )
    # By NumPy, so that the same network is tested on each backend.
    rng = np.random.default_rng(seed)
    for weight in made.weights:
        if weight.path.endswith("kernel"):
            fan_in = np.prod(weight.shape[:-1])
            weight.assign(rng.normal(0, np.sqrt(2 / fan_in), weight.shape))
    take_statistics(made, frames()[0])
    return made


def take_statistics(made, pictures):
    """Those of batch normalisation, from one batch: as it starts, features hardly differ."""
    layers = [la for la in made.layers if isinstance(la, keras.layers.BatchNormalization)]
    for layer in layers:
        layer.momentum = 0.0
    made(pictures, training=True)
    for layer in layers:
        layer.momentum = 0.9


# Building one takes longer than most of what is tested. What trains has its own.
shared = functools.cache(encoder)


def temporal(**arguments):
    given = {"encoder": shared(), "units": UNITS, **arguments}
    model = TemporalAffect(**given)
    # Weights as after training: the kernels as they start let little of a clip show.
    rng = np.random.default_rng(1)
    for layer in model.layers[2:]:
        for weight in layer.weights:
            if "seed" not in weight.path:
                spread = 0.2 if weight.path.endswith("bias") else 0.7
                weight.assign(rng.normal(0, spread, weight.shape))
    return model


def frames(clips=2, time=6, seed=0):
    pictures = faces(clips * time, seed)[:, 16:32, 16:32].astype(np.float32)
    return pictures.reshape(clips, time, *SHAPE)


def padded(clips, length):
    """The first `length` frames of each, and padding behind them."""
    return np.where(np.arange(clips.shape[1])[:, None, None, None] < length, clips, -1)


def array(tensor):
    return keras.ops.convert_to_numpy(tensor)


def predicted(model, clips):
    return {name: array(values) for name, values in model(clips, training=False).items()}


@pytest.fixture(scope="module")
def model():
    return temporal(drop_connect=0.4, dropout=0.2)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def reference(model, clip):
    """Emotion at the end and valence-arousal at each frame, from the encoder's features on."""
    features = array(model.encoder(clip, training=False)).astype(np.float64)
    lstm = next(layer for layer in model.layers if layer.name.startswith("lstm"))
    kernel, recurrent, bias = (
        array(weight).astype(np.float64)
        for weight in getattr(lstm, "layer", lstm).weights
        if "seed" not in weight.path
    )
    heads = {
        name: [array(weight).astype(np.float64) for weight in model.get_layer(name).weights]
        for name in ("emotion", "valence_arousal")
    }
    hidden, cell, pairs = np.zeros(UNITS), np.zeros(UNITS), []
    for row in features:
        gates = row @ kernel + hidden @ recurrent + bias
        into, forget, candidate, out = np.split(gates, 4)
        cell = sigmoid(forget) * cell + sigmoid(into) * np.tanh(candidate)
        hidden = sigmoid(out) * np.tanh(cell)
        pairs.append(np.tanh(hidden @ heads["valence_arousal"][0] + heads["valence_arousal"][1]))
    powers = np.exp(hidden @ heads["emotion"][0] + heads["emotion"][1])
    return powers / powers.sum(), np.array(pairs)


def test_it_is_an_lstm_over_the_encoders_features(model):
    clips = frames()
    found = predicted(model, clips)
    assert found["emotion"].shape == (2, 8)
    assert found["valence_arousal"].shape == (2, 6, 2)
    for place, clip in enumerate(clips):
        emotion, pairs = reference(model, clip)
        np.testing.assert_allclose(found["emotion"][place], emotion, atol=1e-5)
        np.testing.assert_allclose(found["valence_arousal"][place], pairs, atol=1e-5)
    # Outputs vary between clips and frames, and frames to come change nothing before them.
    assert abs(found["emotion"][0] - found["emotion"][1]).max() > 1e-3
    assert np.ptp(found["valence_arousal"], axis=1).min() > 1e-2
    other = clips.copy()
    other[:, 4:] = frames(seed=5)[:, 4:]
    pairs = predicted(model, other)["valence_arousal"]
    np.testing.assert_allclose(pairs[:, :4], found["valence_arousal"][:, :4], atol=1e-6)
    assert abs(pairs[:, 4:] - found["valence_arousal"][:, 4:]).max() > 1e-3


def test_clips_of_different_lengths_in_one_batch(model):
    one, other = frames(time=6)[0], frames(time=4, seed=8)[0]
    batch = np.full((2, 6, *SHAPE), -1, np.float32)
    batch[0], batch[1, :4] = one, other
    found = predicted(model, batch)
    for place, clip in enumerate((one, other)):
        alone = predicted(model, clip[None])
        np.testing.assert_allclose(found["emotion"][place], alone["emotion"][0], atol=1e-6)
        np.testing.assert_allclose(
            found["valence_arousal"][place, : len(clip)], alone["valence_arousal"][0], atol=1e-6
        )
    # The negative control: black frames are frames.
    black = predicted(model, np.maximum(batch, 0))
    assert abs(black["emotion"][1] - found["emotion"][1]).max() > 1e-4


def test_a_batch_may_be_of_any_length_and_hold_nothing_but_padding(model):
    found = predicted(model, np.full((1, 3, *SHAPE), -1, np.float32))
    assert all(np.isfinite(values).all() for values in found.values())
    assert predicted(model, frames(time=1))["valence_arousal"].shape == (2, 1, 2)


def compiled(**arguments):
    model = temporal(**{"encoder": encoder(), **arguments})
    model.compile(
        keras.optimizers.SGD(0.1),
        loss={
            "emotion": losses.MaskedCategoricalCrossentropy(),
            "valence_arousal": losses.MaskedMeanSquaredError(),
        },
        metrics={"valence_arousal": [metrics.RootMeanSquaredError()]},
    )
    return model


def labels(clips=2, time=6):
    rng = np.random.default_rng(4)
    emotion = np.eye(8, dtype=np.float32)[rng.integers(0, 8, clips)]
    pairs = rng.uniform(-1, 1, (clips, time, 2)).astype(np.float32)
    return {"emotion": emotion, "valence_arousal": pairs}


def weights_of(model):
    return [array(weight) for weight in model.weights if "seed" not in weight.path]


def test_padding_changes_no_step_of_training():
    """Same weights from a clip and from the same clip with padding and without labels there."""
    longer = labels(time=6)
    longer["valence_arousal"][:, 4:] = np.nan
    shorter = {**longer, "valence_arousal": longer["valence_arousal"][:, :4]}
    short, long = compiled(), compiled()
    before = weights_of(short)
    one = short.train_on_batch(frames()[:, :4], shorter, return_dict=True)
    two = long.train_on_batch(padded(frames(), 4), longer, return_dict=True)
    assert one == pytest.approx(two, abs=1e-5)
    for first, second in zip(weights_of(short), weights_of(long), strict=True):
        np.testing.assert_allclose(first, second, atol=1e-5)
    moved = [abs(a - b).max() for a, b in zip(before, weights_of(short), strict=True)]
    assert max(moved) > 1e-3


def test_padding_is_left_out_even_where_it_has_labels():
    """The mask alone, without NaN: losses see it at the predictions."""
    given, changed = labels(), labels()
    changed["valence_arousal"][:, 4:] += 0.7
    model = compiled()
    clips = padded(frames(), 4)
    one, two = (model.test_on_batch(clips, of, return_dict=True) for of in (given, changed))
    assert one["valence_arousal_loss"] == pytest.approx(two["valence_arousal_loss"], abs=1e-7)
    whole = [
        model.test_on_batch(frames(), of, return_dict=True)["valence_arousal_loss"]
        for of in (given, changed)
    ]
    assert abs(whole[0] - whole[1]) > 1e-3


@pytest.mark.parametrize("freezes", [True, False])
def test_batch_normalisation_in_the_encoder(freezes):
    model = compiled(freeze_normalization=freezes)
    layers = [
        layer
        for layer in model.encoder._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    assert layers
    before = [array(weight) for layer in layers for weight in layer.weights]
    kernel = array(model.encoder.get_layer("stem_conv").kernel)
    model.train_on_batch(frames(), labels())
    moved = [
        abs(array(weight) - old).max() > 0
        for weight, old in zip([w for la in layers for w in la.weights], before, strict=True)
    ]
    assert not any(moved) if freezes else any(moved)
    # Its convolutions learn either way.
    assert abs(array(model.encoder.get_layer("stem_conv").kernel) - kernel).max() > 0


def test_drop_connect_is_on_the_recurrent_kernel(model):
    layer = model.get_layer("lstm_drop_connect")
    assert isinstance(layer, DropConnect)
    assert layer.rate == 0.4
    one = temporal(drop_connect=0.4)
    clips = frames(time=3)
    still, drawn, again = (array(one(clips, training=flag)["valence_arousal"])
                           for flag in (False, True, True))  # fmt: skip
    # The first frame has no state before it: what is dropped there is multiplied by 0.
    np.testing.assert_allclose(drawn[:, 0], still[:, 0], atol=1e-6)
    assert abs(drawn[:, 1:] - again[:, 1:]).max() > 1e-3
    assert abs(drawn[:, 1:] - still[:, 1:]).max() > 1e-3


def test_feature_maps_are_averaged():
    pooled, mapped = temporal(), temporal(encoder=encoder(pooling=None))
    for name, values in predicted(pooled, frames()).items():
        np.testing.assert_allclose(predicted(mapped, frames())[name], values, atol=1e-5)


def test_regularizers_join_the_loss():
    plain, decayed = temporal(), temporal(l1=1e-3, l2=1e-2)
    assert not plain.losses
    kernels = [
        array(weight)
        for weight in decayed.weights
        if weight.path.endswith("kernel") and "lightweight" not in weight.path
        and any(part in weight.path for part in ("lstm", "emotion", "valence_arousal"))
    ]  # fmt: skip
    assert len(kernels) == 4
    expected = sum(1e-3 * abs(k).sum() + 1e-2 * np.square(k).sum() for k in kernels)
    assert sum(float(array(of)) for of in decayed.losses) == pytest.approx(expected, rel=1e-5)


def test_without_valence_and_with_own_classes():
    model = temporal(valence_arousal=False, classes=["calm", "tense"], time=6)
    assert list(predicted(model, frames())) == ["emotion"]
    assert model.class_names == ("calm", "tense")
    assert model.input_shape == (None, 6, *SHAPE)


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_save_and_reload(tmp_path, dtype):
    model = temporal(drop_connect=0.3, classes=["calm", "tense", "other"], dtype=dtype, l2=1e-4)
    dtypes = {keras.backend.standardize_dtype(out.dtype) for out in model(frames()).values()}
    assert dtypes == {"float32"}
    model.save(tmp_path / "model.keras")
    again = models.load(tmp_path / "model.keras")
    assert type(again) is TemporalAffect
    assert type(again.encoder) is models.LightweightCNN
    assert again.class_names == model.class_names
    config, other = again.get_config(), model.get_config()
    assert config == other
    for name, values in predicted(model, frames()).items():
        np.testing.assert_array_equal(predicted(again, frames())[name], values)


def test_weights_by_their_names_with_and_without_drop_connect(tmp_path):
    model = temporal(drop_connect=0.3)
    path = tmp_path / "temporal.weights.h5"
    save_weights_float16(model, path)
    same = TemporalAffect(encoder(seed=9), str(path), units=UNITS)
    for name, values in predicted(model, frames()).items():
        # Stored in half precision.
        np.testing.assert_allclose(predicted(same, frames())[name], values, atol=5e-3)
    with pytest.raises(ValueError, match="shape"):
        TemporalAffect(shared(), str(path), units=UNITS + 1)
    with pytest.raises(ValueError, match=r"temporal\.weights\.h5: of the classes neutral, "):
        TemporalAffect(shared(), str(path), units=UNITS, classes=list("abcdefgh"))
    assert load_weights(same, path) == []


def test_names_of_weights_are_errors_since_none_ship():
    with pytest.raises(ValueError, match="ferplus"):
        TemporalAffect(shared(), "ferplus")


def test_the_default_encoder_has_weights_that_ship_and_sees_a_frame_once():
    model = TemporalAffect()
    parameters, multiply_adds = temporal_affect()
    assert model.count_params() == parameters
    said = " ".join(TemporalAffect.__doc__.split())
    assert f"{parameters:,} parameters and {multiply_adds / 1e6:.1f} million multiply" in said
    shipped = models.LightweightCNN(weights="ferplus_v3", include_top=False, pooling="avg")
    pictures = np.random.default_rng(0).integers(0, 256, (2, 48, 48, 1)).astype(np.float32)
    np.testing.assert_array_equal(array(model.encoder(pictures)), array(shipped(pictures)))
    assert not model.encoder.mirrored
    assert model.input_shape == (None, None, 48, 48, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"units": 0}, r"`units`. Expected an integer of 1 or more. Received: units=0"),
        ({"time": 2.5}, r"`time`. Expected an integer of 1 or more, or None. Received: time=2\.5"),
        ({"dropout": 1}, r"`dropout`. Expected a float in \[0, 1\)"),
        ({"drop_connect": -0.1}, r"`drop_connect`. Expected a float in \[0, 1\)"),
        ({"l2": -1}, "`l2`. Expected a finite number of 0 or more"),
        ({"valence_arousal": 1}, "`valence_arousal`. Expected True or False"),
        ({"freeze_normalization": 0}, "`freeze_normalization`. Expected True or False"),
        ({"classes": 1}, "`classes`. Expected an integer of 2 or more"),
        ({"encoder": "LightweightCNN"}, "`encoder`. Expected a built Keras model .*'LightweightC"),
    ],
)
def test_arguments(arguments, message):
    with pytest.raises(ValueError, match="argument " + message):
        TemporalAffect(**{"encoder": shared(), **arguments})


def test_an_encoder_with_its_heads_is_refused():
    whole = models.LightweightCNN(SHAPE, weights=None, width=0.125)
    with pytest.raises(ValueError, match=r"features .*include_top=False, pooling=\"avg\"\)\. Rec"):
        TemporalAffect(whole)
