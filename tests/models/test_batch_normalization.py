"""The fused training step against Keras's own layer, and where each of them is taken."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from keras_affect.models.batch_normalization import BatchNormalization

BACKEND = keras.backend.backend()
fused_only = pytest.mark.skipif(BACKEND != "tensorflow", reason="the operator is TensorFlow's")


def pair(shape, **settings):
    """Our layer and Keras's, with the same weights."""
    settings = {"momentum": 0.7, "epsilon": 2e-3} | settings
    layers = BatchNormalization(**settings), keras.layers.BatchNormalization(**settings)
    random = np.random.default_rng(0)
    for layer in layers:
        layer.build(shape)
    values = [random.uniform(0.5, 2.0, w.shape) for w in layers[0].weights]
    for layer in layers:
        layer.set_weights(values)
    return layers


def maps(*shape, dtype="float32", seed=1):
    random = np.random.default_rng(seed)
    scales = random.uniform(0.5, 3.0, shape[-1])
    return keras.ops.cast(random.normal(1.0, scales, shape).astype("float32"), dtype)


def numbers(x):
    return keras.ops.convert_to_numpy(keras.ops.cast(x, "float32"))


@pytest.mark.parametrize("training", [True, False, None])
@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_values_and_statistics_are_those_of_keras(dtype, frozen, training):
    ours, theirs = pair((None, 5, 4, 6), dtype=dtype)
    x = maps(3, 5, 4, 6, dtype=ours.compute_dtype)
    for layer in (ours, theirs):
        layer.trainable = not frozen
    found, expected = ours(x, training=training), theirs(x, training=training)
    assert found.dtype == expected.dtype
    step = {"float32": 1e-5, "mixed_bfloat16": 2e-2, "mixed_float16": 2e-3}[dtype]
    np.testing.assert_allclose(numbers(found), numbers(expected), atol=4 * step)
    # The batch's statistics are float32 whatever the maps are.
    for name in ("moving_mean", "moving_variance"):
        np.testing.assert_allclose(
            numbers(getattr(ours, name)), numbers(getattr(theirs, name)), rtol=1e-4
        )
    if training and not frozen:
        assert np.abs(numbers(ours.moving_mean) - mean_before()).max() > 1e-3


def mean_before():
    """The moving mean that `pair` gives a layer."""
    fresh, _ = pair((None, 5, 4, 6))
    return numbers(fresh.moving_mean)


@fused_only
@pytest.mark.parametrize("jit_compile", [False, True])
def test_gradients_are_those_of_keras(jit_compile):
    import tensorflow as tf

    ours, theirs = pair((None, 5, 4, 6))
    x, weight = maps(3, 5, 4, 6), maps(3, 5, 4, 6, seed=2)

    def gradients(layer):
        @tf.function(jit_compile=jit_compile)
        def step(x):
            with tf.GradientTape() as tape:
                tape.watch(x)
                loss = tf.reduce_sum(tf.square(layer(x, training=True)) * weight)
            return tape.gradient(loss, [x, layer.gamma.value, layer.beta.value])

        return [numbers(g) for g in step(x)]

    for found, expected in zip(gradients(ours), gradients(theirs), strict=True):
        assert np.abs(expected).max() > 0.1
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


def operators(layer, x, **call):
    import tensorflow as tf

    traced = tf.function(lambda x: layer(x, training=True, **call)).get_concrete_function(x)
    return {operation.type for operation in traced.graph.get_operations()}


@fused_only
def test_where_the_fused_operator_is_taken():
    assert "FusedBatchNormV3" in operators(pair((None, 5, 4, 6))[0], maps(3, 5, 4, 6))
    others = (
        (operators(pair((None, 6))[0], maps(3, 6)), "not maps"),
        (operators(pair((None, 5, 4, 6), axis=1)[0], maps(3, 5, 4, 6)), "another axis"),
        (operators(pair((None, 5, 4, 6), scale=False)[0], maps(3, 5, 4, 6)), "no scale"),
        (operators(pair((None, 5, 4, 6), renorm=True)[0], maps(3, 5, 4, 6)), "renormalised"),
        (
            operators(pair((None, 5, 4, 6), dtype="float64")[0], maps(3, 5, 4, 6, dtype="float64")),
            "float64",
        ),
        (
            operators(pair((None, 5, 4, 6))[0], maps(3, 5, 4, 6), mask=np.ones((3, 5, 4), bool)),
            "masked",
        ),
    )
    for found, why in others:
        assert "FusedBatchNormV3" not in found, why


def test_saved_and_read_again(tmp_path):
    inputs = keras.Input((5, 4, 6))
    model = keras.Model(inputs, BatchNormalization(momentum=0.7)(inputs))
    model(maps(3, 5, 4, 6), training=True)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert type(again.layers[1]) is BatchNormalization
    x = maps(3, 5, 4, 6)
    np.testing.assert_array_equal(numbers(again(x)), numbers(model(x)))
