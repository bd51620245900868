import keras
import numpy as np
import pytest

from keras_affect.layers.drop_connect import DropConnect
from keras_affect.models import GoogLeNet
from tests.models.counts import Count

AUXILIARY = ("emotion_aux1", "emotion_aux2")


def numbers(tensor):
    return keras.ops.convert_to_numpy(tensor)


def small(**arguments):
    given = {"input_shape": (32, 32, 1), "width": 0.125, "classes": ["calm", "tense", "other"]}
    return GoogLeNet(**{**given, **arguments})


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return small(drop_connect=0.25)


@pytest.fixture(scope="module")
def training(model):
    return model.training_model()


def batch():
    rng = np.random.default_rng(0)
    emotion = np.eye(3, dtype=np.float32)[[0, 1, 2, 0]]
    return rng.uniform(0, 255, (4, 32, 32, 1)).astype(np.float32), {
        "emotion": emotion,
        "valence_arousal": rng.uniform(-1, 1, (4, 2)).astype(np.float32),
        **dict.fromkeys(AUXILIARY, emotion),
    }


def test_outputs(model, training):
    images, _ = batch()
    outputs = training(images, training=False)
    assert set(outputs) == {"emotion", "valence_arousal", *AUXILIARY}
    for name in AUXILIARY:
        assert outputs[name].shape == (4, 3)
        np.testing.assert_allclose(numbers(outputs[name]).sum(axis=1), 1, rtol=1e-5)
    own = model(images, training=False)
    assert set(own) == {"emotion", "valence_arousal"}
    for name, values in own.items():
        np.testing.assert_allclose(numbers(outputs[name]), numbers(values), rtol=1e-4, atol=1e-6)


def test_auxiliary_heads_stand_where_the_paper_has_them(training):
    """After modules 4a and 4d, with a dropout of 0.7."""
    for name, module in (("aux1", "4a"), ("aux2", "4d")):
        pool = training.get_layer(f"{name}_pool")
        source = pool.input._keras_history.operation.name
        assert source == f"inception_{module}_concatenate"
        assert training.get_layer(f"{name}_hidden_dropout").rate == 0.7
        assert isinstance(training.get_layer(f"{name}_hidden_dense_drop_connect"), DropConnect)
    assert small(dropout=0.0).training_model().get_layer("aux1_hidden_dropout").rate == 0


def test_their_size_is_that_of_the_paper():
    whole = GoogLeNet(kernel_initializer="zeros")
    count = Count()
    for channels in (512, 528):  # of 4a and 4d
        count.convolution(1, channels, 128, 2, False)
        count.dense(2 * 2 * 128, 1024)
        count.dense(1024, 8)
    assert whole.training_model().count_params() == whole.count_params() + count.parameters


def test_training_moves_the_model_itself_and_comes_back(model, training, tmp_path):
    images, targets = batch()
    stem = model.get_layer("stem1_conv").kernel
    head = training.get_layer("emotion_aux2").kernel
    before = [numbers(variable) for variable in (stem, head)]
    losses = dict.fromkeys(("emotion", *AUXILIARY), "categorical_crossentropy")
    training.compile(
        keras.optimizers.SGD(0.1),
        loss={**losses, "valence_arousal": "mse"},
        loss_weights={
            "emotion": 1.0,
            "valence_arousal": 1.0,
            **dict.fromkeys(AUXILIARY, 0.3),
        },
        jit_compile=False,
    )
    training.fit(images, targets, epochs=1, verbose=0)
    for old, variable in zip(before, (stem, head), strict=True):
        assert not np.array_equal(old, numbers(variable))
    assert training.get_layer("stem1_conv").kernel is stem
    training.save(tmp_path / "training.keras")
    again = keras.saving.load_model(tmp_path / "training.keras", compile=False)
    np.testing.assert_allclose(
        numbers(again(images)["emotion_aux1"]),
        numbers(training(images)["emotion_aux1"]),
        rtol=1e-4,
        atol=1e-6,
    )


def test_needs_the_top():
    with pytest.raises(ValueError, match=r"argument `include_top`\. Expected True: auxiliary"):
        small(include_top=False).training_model()
