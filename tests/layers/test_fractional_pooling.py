import itertools

import keras
import numpy as np
import pytest
from keras import ops

from keras_affect.layers import FractionalAveragePooling2D, FractionalMaxPooling2D
from keras_affect.layers import fractional_sequences as sequences

BACKEND = keras.backend.backend()
tensorflow_alone = pytest.mark.skipif(
    BACKEND != "tensorflow", reason="export and tf.function are TensorFlow's"
)
REDUCTIONS = {FractionalMaxPooling2D: np.max, FractionalAveragePooling2D: np.mean}
layer_class = pytest.mark.parametrize("layer_class", REDUCTIONS)


def pictures(batch=2, height=12, width=14, channels=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(batch, height, width, channels)).astype(np.float32)


def pooled(inputs, rows, columns, of_region):
    by_row = [
        [
            of_region(inputs[:, top:bottom, left:right], axis=(1, 2))
            for left, right in itertools.pairwise(columns)
        ]
        for top, bottom in itertools.pairwise(rows)
    ]
    return np.stack([np.stack(row, 1) for row in by_row], 1)


def call(layer, inputs, **arguments):
    return ops.convert_to_numpy(layer(inputs, **arguments))


@layer_class
@pytest.mark.parametrize("pseudo_random", [True, False])
def test_inference_pools_over_the_central_regions(layer_class, pseudo_random):
    inputs = pictures()
    layer = layer_class((1.44, 2.3), pseudo_random=pseudo_random, seed=1)
    rows, columns = sequences.central(12, 8), sequences.central(14, 6)
    expected = pooled(inputs, rows, columns, REDUCTIONS[layer_class])
    before = ops.convert_to_numpy(layer.seed_generator.state.value)
    for _ in range(2):
        np.testing.assert_allclose(call(layer, inputs), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(ops.convert_to_numpy(layer.seed_generator.state.value), before)


@layer_class
def test_a_whole_ratio_is_keras_pooling(layer_class):
    twin = {
        FractionalMaxPooling2D: keras.layers.MaxPooling2D,
        FractionalAveragePooling2D: keras.layers.AveragePooling2D,
    }[layer_class]
    inputs = pictures(height=12, width=15)
    expected = call(twin((2, 3)), inputs)
    for training in (False, True):
        outputs = call(layer_class((2, 3), seed=0), inputs, training=training)
        np.testing.assert_allclose(outputs, expected, rtol=1e-5, atol=1e-6)


@layer_class
def test_ratio_1_changes_nothing(layer_class):
    inputs = pictures()
    for pseudo_random in (True, False):
        layer = layer_class(1, pseudo_random=pseudo_random, seed=0)
        np.testing.assert_array_equal(call(layer, inputs, training=True), inputs)


@layer_class
@pytest.mark.parametrize("pseudo_random", [True, False])
def test_training_draws_anew_for_each_batch_and_reproducibly(layer_class, pseudo_random):
    inputs = pictures(height=24, width=24)

    def draws(seed):
        layer = layer_class(1.44, pseudo_random=pseudo_random, seed=seed)
        return [call(layer, inputs, training=True) for _ in range(4)]

    first, again, other = draws(5), draws(5), draws(6)
    np.testing.assert_array_equal(first, again)
    assert any(not np.array_equal(a, b) for a, b in itertools.pairwise(first))
    assert not np.array_equal(first, other)


@layer_class
def test_height_and_width_are_drawn_apart(layer_class):
    # A symmetric picture stays one wherever rows and columns are cut alike.
    picture = pictures(1, 24, 24, 1)
    picture = picture + picture.transpose(0, 2, 1, 3)
    layer = layer_class(1.44, seed=0)
    outputs = [call(layer, picture, training=True)[0, :, :, 0] for _ in range(8)]
    assert not all(np.allclose(output, output.T, atol=1e-5) for output in outputs)
    central = call(layer, picture)[0, :, :, 0]
    np.testing.assert_allclose(central, central.T, rtol=1e-5, atol=1e-6)


@layer_class
def test_mean_over_draws_is_that_of_all_sequences(layer_class):
    # By NumPy, over every pair of shifts of 6 rows and 6 columns in 4 regions.
    inputs = pictures(1, 6, 6, 1)
    every = []
    for shift in range(sequences.shifts(6, 4)):
        every.append((0, *[(6 * i + shift) // 4 for i in (1, 2, 3)], 6))
    values = np.stack(
        [
            pooled(inputs, rows, columns, REDUCTIONS[layer_class])
            for rows, columns in itertools.product(every, every)
        ]
    )
    layer, count = layer_class(1.5, seed=3), 600
    draws = np.stack([call(layer, inputs, training=True) for _ in range(count)])
    error = values.std(0) / np.sqrt(count)
    assert error.max() > 0.01
    assert (np.abs(draws.mean(0) - values.mean(0)) < 4.5 * error + 1e-5).all()


@layer_class
@pytest.mark.parametrize("training", [False, True])
def test_channels_first_is_channels_last_transposed(layer_class, training):
    inputs = pictures()
    last = layer_class((1.44, 2.3), True, seed=1, data_format="channels_last")
    first = layer_class((1.44, 2.3), True, seed=1, data_format="channels_first")
    outputs = call(first, inputs.transpose(0, 3, 1, 2), training=training)
    expected = call(last, inputs, training=training)
    np.testing.assert_array_equal(outputs.transpose(0, 2, 3, 1), expected)
    assert first.compute_output_shape((None, 3, 12, 14)) == (None, 3, 8, 6)


def test_data_format_defaults_to_the_configured_one():
    before = keras.config.image_data_format()
    keras.config.set_image_data_format("channels_first")
    try:
        assert FractionalMaxPooling2D().data_format == "channels_first"
    finally:
        keras.config.set_image_data_format(before)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, (33, 33)),
        ({"pool_ratio": 1}, (48, 48)),
        ({"pool_ratio": 3.0}, (16, 16)),
        ({"pool_ratio": (1.26, 2.5)}, (38, 19)),
        ({"pool_ratio": np.float32(1.5)}, (32, 32)),
        ({"output_size": 7}, (7, 7)),
        ({"output_size": [48, 1]}, (48, 1)),
        ({"output_size": 20, "pool_ratio": 3}, (20, 20)),
    ],
)
def test_output_shape_is_static(arguments, expected):
    layer = FractionalMaxPooling2D(**arguments)
    assert layer.compute_output_shape((None, 48, 48, 5)) == (None, *expected, 5)
    symbolic = layer(keras.Input((48, 48, 5)), training=True)
    assert symbolic.shape == (None, *expected, 5)
    assert layer(np.zeros((1, 48, 48, 5), np.float32), training=True).shape == (1, *expected, 5)


def test_every_pair_of_sizes_that_a_ratio_names_is_exact():
    # 33 / 1.1 is 29.999999999999996 in floating point.
    for tenths in range(10, 31):
        for regions in range(1, 60):
            size = regions * tenths / 10
            if size == int(size):
                layer = FractionalMaxPooling2D(tenths / 10)
                shape = layer.compute_output_shape((1, int(size), int(size), 1))
                assert shape == (1, regions, regions, 1)


@layer_class
def test_config_and_file_round_trip(layer_class, tmp_path):
    layer = layer_class(
        (1.3, 2), True, False, seed=4, output_size=(5, 6), data_format="channels_last", name="pool"
    )
    again = layer_class.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    assert (again.pool_ratio, again.output_size) == ((1.3, 2.0), (5, 6))
    assert (again.overlapping, again.pseudo_random, again.seed) == (True, False, 4)

    model = keras.Sequential([keras.Input((12, 14, 3)), layer])
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert type(loaded.get_layer("pool")) is layer_class
    assert loaded.get_layer("pool").get_config() == layer.get_config()
    inputs = pictures()
    np.testing.assert_array_equal(call(loaded, inputs), call(model, inputs))


@layer_class
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "float16", "float64"])
def test_dtypes(layer_class, policy):
    if policy == "float64" and BACKEND == "jax":
        pytest.skip("JAX has float64 only where it is switched on for the whole process")
    if policy == "float64" and BACKEND == "torch" and layer_class is FractionalMaxPooling2D:
        pytest.skip("keras.ops.maximum of two float64 tensors is float32 on PyTorch")
    layer = layer_class(1.44, seed=0, dtype=policy)
    expected = {"mixed_bfloat16": "bfloat16"}.get(policy, policy)
    for training in (False, True):
        outputs = layer(pictures(), training=training)
        assert keras.backend.standardize_dtype(outputs.dtype) == expected
    assert keras.backend.standardize_dtype(layer(keras.Input((12, 14, 3))).dtype) == expected


