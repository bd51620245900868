"""What every public layer promises, on whatever backend runs: see DESIGN's contract of layers."""

from __future__ import annotations

import copy
import inspect
import json
import subprocess
import sys
import warnings
from typing import Any

import numpy as np
import pytest

from tests.conftest import REPOSITORY
from tests.contract.specimens import COMPILED, LAYERS, LayerSpecimen

keras = pytest.importorskip("keras")
ops = keras.ops

POLICIES = ("float32", "float16", "bfloat16", "mixed_float16", "mixed_bfloat16")

every_layer = pytest.mark.parametrize("specimen", LAYERS.values(), ids=LAYERS)


def array(tensor: Any) -> np.ndarray:
    return np.array(ops.convert_to_numpy(ops.cast(tensor, "float32")))


def samples(specimen: LayerSpecimen, count: int = 4, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(0, 1, (count, *specimen.shape)).astype(np.float32)


def is_pair(specimen: LayerSpecimen) -> bool:
    """Whether the layer is called with a shortcut and a residual."""
    return specimen is LAYERS["layers.StochasticDepth, shortcut"]


def call(specimen: LayerSpecimen, layer: Any, x: Any, training: bool) -> Any:
    return layer([x, x] if is_pair(specimen) else x, training=training)


def called(specimen: LayerSpecimen, layer: Any, x: Any, training: bool) -> np.ndarray:
    return array(call(specimen, layer, x, training))


def values(layer: Any) -> list[np.ndarray]:
    return [array(variable.value) for variable in layer.variables]


@every_layer
def test_configuration_makes_the_same_layer(specimen):
    layer = specimen.make(seed=7)
    config = layer.get_config()
    again = type(layer).from_config(copy.deepcopy(config))  # Keras's wrappers empty it.
    assert again.get_config() == config
    # By Keras's own way too, and through JSON.
    text = json.dumps(keras.saving.serialize_keras_object(layer))
    assert keras.saving.deserialize_keras_object(json.loads(text)).get_config() == config


@every_layer
def test_arguments_are_attributes(specimen):
    layer = specimen.make(seed=7)
    config = layer.get_config()
    for name, parameter in inspect.signature(type(layer).__init__).parameters.items():
        if name != "self" and parameter.kind is not inspect.Parameter.VAR_KEYWORD:
            assert hasattr(layer, name), name
            assert name in config, name


@every_layer
def test_shapes_are_those_computed(specimen):
    symbolic = specimen.network(seed=1)
    (layer,) = [one for one in symbolic.layers if type(one) is type(specimen.make(seed=1))][:1]
    given = keras.tree.map_structure(lambda tensor: tuple(tensor.shape), layer.input)
    found = tuple(layer.output.shape)
    assert found[0] is None
    assert None not in found[1:]
    assert tuple(layer.compute_output_shape(given)) == found
    for batch in (1, 3):
        inputs = keras.tree.map_structure(
            lambda tensor, batch=batch: np.ones((batch, *tensor.shape[1:]), np.float32), layer.input
        )
        for training in (False, True):
            assert tuple(layer(inputs, training=training).shape) == (batch, *found[1:])


@every_layer
@pytest.mark.parametrize("policy", POLICIES)
def test_dtypes(specimen, policy):
    layer = specimen.make(seed=1, dtype=policy)
    compute = keras.dtype_policies.get(policy).compute_dtype
    x = samples(specimen)
    for training in (False, True):
        inputs = ops.convert_to_tensor(x, dtype=compute)
        outputs = call(specimen, layer, inputs, training)
        assert keras.backend.standardize_dtype(outputs.dtype) == compute
        assert np.isfinite(array(outputs)).all()
    variable = keras.dtype_policies.get(policy).variable_dtype
    for weight in layer.trainable_variables:
        assert keras.backend.standardize_dtype(weight.dtype) == variable
    # Half precision computes the same, but for rounding.
    if not specimen.draws_at_inference:
        exact = specimen.make(seed=1)
        called(specimen, exact, x, False)
        exact.set_weights([array(weight) for weight in layer.weights])
        np.testing.assert_allclose(
            called(specimen, layer, x, False),
            called(specimen, exact, x, False),
            atol=0.08,
            rtol=0.05,
        )


@every_layer
def test_masks(specimen):
    if len(specimen.shape) == 1:
        pytest.skip("one vector a sample has no steps to mask")
    layer = specimen.make(seed=1)
    x = np.ones((3, *specimen.shape), np.float32)
    for row, length in enumerate((2, 5, specimen.shape[0])):
        x[row, length:] = 0
    masked = keras.layers.Masking()(x)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = getattr(call(specimen, layer, masked, False), "_keras_mask", None)
    texts = [str(warning.message) for warning in caught]
    warned = any("does not support mask" in text and f"'{layer.name}'" in text for text in texts)
    assert warned == (specimen.mask == "refused")
    if specimen.mask == "kept":
        np.testing.assert_array_equal(array(found), np.any(x != 0, axis=-1))
    else:
        assert found is None


@every_layer
def test_seeds(specimen):
    layer, same, other = (specimen.make(seed=seed) for seed in (5, 5, 6))
    x = samples(specimen, count=64)
    for one in (layer, same, other):
        called(specimen, one, x[:1], False)
        one.set_weights(layer.get_weights())

    def draw(one: Any) -> list[np.ndarray]:
        return [called(specimen, one, x, True) for _ in range(8)]

    first = draw(layer)
    # `called` above drew nothing, so all three start from their seeds.
    np.testing.assert_array_equal(first, draw(same))
    if specimen.draws:
        assert any(not np.array_equal(first[0], later) for later in first[1:])
        assert not np.array_equal(first, draw(other))
    else:
        assert all(np.array_equal(first[0], later) for later in first[1:])


@every_layer
def test_inference_is_deterministic_and_changes_nothing(specimen):
    if specimen.draws_at_inference:
        pytest.skip("the declared exception; test_export.py asks that export refuses it")
    layer = specimen.make(seed=1)
    x = samples(specimen)
    expected = called(specimen, layer, x, False)
    before = values(layer)
    np.testing.assert_array_equal(called(specimen, layer, x, False), expected)
    for now, then in zip(values(layer), before, strict=True):
        np.testing.assert_array_equal(now, then)
    # The negative control: what draws in training changes its seed's state.
    called(specimen, layer, x, True)
    changed = any(not np.array_equal(a, b) for a, b in zip(values(layer), before, strict=True))
    assert changed == specimen.draws


@every_layer
@pytest.mark.parametrize("compiled", COMPILED)
def test_fit(specimen, compiled):
    keras.utils.set_random_seed(0)
    model = specimen.network(seed=1)
    model.compile(
        keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy", jit_compile=compiled
    )
    (layer,) = [one for one in model.layers if type(one) is type(specimen.make(seed=1))][:1]
    watched = [*model.trainable_variables]
    if specimen.draws:
        watched.append(layer.seed_generator.state)
    before = [array(variable.value) for variable in watched]
    x = samples(specimen, count=24)
    history = model.fit(x, np.arange(24) % 3, batch_size=4, epochs=2, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    for variable, then in zip(watched, before, strict=True):
        assert not np.array_equal(array(variable.value), then), variable.path
    if not specimen.draws_at_inference:
        once, twice = (model.predict(x, verbose=0) for _ in range(2))
        np.testing.assert_array_equal(once, twice)


@every_layer
def test_mixed_precision_fit(specimen):
    keras.utils.set_random_seed(0)
    model = specimen.network(seed=1, dtype="mixed_bfloat16")
    model.compile(
        keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy", jit_compile=COMPILED[0]
    )
    x = samples(specimen, count=8)
    history = model.fit(x, np.arange(8) % 3, batch_size=4, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    assert {variable.dtype for variable in model.trainable_variables} == {"float32"}


LOADS = """
import json, sys
import numpy as np
import keras
import keras_affect.augmentation, keras_affect.layers

for name in json.loads(sys.argv[2]):
    model = keras.models.load_model(f"{sys.argv[1]}/{name}.keras")
    x = np.load(f"{sys.argv[1]}/{name}.npy")
    np.save(f"{sys.argv[1]}/{name}.out.npy", model.predict(x, verbose=0))
"""


def test_saved_models_load_in_another_process_without_custom_objects(tmp_path):
    expected = {}
    for number, specimen in enumerate(LAYERS.values()):
        keras.utils.set_random_seed(number)
        model = specimen.network(seed=1)
        x = samples(specimen)
        model.save(tmp_path / f"{number}.keras")
        np.save(tmp_path / f"{number}.npy", x)
        if not specimen.draws_at_inference:
            expected[number] = model.predict(x, verbose=0)
            assert np.ptp(expected[number], axis=0).max() > 1e-3
    subprocess.run(
        [sys.executable, "-c", LOADS, tmp_path, json.dumps(list(range(len(LAYERS))))],
        check=True,
        cwd=REPOSITORY,
        timeout=300,
    )
    for number, outputs in expected.items():
        again = np.load(tmp_path / f"{number}.out.npy")
        np.testing.assert_allclose(again, outputs, atol=1e-6)
