"""What augmentation that is no layer promises; `Cutout` is one, and stands in test_layers.py."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest

from keras_affect import augmentation
from tests.contract.specimens import COMPILED

keras = pytest.importorskip("keras")

BACKEND = keras.backend.backend()


def array(tensor: Any) -> np.ndarray:
    return np.array(keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float32")))


def batch(count: int = 16) -> tuple[np.ndarray, dict[str, np.ndarray], np.ndarray]:
    rng = np.random.default_rng(0)
    labels = {
        "emotion": np.eye(8, dtype=np.float32)[rng.integers(0, 8, count)],
        "valence_arousal": rng.uniform(-1, 1, (count, 2)).astype(np.float32),
    }
    images = rng.uniform(0, 255, (count, 24, 24, 1)).astype(np.float32)
    return images, labels, np.ones(count, np.float32)


def network() -> Any:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((24, 24, 1))
    x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(inputs))
    outputs = {
        "emotion": keras.layers.Dense(8, activation="softmax", name="emotion")(x),
        "valence_arousal": keras.layers.Dense(2, activation="tanh", name="valence_arousal")(x),
    }
    return keras.Model(inputs, outputs)


@pytest.mark.parametrize("mode", ["sample", "batch"])
def test_mixup_configuration(mode):
    mixup = augmentation.Mixup(0.4, mode=mode, mask_missing=True, seed=4)
    text = json.dumps(keras.saving.serialize_keras_object(mixup))
    again = keras.saving.deserialize_keras_object(json.loads(text))
    assert type(again) is augmentation.Mixup
    assert again.get_config() == mixup.get_config()
    images, labels, _ = batch()
    for one, two in zip(
        keras.tree.flatten(again(images, labels)),
        keras.tree.flatten(mixup(images, labels)),
        strict=True,
    ):
        np.testing.assert_array_equal(array(one), array(two))


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_mixup_keeps_dtypes_and_shapes(dtype):
    given = keras.tree.map_structure(
        lambda values: keras.ops.cast(values, dtype), (*batch()[:2], batch()[2])
    )
    mixed = augmentation.Mixup(1.0, seed=1)(*given)
    keras.tree.assert_same_structure(given, mixed)
    for before, after in zip(keras.tree.flatten(given), keras.tree.flatten(mixed), strict=True):
        assert tuple(after.shape) == tuple(before.shape)
        assert keras.backend.standardize_dtype(after.dtype) == dtype
        assert np.isfinite(array(after)).all()


def test_mixup_seeds():
    images, *_ = batch()
    first, again, other = (augmentation.Mixup(1.0, seed=seed) for seed in (1, 1, 2))
    drawn = array(first(images)[0])
    np.testing.assert_array_equal(drawn, array(again(images)[0]))
    assert not np.array_equal(drawn, array(first(images)[0]))
    assert not np.array_equal(drawn, array(other(images)[0]))


@pytest.mark.parametrize("compiled", COMPILED)
def test_fit_on_mixed_batches(compiled):
    model = network()
    loss = {"emotion": "categorical_crossentropy", "valence_arousal": "mse"}
    model.compile("sgd", loss, jit_compile=compiled)
    images, labels, weights = augmentation.Mixup(0.4, seed=1)(*batch())
    if BACKEND == "tensorflow":
        import tensorflow as tf

        mixup = augmentation.Mixup(0.4)
        raw = tf.data.Dataset.from_tensor_slices(batch()[:2]).batch(8)
        keyed = augmentation.with_keys(raw, seed=0)
        data = keyed.map(lambda keys, images, labels: mixup(images, labels, keys=keys))
        history = model.fit(data, shuffle=False, verbose=0)
    else:
        parts = keras.tree.map_structure(array, (images, labels, weights))
        history = model.fit(parts[0], parts[1], sample_weight=parts[2], batch_size=8, verbose=0)
    assert np.isfinite(history.history["loss"]).all()


@pytest.mark.skipif(BACKEND != "tensorflow", reason="face_pipeline runs in tf.data")
@pytest.mark.parametrize("strength", ["light", "strong", "camera"])
def test_face_pipeline(strength):
    import tensorflow as tf

    from keras_affect.datasets.draws import example_keys

    pipeline = augmentation.face_pipeline(strength)
    assert type(pipeline)(**dataclasses.asdict(pipeline)) == pipeline
    images, labels, _ = batch()
    keys = example_keys(0, tf.constant(0, tf.int64), tf.range(16, dtype=tf.int64))
    first = array(pipeline(tf.constant(images), keys))
    assert first.shape == images.shape
    assert first.dtype == np.float32
    assert 0 <= first.min() < first.max() <= 255
    np.testing.assert_array_equal(first, array(pipeline(tf.constant(images), keys)))
    # A function of the keys: another batch around a picture changes nothing.
    alone = array(pipeline(tf.constant(images[5:6]), keys[5:6]))
    np.testing.assert_allclose(alone[0], first[5], atol=1e-3)
    others = example_keys(1, tf.constant(0, tf.int64), tf.range(16, dtype=tf.int64))
    assert not np.array_equal(first, array(pipeline(tf.constant(images), others)))

    model = network()
    loss = {"emotion": "categorical_crossentropy", "valence_arousal": "mse"}
    model.compile("sgd", loss, jit_compile=False)
    data = augmentation.with_keys(tf.data.Dataset.from_tensor_slices((images, labels)).batch(8))
    augmented = data.map(lambda keys, images, labels: (pipeline(images, keys), labels))
    assert np.isfinite(model.fit(augmented, shuffle=False, verbose=0).history["loss"]).all()