def small_model(layer_class, overlapping=True, dtype=None):
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((12, 12, 2)),
            keras.layers.Conv2D(4, 3, padding="same", dtype=dtype),
            layer_class(1.44, overlapping, seed=0, dtype=dtype),
            layer_class(1.6, pseudo_random=False, seed=1, dtype=dtype),
            keras.layers.Flatten(dtype=dtype),
            keras.layers.Dense(1, dtype=dtype),
        ]
    )


@layer_class
@pytest.mark.parametrize("compiled", [False, True])
def test_fit(layer_class, compiled):
    if compiled and BACKEND == "torch":
        pytest.skip("XLA is not PyTorch's compiler")
    model = small_model(layer_class, dtype="mixed_bfloat16" if compiled else None)
    model.compile(keras.optimizers.SGD(0.01), "mse", jit_compile=compiled)
    before = model.get_weights()
    model.fit(pictures(16, 12, 12, 2), np.ones((16, 1)), batch_size=8, verbose=0)
    assert all(np.isfinite(after).all() for after in model.get_weights())
    assert all(not np.array_equal(*pair) for pair in zip(before, model.get_weights(), strict=True))


@tensorflow_alone
@layer_class
def test_a_compiled_function_draws_anew_and_pools_as_a_plain_one(layer_class):
    import tensorflow as tf

    layer = layer_class(1.44, True, seed=0)
    inputs = tf.constant(pictures(height=24, width=24))
    rows, columns = (tf.constant(sequences.central(24, 16)) for _ in range(2))

    @tf.function(jit_compile=True)
    def compiled(inputs, rows, columns):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = layer.pool(inputs, rows, columns)
        return outputs, tape.gradient(outputs, inputs)

    @tf.function(jit_compile=True)
    def drawn(inputs):
        return layer(inputs, training=True)

    with tf.GradientTape() as tape:
        tape.watch(inputs)
        expected = layer.pool(inputs, rows, columns)
    expected_gradient = tape.gradient(expected, inputs)
    outputs, gradient = compiled(inputs, rows, columns)
    np.testing.assert_allclose(outputs, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-5, atol=1e-6)
    draws = [drawn(inputs).numpy() for _ in range(4)]
    assert any(not np.array_equal(a, b) for a, b in itertools.pairwise(draws))


