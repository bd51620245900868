import itertools

import keras
import numpy as np
import pytest
from keras import ops

from keras_affect.layers import FractionalAveragePooling2D, FractionalMaxPooling2D
from keras_affect.layers import fractional_sequences as sequences
from tests.export.conftest import convert_here  # noqa: F401

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
    layer, count = layer_class(1.5, seed=3), 150
    draws = np.stack([call(layer, inputs, training=True) for _ in range(count)])
    limit = 4.5 * values.std(0) / np.sqrt(count) + 1e-5
    assert (np.abs(draws.mean(0) - values.mean(0)) < limit).all()
    # It would be seen that regions are always the central ones.
    assert (np.abs(call(layer, inputs) - values.mean(0)) > limit).any()


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
        layer = FractionalMaxPooling2D(tenths / 10)
        for regions in range(1, 60):
            size = regions * tenths / 10
            if size == int(size):
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


@pytest.mark.parametrize("compiled", [False, True])
def test_fit(compiled):
    if compiled and BACKEND == "torch":
        pytest.skip("XLA is not PyTorch's compiler")
    keras.utils.set_random_seed(0)
    dtype = "mixed_bfloat16" if compiled else None
    model = keras.Sequential(
        [
            keras.Input((12, 12, 2)),
            keras.layers.Conv2D(4, 3, padding="same", dtype=dtype),
            FractionalMaxPooling2D(1.44, True, seed=0, dtype=dtype),
            FractionalAveragePooling2D(1.6, pseudo_random=False, seed=1, dtype=dtype),
            keras.layers.Flatten(dtype=dtype),
            keras.layers.Dense(1, dtype=dtype),
        ]
    )
    model.compile(keras.optimizers.SGD(0.01), "mse", jit_compile=compiled)
    before = model.get_weights()
    # Where the pooling alone is compiled, also a last batch that is smaller.
    count = 16 if compiled else 19
    model.fit(pictures(count, 12, 12, 2), np.ones((count, 1)), batch_size=8, verbose=0)
    assert all(np.isfinite(after).all() for after in model.get_weights())
    assert all(not np.array_equal(*pair) for pair in zip(before, model.get_weights(), strict=True))


def outputs_and_gradient(layer, inputs):
    """In training, of the sum of the outputs."""
    layer.build(inputs.shape)
    if BACKEND == "tensorflow":
        import tensorflow as tf

        inputs = tf.constant(inputs)
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = layer(inputs, training=True)
        results = outputs, tape.gradient(outputs, inputs)
    elif BACKEND == "jax":
        import jax

        def total(inputs, state):
            outputs, _ = layer.stateless_call([], state, inputs, training=True)
            return outputs.sum(), outputs

        state = [variable.value for variable in layer.non_trainable_variables]
        results = jax.jit(jax.grad(total, has_aux=True))(inputs, state)[::-1]
    else:
        inputs = ops.convert_to_tensor(inputs).requires_grad_(True)
        outputs = layer(inputs, training=True)
        outputs.sum().backward()
        results = outputs, inputs.grad
    return [ops.convert_to_numpy(result) for result in results]


@layer_class
def test_inside_a_remat_scope_the_gradient_is_of_the_regions_that_were_drawn(layer_class):
    inputs = pictures(1, 25, 25, 1)
    layer = layer_class(1.44, seed=3)
    with keras.RematScope(mode="full"):
        inside = layer_class(1.44, seed=3)
    expected = outputs_and_gradient(layer, inputs)
    result = outputs_and_gradient(inside, inputs)
    for value, other in zip(result, expected, strict=True):
        np.testing.assert_array_equal(value, other)
    # Other regions would have another gradient.
    assert not np.array_equal(outputs_and_gradient(layer_class(1.44, seed=4), inputs)[1], result[1])


@tensorflow_alone
@layer_class
@pytest.mark.parametrize(
    ("compiled", "dtype"), [(False, "float32"), (False, "float16"), (True, "float32")]
)
def test_a_graph_pools_as_eagerly(layer_class, compiled, dtype):
    import tensorflow as tf

    layer = layer_class(1.44, True, seed=0, dtype=dtype)
    any_batch = tf.TensorSpec((None, 24, 24, 3), dtype)
    # Tensors, as drawn ones are.
    rows, columns = (tf.constant(sequences.central(24, 16)) for _ in range(2))

    @tf.function(jit_compile=compiled, input_signature=[any_batch])
    def in_graph(inputs):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = layer.pool(inputs, rows, columns)
        return outputs, tape.gradient(outputs, inputs)

    tolerance = 1e-5 if dtype == "float32" else 2e-3
    for batch in (2, 3) if dtype == "float32" else (2,):
        inputs = tf.constant(pictures(batch, 24, 24), dtype)
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            expected = layer.pool(inputs, rows, columns)
        expected_gradient = tape.gradient(expected, inputs)
        outputs, gradient = in_graph(inputs)
        np.testing.assert_allclose(outputs, expected, rtol=tolerance, atol=tolerance / 10)
        np.testing.assert_allclose(gradient, expected_gradient, rtol=tolerance)


@tensorflow_alone
@pytest.mark.parametrize("compiled", [False, True])
def test_a_graph_draws_anew(compiled):
    import tensorflow as tf

    layer = FractionalMaxPooling2D(1.44, seed=0)
    drawn = tf.function(lambda inputs: layer(inputs, training=True), jit_compile=compiled)
    draws = [drawn(tf.constant(pictures(height=24, width=24))).numpy() for _ in range(4)]
    assert any(not np.array_equal(a, b) for a, b in itertools.pairwise(draws))


@tensorflow_alone
def test_a_plain_graph_compiles_the_pooling_in_training_and_nothing_at_inference():
    import tensorflow as tf

    layer = FractionalMaxPooling2D(1.44, seed=0)

    def compiled_functions(training):
        function = tf.function(lambda inputs: layer(inputs, training=training))
        graph = function.get_concrete_function(tf.TensorSpec((None, 24, 24, 3))).graph
        library = graph.as_graph_def().library.function
        return [item for item in library if item.attr["_XlaMustCompile"].b]

    assert len(compiled_functions(training=True)) == 1
    assert compiled_functions(training=False) == []


@tensorflow_alone
@pytest.mark.usefixtures("convert_here")
@pytest.mark.parametrize("quantization", ["float32", "int8"])
def test_export_has_builtins_alone_and_no_variables(quantization, tmp_path):
    from keras_affect.export import to_litert

    keras.utils.set_random_seed(0)
    inputs = keras.Input((24, 24, 1))
    x = keras.layers.Rescaling(1 / 255)(inputs)
    x = keras.layers.Conv2D(8, 3, padding="same", activation="relu")(x)
    x = FractionalMaxPooling2D(1.44, overlapping=True)(x)
    x = keras.layers.Conv2D(8, 3, activation="relu")(x)
    x = FractionalAveragePooling2D((1.3, 2.5), pseudo_random=False)(x)
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
