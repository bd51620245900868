"""Every architecture through the same tests: size, use, training, saving, export."""

import functools
import inspect
import re

import keras
import numpy as np
import pytest

from keras_affect import models
from keras_affect.layers.drop_connect import DropConnect
from keras_affect.layers.stochastic_depth import stochastic_depth_rates
from keras_affect.models.affect_model import AffectModel
from keras_affect.weights.storage import load_weights, save_weights_float16, variables_by_key
from tests.export.conftest import _convert_here
from tests.models.counts import COUNTS, OF_CLIPS
from tests.runtime.tiny_models import faces

BACKEND = keras.backend.backend()
NAMES = sorted(COUNTS)
RESIDUAL = ["LightweightCNN", "ResNet18", "ResNet50"]
HIDDEN = ["AlexNet", "VGG13", "VGG16"]
SHAPE = (32, 32, 1)


def narrow(name, **arguments):
    """An eighth of the channels at 32x32: what is tested does not depend on the size."""
    given = {"input_shape": SHAPE, "weights": None, "width": 0.125, **arguments}
    return getattr(models, name)(**given)


# Building takes longer than most of what is tested: these are built once.
@functools.cache
def plain(name):
    keras.utils.set_random_seed(0)
    return narrow(name)


@functools.cache
def regularized(name):
    keras.utils.set_random_seed(0)
    given = {"stochastic_depth": 0.4} if name in RESIDUAL else {}
    return narrow(
        name,
        classes=["calm", "tense", "other"],
        l1=1e-5,
        l2=1e-4,
        dropout=0.2,
        drop_connect=0.35,
        activation="silu",
        kernel_initializer=keras.initializers.VarianceScaling(1.5),
        **given,
    )


def pictures(count=4):
    return faces(count)[:, 8:40, 8:40].astype(np.float32)


@pytest.fixture
def set_to_channels_first():
    before = keras.config.image_data_format()
    keras.config.set_image_data_format("channels_first")
    yield
    keras.config.set_image_data_format(before)


@pytest.mark.parametrize("name", NAMES)
def test_pictures_lie_as_said_whatever_keras_is_set_to(name, set_to_channels_first):
    model = narrow(name)
    assert model.count_params() == plain(name).count_params()
    formats = {
        layer.name: layer.data_format
        for layer in model._flatten_layers()
        if hasattr(layer, "data_format")
    }
    assert formats
    assert set(formats.values()) == {"channels_last"}, formats


def test_weights_that_ship_answer_the_same_whatever_keras_is_set_to(set_to_channels_first):
    images = faces(2).astype(np.float32)
    found = predicted(models.LightweightCNN(), images)
    keras.config.set_image_data_format("channels_last")
    for output, values in predicted(models.LightweightCNN(), images).items():
        np.testing.assert_allclose(found[output], values, rtol=1e-5, atol=1e-6)


def array(tensor):
    return keras.ops.convert_to_numpy(tensor)


def predicted(model, images):
    outputs = model(images, training=False)
    return {name: array(values) for name, values in outputs.items()}


def agreement(one, other):
    """Correlation over pictures of what differs between them: 1 where both vary alike."""
    one, other = (values - values.mean(axis=0) for values in (one, other))
    return (one * other).sum() / np.sqrt(np.square(one).sum() * np.square(other).sum())


def multiply_adds_of(model):
    total = 0
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D):
            total += int(np.prod(layer.kernel.shape)) * int(np.prod(layer.output.shape[1:3]))
        elif isinstance(layer, keras.layers.Dense):
            total += int(np.prod(layer.kernel.shape))
    return total


def test_no_architecture_is_forgotten():
    public = {name for name in models.__all__ if inspect.isclass(getattr(models, name))}
    # Models of clips have no network of their own for pictures: see test_temporal.
    assert public == set(COUNTS) | set(OF_CLIPS)
    assert all(issubclass(getattr(models, name), AffectModel) for name in COUNTS)


@pytest.mark.parametrize("name", NAMES)
def test_size_is_that_of_the_paper_and_of_the_documentation(name):
    # Zeros are drawn in no time.
    model = getattr(models, name)(weights=None, kernel_initializer="zeros")
    parameters, multiply_adds = COUNTS[name]()
    assert model.count_params() == parameters
    assert multiply_adds_of(model) == multiply_adds
    said = " ".join(getattr(models, name).__doc__.split())
    assert f"{parameters:,} parameters" in said
    assert f"{multiply_adds / 1e6:.1f} million multiply-adds" in said


