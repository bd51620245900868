"""Fractional pooling beside TensorFlow's, on the same sequences and on every backend.

tests/layers/test_fractional_regions.py compares them where TensorFlow is the backend, with the
TensorFlow that is installed; here its values come from a file.
"""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

from keras_affect.layers import FractionalAveragePooling2D, FractionalMaxPooling2D
from tests.parity import addons

BACKEND = keras.backend.backend()
THEIRS = addons.arrays("fractional_pooling")
LAYERS = {"max": FractionalMaxPooling2D, "average": FractionalAveragePooling2D}
cases = pytest.mark.parametrize(
    "case", sorted({key.rpartition("/")[0] for key in THEIRS if "pseudo" in key})
)


def _case(case):
    name, *_, overlapping = case.split("/")
    layer = LAYERS[name](overlapping=overlapping == "overlapping=True", data_format="channels_last")
    parts = ("rows", "columns", "outputs", "upstream", "gradient")
    return layer, *(THEIRS[f"{case}/{part}"] for part in parts)


def _pool(layer, inputs, rows, columns):
    rows, columns = (ops.convert_to_tensor(sequence) for sequence in (rows, columns))
    return layer.pool(inputs, rows, columns)


def _gradient(layer, rows, columns, upstream):
    inputs, upstream = ops.convert_to_tensor(THEIRS["inputs"]), ops.convert_to_tensor(upstream)
    if BACKEND == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = _pool(layer, inputs, rows, columns)
        return tape.gradient(outputs, inputs, output_gradients=upstream).numpy()
    if BACKEND == "jax":
        import jax

        def weighted(inputs):
            return ops.sum(_pool(layer, inputs, rows, columns) * upstream)

        return np.asarray(jax.grad(weighted)(inputs))
    inputs = inputs.clone().requires_grad_(True)
    _pool(layer, inputs, rows, columns).backward(upstream)
    return inputs.grad.cpu().numpy()


def test_there_are_cases_of_each_kind():
    cases_of = {key.rpartition("/")[0] for key in THEIRS if "pseudo" in key}
    assert len(cases_of) == 3 * 2 * 2 * 2


@cases
def test_outputs_and_gradient(case):
    layer, rows, columns, outputs, upstream, gradient = _case(case)
    ours = ops.convert_to_numpy(
        _pool(layer, ops.convert_to_tensor(THEIRS["inputs"]), rows, columns)
    )
    np.testing.assert_allclose(ours, outputs, rtol=1e-5, atol=1e-6)
    assert np.ptp(ours, axis=0).max() > 0
    np.testing.assert_allclose(
        _gradient(layer, rows, columns, upstream), gradient, rtol=1e-5, atol=1e-5
    )


@cases
def test_regions_of_the_mirrored_picture_are_seen(case):
    """The negative control."""
    layer, rows, columns, outputs, *_ = _case(case)
    flipped = THEIRS["inputs"][:, ::-1]
    ours = ops.convert_to_numpy(_pool(layer, ops.convert_to_tensor(flipped.copy()), rows, columns))
    assert np.abs(ours - outputs).max() > 0.1
