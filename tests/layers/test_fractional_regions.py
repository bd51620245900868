import itertools

import keras
import numpy as np
import pytest
from keras import ops

from keras_affect.layers import fractional_regions as regions
from keras_affect.layers import fractional_sequences as sequences

BACKEND = keras.backend.backend()
POOLINGS = {"maximum": (regions.maximum, np.max), "average": (regions.average, np.mean)}
pooling = pytest.mark.parametrize("name", POOLINGS)
overlap = pytest.mark.parametrize("overlapping", [False, True])
# Boundaries along the height of 9 and the width of 11: lengths 1 and 2, 2 and 3, 3 and 4; equal
# ones; one region for all; every row its own.
BOUNDARIES = {
    "1 and 2": ([0, 1, 3, 5, 6, 8, 9], [0, 2, 3, 4, 6, 7, 9, 11]),
    "2 and 3": ([0, 3, 5, 7, 9], [0, 2, 5, 8, 11]),
    "3 and 4": ([0, 4, 9], [0, 3, 7, 11]),
    "equal": ([0, 3, 6, 9], list(range(12))),
    "one": ([0, 9], [0, 11]),
}
boundaries = pytest.mark.parametrize("rows_and_columns", BOUNDARIES.values(), ids=BOUNDARIES)


def reference(inputs, rows, columns, overlapping, of_region):
    """Each region cut out of the image and reduced by itself."""
    batch, height, width, channels = inputs.shape
    more = int(overlapping)
    outputs = np.empty((batch, len(rows) - 1, len(columns) - 1, channels), inputs.dtype)
    for (i, top), (j, left) in itertools.product(enumerate(rows[:-1]), enumerate(columns[:-1])):
        bottom = min(rows[i + 1] + more, height)
        right = min(columns[j + 1] + more, width)
        outputs[:, i, j] = of_region(inputs[:, top:bottom, left:right], axis=(1, 2))
    return outputs


def apply(name, inputs, rows, columns, overlapping, dtype="float32"):
    outputs = POOLINGS[name][0](
        ops.convert_to_tensor(inputs, dtype=dtype),
        ops.convert_to_tensor(rows, dtype="int32"),
        ops.convert_to_tensor(columns, dtype="int32"),
        overlapping,
    )
    assert keras.backend.standardize_dtype(outputs.dtype) == dtype
    return ops.convert_to_numpy(ops.cast(outputs, "float32"))


def gradient(function, inputs, upstream):
    """The gradient of `function` at `inputs`, by the backend."""
    inputs, upstream = ops.convert_to_tensor(inputs), ops.convert_to_tensor(upstream)
    if BACKEND == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = function(inputs)
        return tape.gradient(outputs, inputs, output_gradients=upstream).numpy()
    if BACKEND == "jax":
        import jax

        return np.asarray(jax.grad(lambda x: ops.sum(function(x) * upstream))(inputs))
    inputs = inputs.clone().requires_grad_(True)
    function(inputs).backward(upstream)
    return inputs.grad.cpu().numpy()


def different_numbers(shape, seed=0):
    """No two alike, 1 apart: what is largest in a region stays so when one moves by 1/4."""
    count = int(np.prod(shape))
    return np.random.default_rng(seed).permutation(count).reshape(shape).astype(np.float32)


@pooling
@overlap
@boundaries
def test_values(name, overlapping, rows_and_columns):
    inputs = np.random.default_rng(0).normal(size=(2, 9, 11, 3)).astype(np.float32)
    outputs = apply(name, inputs, *rows_and_columns, overlapping)
    expected = reference(inputs, *rows_and_columns, overlapping, POOLINGS[name][1])
    np.testing.assert_allclose(outputs, expected, rtol=1e-5, atol=1e-6)


@pooling
@overlap
@boundaries
def test_gradient_is_that_of_finite_differences(name, overlapping, rows_and_columns):
    height, width, step = 9, 11, 0.25
    inputs = different_numbers((1, height, width, 1))
    shape = (1, len(rows_and_columns[0]) - 1, len(rows_and_columns[1]) - 1, 1)
    upstream = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    # One sample for each pixel, in which that pixel is moved.
    moves = step * np.eye(height * width, dtype=np.float32).reshape(-1, height, width, 1)
    more = apply(name, inputs + moves, *rows_and_columns, overlapping)
    less = apply(name, inputs - moves, *rows_and_columns, overlapping)
    differences = ((more - less) / (2 * step) * upstream).sum((1, 2, 3)).reshape(inputs.shape)
    tensors = [ops.convert_to_tensor(of_axis, dtype="int32") for of_axis in rows_and_columns]
    by_hand = gradient(lambda x: POOLINGS[name][0](x, *tensors, overlapping), inputs, upstream)
    np.testing.assert_allclose(by_hand, differences, rtol=1e-3, atol=2e-4)


