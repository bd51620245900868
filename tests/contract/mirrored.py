"""A step of a specimen under tf.distribute.MirroredStrategy, in a process of its own.

    python -m tests.contract.mirrored "layers.DropConnect, Dense"

Exits with 0 once both replicas have trained alike; an assertion fails otherwise.
"""

from __future__ import annotations

import sys

import numpy as np
import tensorflow as tf

# Before anything else touches the processor.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)

import keras  # noqa: E402

from tests.contract import specimens  # noqa: E402


def replicas(variable: keras.Variable) -> list[np.ndarray]:
    return [value.numpy() for value in variable.value.values]


def layer_step(label: str) -> None:
    """Fit a network around a layer: all replicas end alike, and have moved."""
    specimen = specimens.LAYERS[label]
    with strategy.scope():
        keras.utils.set_random_seed(0)
        model = specimen.network(seed=1)
        model.compile(
            keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy", jit_compile=False
        )
    x = np.random.default_rng(0).normal(0, 1, (32, *specimen.shape)).astype(np.float32)
    before = [replicas(variable)[0] for variable in model.trainable_variables]
    history = model.fit(x, np.arange(32) % 3, batch_size=8, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    for variable, then in zip(model.trainable_variables, before, strict=True):
        first, second = replicas(variable)
        np.testing.assert_array_equal(first, second, err_msg=variable.path)
        assert not np.array_equal(first, then), variable.path
    if specimen.draws_at_inference:
        return
    alone = specimen.network(seed=1)
    alone.set_weights([replicas(weight)[0] for weight in model.weights])
    # Moving statistics are each replica's own, as of any batch normalisation.
    tolerance = 1e-2 if model.non_trainable_weights else 1e-5
    np.testing.assert_allclose(
        model.predict(x, batch_size=8, verbose=0), alone(x, training=False), atol=tolerance
    )


def metric_step(label: str) -> None:
    """Evaluate with a metric over both replicas: what one device gives."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(0, 1, (2, 48, 2)).astype(np.float32)

    def compiled() -> keras.Model:
        inputs = keras.Input((2,))
        model = keras.Model(inputs, keras.layers.Activation("tanh")(inputs))
        model.compile(loss="mse", metrics=[specimens.METRICS[label]()], jit_compile=False)
        return model

    with strategy.scope():
        model = compiled()
    found = model.evaluate(x, y, batch_size=8, verbose=0)
    expected = compiled().evaluate(x, y, batch_size=48, verbose=0)
    assert abs(found[1]) > 1e-3
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


if __name__ == "__main__":
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    assert strategy.num_replicas_in_sync == 2
    (metric_step if sys.argv[1] in specimens.METRICS else layer_step)(sys.argv[1])
