"""What was frozen stays frozen through a .keras file, and the optimizer's state goes on."""

import warnings

import keras
import numpy as np
import pytest

from keras_affect import models
from keras_affect.layers import DropConnect
from keras_affect.models import LightweightCNN, TemporalAffect

MEAN_SQUARES = {"emotion": "mse", "valence_arousal": "mse"}


def small(**changes):
    return LightweightCNN((16, 16, 1), None, width=0.125, **changes)


def clips():
    return TemporalAffect(small(include_top=False, pooling="avg"), time=2, units=4)


def freeze_the_stem(model):
    model.get_layer("stem_conv").trainable = False


def freeze_the_encoder(model):
    model.encoder.trainable = False


def train_normalization_too(model):
    # On TensorFlow Keras passes a flag on to what is within only where it changes.
    for flag in (False, True):
        model.encoder.trainable = flag


def freeze_all(model):
    model.trainable = False


def freeze_what_a_wrapper_holds(model):
    wrappers = [one for one in model._flatten_layers() if isinstance(one, DropConnect)]
    wrappers[0].layer.trainable = False


CASES = [
    (small, freeze_the_stem),
    (lambda: small(stochastic_depth=0.2), freeze_the_stem),
    (lambda: small(drop_connect=0.2), freeze_what_a_wrapper_holds),
    (small, freeze_all),
    (clips, freeze_the_encoder),
    (clips, train_normalization_too),
    (clips, freeze_all),
]


def trained_paths(model):
    return [variable.path for variable in model.trainable_variables]


@pytest.mark.parametrize(("make", "freeze"), CASES)
def test_a_file_keeps_what_is_frozen(make, freeze, tmp_path):
    model = make()
    before = trained_paths(model)
    freeze(model)
    expected = trained_paths(model)
    assert expected != before
    model.save(tmp_path / "m.keras")
    loaded = models.load(tmp_path / "m.keras")
    assert trained_paths(loaded) == expected
    flags = [layer.trainable for layer in model._flatten_layers()]
    assert [layer.trainable for layer in loaded._flatten_layers()] == flags


@pytest.mark.parametrize(
    ("make", "freeze"), [(small, freeze_the_stem), (clips, freeze_the_encoder)]
)
def test_training_goes_on_where_it_was(make, freeze, tmp_path):
    model = make()
    freeze(model)
    model.compile(keras.optimizers.Adam(), loss=MEAN_SQUARES)
    shape = [1 if side is None else side for side in model.input_shape]
    x = np.random.default_rng(0).uniform(0, 255, shape).astype(np.float32)
    y = {name: np.zeros(output.shape, np.float32) for name, output in model(x).items()}
    model.fit(x, y, verbose=0)
    model.save(tmp_path / "m.keras")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # Keras warns where it drops an optimizer's state
        loaded = keras.saving.load_model(tmp_path / "m.keras")
    assert int(loaded.optimizer.iterations) == 1
    for one, other in zip(model.optimizer.variables, loaded.optimizer.variables, strict=True):
        np.testing.assert_array_equal(
            keras.ops.convert_to_numpy(one), keras.ops.convert_to_numpy(other)
        )
    still = [keras.ops.convert_to_numpy(v) for v in loaded.non_trainable_variables]
    loaded.fit(x, y, verbose=0)
    for variable, value in zip(loaded.non_trainable_variables, still, strict=True):
        if "kernel" in variable.path:
            np.testing.assert_array_equal(keras.ops.convert_to_numpy(variable), value)


@keras.saving.register_keras_serializable(package="tests")
class Unnamed(keras.layers.Layer):
    """Its normalisation has another name each time that it is made."""

    def __init__(self, **options):
        super().__init__(**options)
        self.normalization = keras.layers.BatchNormalization()

    def build(self, shape):
        self.normalization.build(shape)

    def call(self, x, training=False):
        return self.normalization(x, training=training)


@keras.saving.register_keras_serializable(package="tests")
class Named(Unnamed):
    """It keeps its own name."""

    def get_config(self):
        return super(Unnamed, self).get_config()


@pytest.mark.parametrize("kind", [Unnamed, Named])
def test_what_lies_within_a_layer_stays_frozen_under_another_name(tmp_path, kind):
    image = keras.Input((16, 16, 1))
    x = keras.layers.GlobalAveragePooling2D()(kind(name="block")(image))
    model = TemporalAffect(keras.Model(image, x), time=2, units=4)
    before = len(model.trainable_variables)
    model.save(tmp_path / "m.keras")
    loaded = models.load(tmp_path / "m.keras")
    (one,), (other,) = (
        [layer for layer in each._flatten_layers() if "normalization" in layer.name]
        for each in (model, loaded)
    )
    assert one.name != other.name
    assert not other.trainable
    assert len(loaded.trainable_variables) == before


def test_a_model_without_anything_frozen_says_nothing_of_it():
    assert "frozen" not in small().get_config()


def test_a_layer_that_the_arguments_do_not_make_is_passed_over():
    model = small()
    model.get_layer("valence_arousal").trainable = False
    freeze_the_stem(model)
    made = LightweightCNN.from_config(model.get_config() | {"valence_arousal": False})
    assert not made.get_layer("stem_conv").trainable
    assert made.get_layer("emotion").trainable


def test_files_of_before_freeze_what_the_argument_says():
    config = clips().get_config()
    del config["frozen"]
    made = TemporalAffect.from_config(config)
    assert trained_paths(made) == trained_paths(clips())