def test_vgg13_is_that_of_the_ferplus_paper():
    alone = models.VGG13((64, 64, 1), valence_arousal=False, kernel_initializer="zeros")
    assert alone.count_params() == 8_757_704  # 8.8 million
    assert not any(isinstance(layer, keras.layers.Resizing) for layer in alone.layers)
    rates = [layer.rate for layer in alone.layers if isinstance(layer, keras.layers.Dropout)]
    assert rates == [0.25] * 4 + [0.5] * 2


@pytest.mark.parametrize("name", NAMES)
def test_every_argument_is_documented(name):
    cls = getattr(models, name)
    parameters = inspect.signature(cls).parameters
    public = [parameter for parameter in parameters if not parameter.startswith("_")]
    shared = [p for p in inspect.signature(AffectModel).parameters if not p.startswith("_")]
    assert [parameter for parameter in public if parameter in shared] == shared
    assert set(public) - set(shared) == {"LightweightCNN": {"stem_convolutions"}}.get(name, set())
    documented = re.findall(r"^    (\w+): ", inspect.cleandoc(cls.__doc__), re.MULTILINE)
    assert set(public) <= set(documented)
    assert parameters["weights"].default == cls.default_weights


@pytest.mark.parametrize("name", NAMES)
def test_outputs(name):
    model = plain(name)
    outputs = predicted(model, pictures())
    assert set(outputs) == {"emotion", "valence_arousal"}
    assert outputs["emotion"].shape == (4, 8)
    np.testing.assert_allclose(outputs["emotion"].sum(axis=1), 1, rtol=1e-5)
    assert outputs["valence_arousal"].shape == (4, 2)
    assert np.abs(outputs["valence_arousal"]).max() <= 1
    assert np.ptp(outputs["emotion"], axis=0).max() > 0
    again = predicted(model, pictures())
    np.testing.assert_array_equal(outputs["emotion"], again["emotion"])


