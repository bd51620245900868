"""What every public initializer promises, on whatever backend runs."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from tests.contract.specimens import COMPILED, INITIALIZERS

keras = pytest.importorskip("keras")

every_initializer = pytest.mark.parametrize("make", INITIALIZERS.values(), ids=INITIALIZERS)


def array(tensor: Any) -> np.ndarray:
    return np.array(keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float32")))


def network(initializer: Any) -> Any:
    inputs = keras.Input((8, 8, 2))
    x = keras.layers.Conv2D(4, 3, kernel_initializer=initializer, name="initialized")(inputs)
    x = keras.layers.Flatten()(keras.layers.ReLU()(x))
    return keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(x))


@every_initializer
def test_configuration_makes_the_same_initializer(make):
    initializer = make(seed=3)
    text = json.dumps(keras.initializers.serialize(initializer))
    again = keras.initializers.deserialize(json.loads(text))
    assert type(again) is type(initializer)
    assert again.get_config() == initializer.get_config()
    np.testing.assert_array_equal(array(again((3, 3, 4, 8))), array(initializer((3, 3, 4, 8))))


@every_initializer
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("shape", [(4, 6), (3, 4, 6), (3, 3, 4, 6)])
def test_shapes_and_dtypes(make, shape, dtype):
    kernel = make(seed=3)(shape, dtype=dtype)
    assert tuple(kernel.shape) == shape
    assert keras.backend.standardize_dtype(kernel.dtype) == dtype
    assert np.isfinite(array(kernel)).all()


@every_initializer
def test_seeds(make):
    first, again, other = (array(make(seed=seed)((16, 16))) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    # Zeros alone are the same whatever the seed.
    assert np.array_equal(first, other) == (not first.any())


@every_initializer
def test_saved_without_custom_objects(make, tmp_path):
    model = network(make(seed=3))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    before, after = (
        one.get_layer("initialized").kernel_initializer.get_config() for one in (model, loaded)
    )
    assert after == before
    x = np.random.default_rng(0).normal(size=(4, 8, 8, 2)).astype(np.float32)
    np.testing.assert_allclose(array(loaded(x)), array(model(x)), atol=1e-6)


@every_initializer
@pytest.mark.parametrize("compiled", COMPILED)
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_fit(make, compiled, policy):
    keras.utils.set_random_seed(0)
    before_policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        model = network(make(seed=3))
    finally:
        keras.config.set_dtype_policy(before_policy)
    model.compile(
        keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy", jit_compile=compiled
    )
    layer = model.get_layer("initialized")
    before = array(layer.kernel)
    x = np.random.default_rng(0).normal(size=(16, 8, 8, 2)).astype(np.float32)
    # Two epochs: behind a kernel of zeros ReLU passes no gradient until the bias has moved.
    history = model.fit(x, np.arange(16) % 3, batch_size=8, epochs=2, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    assert layer.kernel.dtype == "float32"
    # A ReLU passes nothing at exactly 0, so behind a kernel of zeros nothing comes through.
    assert np.array_equal(array(layer.kernel), before) == (not before.any())