@tensorflow_alone
@layer_class
@pytest.mark.parametrize("quantization", ["float32", "int8"])
def test_export_has_builtins_alone_and_no_variables(layer_class, quantization, tmp_path):
    from keras_affect.export import to_litert

    keras.utils.set_random_seed(0)
    inputs = keras.Input((24, 24, 1))
    x = keras.layers.Rescaling(1 / 255)(inputs)
    x = keras.layers.Conv2D(8, 3, padding="same", activation="relu")(x)
    x = layer_class(1.44, overlapping=True)(x)
    x = keras.layers.Conv2D(8, 3, activation="relu")(x)
    x = layer_class((1.3, 2.5), pseudo_random=False)(x)
    x = keras.layers.Flatten()(x)
    model = keras.Model(inputs, keras.layers.Dense(8, activation="softmax")(x), name="pooling")
    images = np.random.default_rng(0).integers(0, 256, (16, 24, 24, 1)).astype(np.float32)
    assert np.ptp(model.predict(images, verbose=0), axis=0).max() > 0.01
    report = to_litert(model, tmp_path / "model.tflite", quantization, calibration=images)
    # `to_litert` refuses operators that are not builtin and variables, and a float32 file that
    # is further than 1e-4 from the model.
    assert "GATHER" in report.operators
    limit = 1e-4 if quantization == "float32" else 0.05
    assert max(report.largest_error.values()) < limit


RATIO = (
    "Invalid value for argument `pool_ratio`. Expected a number in [1, 3], or a pair "
    "(height, width) of them. Received: pool_ratio={!r}"
)
SIZE = (
    "Invalid value for argument `output_size`. Expected an integer of 1 or more, a pair "
    "(height, width) of them, or None. Received: output_size={!r}"
)


@layer_class
@pytest.mark.parametrize(
    "value", [0.5, 3.01, -1.44, float("nan"), float("inf"), "1.44", True, None, (1.2,), (1, 0.5)]
)
def test_refused_ratios(layer_class, value):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole text is compared
        layer_class(value)
    assert str(caught.value) == RATIO.format(value)


@layer_class
@pytest.mark.parametrize("value", [0, -2, 2.5, "3", True, (4, 4, 4), (4, 0)])
def test_refused_output_sizes(layer_class, value):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole text is compared
        layer_class(output_size=value)
    assert str(caught.value) == SIZE.format(value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"overlapping": 1},
            "Invalid value for argument `overlapping`. Expected True or False. "
            "Received: overlapping=1",
        ),
        (
            {"pseudo_random": "yes"},
            "Invalid value for argument `pseudo_random`. Expected True or False. "
            "Received: pseudo_random='yes'",
        ),
        (
            {"data_format": "NHWC"},
            'Invalid value for argument `data_format`. Expected "channels_last", '
            "\"channels_first\" or None. Received: data_format='NHWC'",
        ),
    ],
)
def test_refused_arguments(arguments, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole text is compared
        FractionalMaxPooling2D(**arguments)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("arguments", "shape", "message"),
    [
        (
            {},
            (None, None, 48, 3),
            "Invalid value for argument `inputs`. Expected a fixed height and width, which the "
            "regions are made for. Received: shape (None, None, 48, 3)",
        ),
        (
            {"output_size": (10, 20)},
            (None, 12, 16, 3),
            "Invalid value for argument `output_size`. Expected no more than the inputs' height "
            "and width, (12, 16). Received: output_size=(10, 20)",
        ),
        (
            {"pool_ratio": 2.5},
            (None, 2, 16, 3),
            "Invalid value for argument `pool_ratio`. Expected no more than the inputs' height "
            "and width, (2, 16). Received: pool_ratio=(2.5, 2.5)",
        ),
    ],
)
def test_refused_shapes(arguments, shape, message):
    layer = FractionalMaxPooling2D(**arguments)
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole text is compared
        layer.compute_output_shape(shape)
    assert str(caught.value) == message
    with pytest.raises(ValueError, match="Invalid value for argument"):
        layer(keras.Input(shape[1:]))


def test_refused_rank():
    with pytest.raises(ValueError, match="expected ndim=4"):
        FractionalMaxPooling2D()(np.zeros((2, 8, 8), np.float32))
