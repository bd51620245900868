import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_affect.losses import MaskedMeanSquaredError
from keras_affect.models import LightweightCNN
from keras_affect.training import balanced_class_weights, fine_tune

NAMES = ["dark", "bright"]


def task(count=48, seed=0):
    """Dark pictures and bright ones, two thirds of them dark; half have valence and arousal."""
    rng = np.random.default_rng(seed)
    label = (np.arange(count) % 3 == 0).astype(int)
    images = rng.uniform(0, 100, (count, 16, 16, 1)) + 120 * label[:, None, None, None]
    points = np.stack([label - 0.5, 0.5 - label], axis=1)
    points[::2] = np.nan
    return images.astype(np.float32), {
        "emotion": np.eye(2, dtype=np.float32)[label],
        "valence_arousal": points.astype(np.float32),
    }


def network(**arguments):
    keras.utils.set_random_seed(0)
    given = {"weights": None, "classes": NAMES, "width": 0.1, "dropout": 0.0}
    return LightweightCNN((16, 16, 1), **{**given, **arguments})


class Trainable(keras.callbacks.Callback):
    """Names of the layers that have weights to train, at the start of each part."""

    def __init__(self):
        super().__init__()
        self.parts = []

    def on_train_begin(self, logs=None):
        self.parts.append({v.path.split("/")[-2] for v in self.model.trainable_variables})


def test_the_heads_first_then_all_but_normalisation():
    model = network(drop_connect=0.2)
    backbone = {layer.name for layer in model.layers if layer.name.endswith("_conv")}
    normalization = {layer.name for layer in model.layers if layer.name.endswith("_bn")}
    heads = {"emotion", "valence_arousal"}
    seen = Trainable()
    stem = model.get_layer("stem_conv")
    stem.trainable = False  # by the user, and so it stays
    before = {v.path: v.numpy() for v in model.weights}
    result = fine_tune(
        model, task(), head_epochs=2, epochs=3, learning_rate=1e-3, callbacks=[seen], verbose=0
    )
    assert seen.parts == [heads, (heads | backbone) - {"stem_conv"}]
    assert [len(part["loss"]) for part in (result.head, result.whole)] == [2, 3]
    assert set(result.whole) >= {"emotion_accuracy", "valence_arousal_concordance", "loss"}
    moved = {v.path.split("/")[-2] for v in model.weights if not np.array_equal(v, before[v.path])}
    assert moved == (heads | backbone) - {"stem_conv"}
    assert not stem.trainable
    stem.trainable = True
    trainable = {v.path.split("/")[-2] for v in model.trainable_variables}
    assert trainable == heads | backbone | normalization


def test_heads_alone_leave_the_backbone_as_it_was():
    model = network()
    before = {v.path: v.numpy() for v in model.weights}
    result = fine_tune(model, task(), head_epochs=1, epochs=0, verbose=0)
    assert result.whole == {}
    moved = {v.path.split("/")[-2] for v in model.weights if not np.array_equal(v, before[v.path])}
    assert moved == {"emotion", "valence_arousal"}


def test_normalisation_learns_where_that_is_asked_for():
    model = network()
    mean = model.get_layer("stem_bn").moving_mean
    before = mean.numpy()
    fine_tune(model, task(), head_epochs=0, epochs=1, train_normalization=True, verbose=0)
    assert not np.array_equal(mean.numpy(), before)


def test_it_learns_from_batches_and_is_validated():
    model = network()
    images, labels = task(96)
    batches = tf.data.Dataset.from_tensor_slices((images, labels)).shuffle(96, seed=0).batch(16)
    result = fine_tune(
        model,
        batches,
        validation_data=task(24, seed=1),
        head_epochs=3,
        epochs=6,
        head_learning_rate=3e-2,
        learning_rate=3e-3,
        class_weights="balanced",
        label_smoothing=0.05,
        train_normalization=True,
        verbose=0,
    )
    assert result.whole["emotion_accuracy"][-1] > 0.9
    assert "val_loss" in result.head
    assert np.isfinite(result.whole["val_loss"]).all()


def test_an_output_without_labels_is_not_trained():
    model = network()
    images, labels = task()
    before = model.get_layer("valence_arousal").kernel.numpy()
    result = fine_tune(
        model, (images, {"emotion": labels["emotion"]}), head_epochs=1, epochs=1, verbose=0
    )
    assert np.isfinite(result.whole["loss"]).all()
    np.testing.assert_array_equal(model.get_layer("valence_arousal").kernel.numpy(), before)


def test_class_names_travel(tmp_path):
    from keras_affect.export import to_litert
    from keras_affect.runtime import AffectInterpreter

    model = network()
    fine_tune(model, task(), head_epochs=1, epochs=0, verbose=0)
    model.save(tmp_path / "mine.keras")
    assert keras.saving.load_model(tmp_path / "mine.keras").class_names == tuple(NAMES)
    to_litert(model, tmp_path / "mine.tflite", "float16")
    interpreter = AffectInterpreter(tmp_path / "mine.tflite")
    assert list(interpreter.class_names) == NAMES


def test_balanced_class_weights():
    images, labels = task(48)
    weights = balanced_class_weights((images, labels))
    assert weights == pytest.approx([48 / (2 * 32), 48 / (2 * 16)])
    batches = tf.data.Dataset.from_tensor_slices((images, labels)).batch(7)
    assert balanced_class_weights(batches) == pytest.approx(weights)
    assert json.loads(json.dumps(weights)) == weights
    with pytest.raises(ValueError, match=r"argument `dataset`\. Expected one that ends"):
        balanced_class_weights(batches.repeat())
    labels["emotion"] = labels["emotion"] * [1, 0]
    with pytest.raises(ValueError, match=r"Expected samples of every class.*Received: 32, 0"):
        balanced_class_weights((images, labels))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"head_epochs": -1}, r"argument `head_epochs`\. Expected an integer of 0 or more"),
        ({"epochs": 1.5}, r"argument `epochs`\. Expected an integer of 0 or more"),
        ({"learning_rate": 0}, r"argument `learning_rate`\. Expected a finite number above 0"),
        ({"head_learning_rate": float("nan")}, r"argument `head_learning_rate`"),
        ({"class_weights": "equal"}, r'argument `class_weights`\. Expected factors, "balanced"'),
        ({"class_weights": [1, 2], "losses": {"emotion": "mse"}}, r"argument `losses`\. Expected"),
        ({"dataset": (0, 1)}, r"argument `dataset`\. Expected labels as a dict by the model's"),
        ({"dataset": (0, {"anger": 1})}, r"argument `dataset`.*Received: anger"),
        ({"model": keras.Sequential()}, r"argument `model`\. Expected a functional Keras model"),
    ],
)
def test_bad_arguments(arguments, message):
    given = {"model": None, "dataset": task(8), **arguments}
    if given["model"] is None:
        given["model"] = network()
    with pytest.raises(ValueError, match=message):
        fine_tune(given.pop("model"), given.pop("dataset"), **given)


def test_another_output_needs_a_loss_of_its_own():
    inputs = keras.Input((4,))
    model = keras.Model(inputs, {"intensity": keras.layers.Dense(2)(inputs)})
    data = (np.ones((4, 4), np.float32), {"intensity": np.zeros((4, 2), np.float32)})
    with pytest.raises(ValueError, match=r"argument `losses`\. Expected one for each.*intensity"):
        fine_tune(model, data, verbose=0)
    losses = {"intensity": MaskedMeanSquaredError()}
    result = fine_tune(model, data, losses=losses, head_epochs=1, epochs=1, verbose=0)
    assert result.whole["loss"][0] < result.head["loss"][0] + 1e-3