@overlap
def test_gradient_of_equal_values_goes_to_the_first(overlapping):
    rows, columns = [0, 2, 4], [0, 2, 3]
    inputs = np.zeros((1, 4, 3, 1), np.float32)
    tensors = [ops.convert_to_tensor(of_axis, dtype="int32") for of_axis in (rows, columns)]
    upstream = np.arange(1.0, 5.0, dtype=np.float32).reshape(1, 2, 2, 1)
    result = gradient(lambda x: regions.maximum(x, *tensors, overlapping), inputs, upstream)
    expected = [[1, 0, 2], [0, 0, 0], [3, 0, 4], [0, 0, 0]]
    np.testing.assert_array_equal(result[0, :, :, 0], expected)


@overlap
def test_gradient_goes_to_the_topmost_of_equal_values_before_the_leftmost(overlapping):
    inputs = np.array([[0, 5], [5, 0]], np.float32).reshape(1, 2, 2, 1)
    whole = ops.convert_to_tensor([0, 2], dtype="int32")
    result = gradient(
        lambda x: regions.maximum(x, whole, whole, overlapping),
        inputs,
        np.ones((1, 1, 1, 1), np.float32),
    )
    np.testing.assert_array_equal(result[0, :, :, 0], [[0, 1], [0, 0]])


@pooling
def test_gradient_of_large_regions(name):
    # More places in a region than int8 can number.
    inputs = different_numbers((2, 24, 25, 2))
    rows, columns = (sequences.central(size, 2) for size in (24, 25))
    upstream = np.ones((2, 2, 2, 2), np.float32)
    result = gradient(lambda x: POOLINGS[name][0](x, rows, columns, False), inputs, upstream)
    if name == "maximum":
        tops = np.maximum.reduceat(np.maximum.reduceat(inputs, rows[:-1], 1), columns[:-1], 2)
        expected = np.isin(inputs, tops).astype(np.float32)
    else:
        lengths = [np.repeat(np.diff(of_axis), np.diff(of_axis)) for of_axis in (rows, columns)]
        expected = np.broadcast_to(
            1 / (lengths[0][:, None, None] * lengths[1][None, :, None]), inputs.shape
        )
    np.testing.assert_allclose(result, expected, rtol=1e-6)


@pooling
@overlap
@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_an_infinite_pixel_makes_no_nan(name, overlapping, value):
    inputs = np.ones((1, 9, 11, 1), np.float32)
    inputs[0, 4, 5] = value
    rows, columns = BOUNDARIES["2 and 3"]
    outputs = apply(name, inputs, rows, columns, overlapping)
    expected = reference(inputs, rows, columns, overlapping, POOLINGS[name][1])
    np.testing.assert_array_equal(outputs, expected)


@pooling
@overlap
@pytest.mark.parametrize(("dtype", "tolerance"), [("float16", 6e-4), ("bfloat16", 5e-3)])
def test_half_precision_rounds_once(name, overlapping, dtype, tolerance):
    # Whole numbers up to 255, which both types hold: only the result is rounded.
    inputs = np.random.default_rng(0).integers(0, 256, (2, 9, 11, 3)).astype(np.float32)
    rows, columns = BOUNDARIES["3 and 4"]
    outputs = apply(name, inputs, rows, columns, overlapping, dtype)
    expected = reference(inputs, rows, columns, overlapping, POOLINGS[name][1])
    np.testing.assert_allclose(outputs, expected, rtol=0 if name == "maximum" else tolerance)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="TensorFlow's operator")
@pooling
@overlap
@pytest.mark.parametrize("pseudo_random", [False, True])
@pytest.mark.parametrize("ratios", [(1.0, 1.44), (1.9, 1.26), (2.0, 2.5), (3.0, 2.1)])
def test_parity_with_tensorflow(name, overlapping, pseudo_random, ratios):
    import tensorflow as tf

    operator = {"maximum": tf.nn.fractional_max_pool, "average": tf.nn.fractional_avg_pool}[name]
    # Many equal values, as after a ReLU.
    pixels = np.random.default_rng(0).integers(-3, 4, (2, 17, 20, 3))
    inputs = tf.constant(np.maximum(pixels, 0).astype(np.float32))
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        expected, rows, columns = operator(
            inputs, [1.0, *ratios, 1.0], pseudo_random, overlapping, seed=7
        )
    upstream = np.random.default_rng(1).normal(size=expected.shape).astype(np.float32)
    expected_gradient = tape.gradient(expected, inputs, output_gradients=tf.constant(upstream))

    rows, columns = (tf.cast(of_axis, tf.int32) for of_axis in (rows, columns))
    outputs = POOLINGS[name][0](inputs, rows, columns, overlapping)
    np.testing.assert_allclose(outputs, expected, rtol=1e-5, atol=1e-6)
    assert np.ptp(outputs, axis=0).max() > 0
    result = gradient(lambda x: POOLINGS[name][0](x, rows, columns, overlapping), inputs, upstream)
    np.testing.assert_allclose(result, expected_gradient, rtol=1e-4, atol=1e-5)

    # The comparison would see regions one off.
    other = tf.concat([columns[:1], columns[1:-1] - 1, columns[-1:]], 0)
    if ratios[1] > 2 and outputs.shape[2] > 1:
        off = POOLINGS[name][0](inputs, rows, other, overlapping)
        assert np.abs(off - expected).max() > 0.1