@pytest.mark.skipif(BACKEND != "tensorflow", reason="compiled for as long as all else takes")
@pytest.mark.parametrize("name", NAMES)
def test_fits_saves_and_comes_back(name, tmp_path):
    model = regularized(name)
    before = [array(variable) for variable in model.trainable_variables]
    model.compile(
        keras.optimizers.SGD(0.05),
        loss={"emotion": "categorical_crossentropy", "valence_arousal": "mse"},
        jit_compile=False,
    )
    rng = np.random.default_rng(0)
    targets = {
        "emotion": np.eye(3, dtype=np.float32)[[0, 1, 2, 0]],
        "valence_arousal": rng.uniform(-1, 1, (4, 2)).astype(np.float32),
    }
    history = model.fit(pictures(), targets, epochs=1, batch_size=4, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    moved = [
        not np.array_equal(old, array(variable))
        for old, variable in zip(before, model.trainable_variables, strict=True)
    ]
    # A branch that stochastic depth left out of all four pictures gets no gradient.
    assert np.mean(moved) > (0.7 if name in RESIDUAL else 0.99)

    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert type(loaded) is getattr(models, name)
    assert loaded.get_config() == model.get_config()
    assert loaded.class_names == ("calm", "tense", "other")
    expected, found = predicted(model, pictures()), predicted(loaded, pictures())
    for output, values in expected.items():
        np.testing.assert_array_equal(found[output], values)


@pytest.mark.parametrize("name", NAMES)
def test_weights_have_the_same_names_whatever_regularises(name):
    one, other = variables_by_key(plain(name)), variables_by_key(regularized(name))
    assert list(one) == list(other)
    differing = {key for key in one if one[key].shape != other[key].shape}
    assert differing == {"emotion/kernel", "emotion/bias"}


@pytest.mark.parametrize("name", ["LightweightCNN", "VGG13"])
def test_dropping_is_for_training(name, tmp_path):
    path = tmp_path / "w.weights.h5"
    dropped = narrow(name, drop_connect=0.4, l2=1e-3, dropout=0.1)
    save_weights_float16(dropped, path)
    same, left = narrow(name), load_weights(dropped, path)
    assert left == load_weights(same, path) == []
    expected, found = predicted(dropped, pictures()), predicted(same, pictures())
    np.testing.assert_array_equal(found["emotion"], expected["emotion"])


@pytest.mark.parametrize("name", NAMES)
def test_features_without_the_top(name, tmp_path):
    path = tmp_path / "w.weights.h5"
    save_weights_float16(plain(name), path)
    features = narrow(name, include_top=False, weights=str(path))
    whole = variables_by_key(plain(name))
    for key, variable in variables_by_key(features).items():
        np.testing.assert_allclose(array(variable), array(whole[key]), rtol=1e-3, atol=1e-6)
    assert array(features(pictures(2))).ndim == 4
    assert getattr(models, name).from_config(features.get_config()).include_top is False


@pytest.mark.parametrize(("pooling", "pool"), [("avg", np.mean), ("max", np.max)])
def test_pooled_features(pooling, pool):
    maps = narrow("LightweightCNN", include_top=False)
    pooled = narrow("LightweightCNN", include_top=False, pooling=pooling)
    pooled.set_weights(maps.get_weights())
    expected = pool(array(maps(pictures(2))), axis=(1, 2))
    np.testing.assert_allclose(array(pooled(pictures(2))), expected, rtol=1e-4, atol=1e-5)
    assert pooled.get_config()["pooling"] == pooling


@pytest.mark.skipif(BACKEND != "tensorflow", reason="export is TensorFlow's")
@pytest.mark.parametrize("name", NAMES)
def test_int8_export_agrees(name, tmp_path, monkeypatch):
    from keras_affect.export import conversion, to_litert
    from keras_affect.runtime import AffectInterpreter

    keras.utils.set_random_seed(0)
    model = plain(name)
    # Dark and bright pictures: deep networks with random weights tell little else apart.
    images = np.rint(pictures(24) * np.linspace(0.1, 1, 24)[:, None, None, None]).astype(np.float32)
    # Residual branches that add a little each, and statistics of what is seen, as training leaves
    # them: deep networks with random branches magnify whatever is rounded.
    for layer in model.layers:
        if layer.name.endswith("_add"):
            layer.input[1]._keras_history.operation.gamma.assign(
                np.full(layer.output.shape[-1], 0.2)
            )
    for _ in range(25 if name in RESIDUAL else 0):
        model(images, training=True)
    # Heads whose outputs vary: none of their numbers is the same for all pictures.
    values = array(keras.Model(model.input, model.get_layer("emotion").input)(images))
    rng = np.random.default_rng(0)
    for head, spread in (("emotion", 1.0), ("valence_arousal", 0.4)):
        layer = model.get_layer(head)
        kernel = rng.normal(size=layer.kernel.shape)
        kernel *= spread / (values @ kernel).std(axis=0)
        layer.set_weights([kernel, -values.mean(axis=0) @ kernel])
    expected = predicted(model, images)
    monkeypatch.setattr(conversion, "_run_child", _convert_here)
    report = to_litert(model, tmp_path / "m.tflite", "int8", calibration=images)
    assert report.stayed_float == {}
    assert not {"RANDOM_UNIFORM", "CUSTOM"} & set(report.operators)
    read = AffectInterpreter(tmp_path / "m.tflite").predict(images.astype(np.uint8))
    found = np.array([list(prediction.probabilities.values()) for prediction in read])
    assert np.ptp(expected["emotion"], axis=0).max() > 0.2
    points = np.array([[prediction.valence, prediction.arousal] for prediction in read])
    for output, values in (("emotion", found), ("valence_arousal", points)):
        assert expected[output].std(axis=0).max() > 0.1
        assert agreement(values, expected[output]) > 0.95
        assert np.abs(values - expected[output]).mean() < 0.1
        # The control: with another picture's outputs, half of the scale away, they don't agree.
        assert agreement(np.roll(values, 12, axis=0), expected[output]) < 0.5


@pytest.mark.parametrize("name", RESIDUAL)
def test_stochastic_depth_follows_the_linear_rule(name):
    sums = [layer for layer in regularized(name).layers if layer.name.endswith("_add")]
    assert [layer.rate for layer in sums] == pytest.approx(stochastic_depth_rates(len(sums), 0.4))


def test_stochastic_depth_draws_in_training_alone():
    model = narrow("LightweightCNN", dropout=0.0, stochastic_depth=0.9)
    one, two = (array(model(pictures(), training=True)["emotion"]) for _ in range(2))
    assert not np.allclose(one, two)
    one, two = (array(model(pictures(), training=False)["emotion"]) for _ in range(2))
    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("name", sorted(set(NAMES) - set(RESIDUAL)))
def test_stochastic_depth_needs_residual_branches(name):
    with pytest.raises(
        ValueError,
        match=rf"argument `stochastic_depth`\. Expected 0: {name} has no residual branches.*=0\.2",
    ):
        narrow(name, stochastic_depth=0.2)
    assert plain(name).stochastic_depth == 0


@pytest.mark.parametrize("name", NAMES)
def test_drop_connect_is_where_the_documentation_says(name):
    wrapped = {
        layer.layer.name: layer.rate
        for layer in regularized(name).layers
        if isinstance(layer, DropConnect)
    }
    if name in HIDDEN:
        assert wrapped == {"hidden1_dense": 0.35, "hidden2_dense": 0.35}
    else:
        assert wrapped == {"emotion": 0.35, "valence_arousal": 0.35}


@pytest.mark.parametrize("name", NAMES)
def test_regularizers_are_on_every_kernel(name):
    model = regularized(name)
    kernels = [array(v) for v in model.trainable_variables if v.path.endswith("kernel")]
    expected = sum(1e-5 * np.abs(k).sum() + 1e-4 * np.square(k).sum() for k in kernels)
    assert float(array(sum(model.losses))) == pytest.approx(expected, rel=1e-4)
    assert not plain(name).losses


def test_layers_that_share_an_initializer_start_differently():
    for initializer in ("he_normal", keras.initializers.HeNormal()):
        model = narrow("LightweightCNN", kernel_initializer=initializer)
        one, two = (array(model.get_layer(f"stage1_block{i}_2_conv").kernel) for i in (1, 2))
        assert one.shape == two.shape
        assert not np.allclose(one, two)


@pytest.mark.parametrize("activation", ["sigmoid", keras.activations.tanh])
def test_activation_reaches_every_layer(activation):
    model = narrow("LightweightCNN", activation=activation)
    names = {
        layer.activation.__name__
        for layer in model.layers
        if isinstance(layer, keras.layers.Activation)
    }
    assert names == {getattr(activation, "__name__", activation)}


BAD = {
    "input_shape": [((8, 48, 1), r"sides of at least 16"), (48, r"Expected \(height, width")],
    "classes": [(1, "Expected an integer of 2 or more")],
    "include_top": [(1, "Expected True or False")],
    "valence_arousal": [("no", "Expected True or False")],
    "pooling": [("mean", "Expected one of None, 'avg', 'max'"), ("avg", "Expected None with")],
    "width": [(0, r"Expected a number in \[0\.1, 8\]")],
    "l1": [(-1, "Expected a finite number of 0 or more"), (float("nan"), "nan")],
    "l2": [(float("inf"), "Expected a finite number of 0 or more"), (True, "True")],
    "dropout": [(1.7, r"Expected a float in \[0, 1\)"), ("0.5", "'0.5'")],
    "drop_connect": [(1, r"Expected a float in \[0, 1\)"), (float("nan"), "nan")],
    "stochastic_depth": [(-0.1, r"Expected a float in \[0, 1\)")],
    "activation": [("rleu", "Expected the name of an activation"), (None, "None")],
    "kernel_initializer": [("he", "Expected the name of an initializer"), (None, "None")],
    "skip_mismatch": [(None, "Expected True or False")],
}


@pytest.mark.parametrize(
    ("argument", "value", "message"),
    [(argument, *case) for argument, cases in BAD.items() for case in cases],
)
def test_bad_arguments(argument, value, message):
    with pytest.raises(ValueError, match=rf"argument `{argument}`\. .*{message}"):
        models.ResNet18(**{argument: value})


def test_a_layer_is_no_activation():
    with pytest.raises(ValueError, match=r"argument `activation`\. Expected the name"):
        models.ResNet18(activation=keras.layers.PReLU())


@pytest.mark.parametrize("name", ["AlexNet", "GoogLeNet", "VGG16"])
def test_smallest_pictures(name):
    with pytest.raises(ValueError, match="sides of at least 32"):
        narrow(name, input_shape=(31, 48, 1))


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"LightweightCNN"}))
def test_a_name_that_does_not_ship_is_an_error(name):
    with pytest.raises(
        ValueError, match=rf"argument `weights`\. {name} ships no weights\. .*'ferplus'"
    ):
        narrow(name, weights="ferplus")
