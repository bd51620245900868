import keras
import numpy as np
import pytest
from keras import ops

from keras_affect.augmentation import Cutout
from tests.augmentation.gradients import differences, gradient

tensorflow_only = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow",
    reason="tf.data runs keras.ops on the TensorFlow backend alone",
)
# XLA compiles for TensorFlow and JAX.
COMPILED = [False, True] if keras.backend.backend() != "torch" else [False]


def pictures(count=4, height=20, width=16, channels=3, seed=0):
    shape = (count, height, width, channels)
    return np.random.default_rng(seed).uniform(1, 255, shape).astype("float32")


def cut(images, centres, size, fill_value):
    """The rule once more, by slices, a picture at a time."""
    out = images.copy()
    for picture, (row, column) in zip(out, centres, strict=True):
        fill = picture.mean(axis=(0, 1)) if fill_value == "mean" else fill_value
        top, left = row - size // 2, column - size // 2
        picture[max(top, 0) : top + size, max(left, 0) : left + size] = fill
    return out


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("fill_value", ["mean", 0.0, 128])
@pytest.mark.parametrize("size", [1, 6, 7, 16])
def test_against_slices(size, fill_value, data_format):
    images = pictures()
    # Inside, over two corners, over one side.
    centres = np.array([[9, 8], [0, 0], [19, 15], [10, 14]], "int32")
    layer = Cutout(size, fill_value=fill_value, data_format=data_format)
    given = images.transpose(0, 3, 1, 2) if data_format == "channels_first" else images
    ours = ops.convert_to_numpy(layer.apply(ops.convert_to_tensor(given), centres))
    if data_format == "channels_first":
        ours = ours.transpose(0, 2, 3, 1)
    expected = cut(images, centres, size, fill_value)
    np.testing.assert_allclose(ours, expected, rtol=1e-5)
    assert (expected != images).any(axis=(1, 2, 3)).all()


def test_centres_are_uniform_over_all_pixels():
    count = 60_000
    images = np.zeros((count, 5, 4, 1), "float32")
    centres = ops.convert_to_numpy(Cutout(2, seed=1).draw(images))
    assert centres.dtype == np.int32
    seen = np.zeros((5, 4))
    np.add.at(seen, tuple(centres.T), 1)
    # 20 pixels: each count is binomial.
    deviation = np.sqrt(count * (1 / 20) * (19 / 20))
    assert np.abs(seen - count / 20).max() < 4 * deviation


@pytest.mark.parametrize("seeds", [(5, 5), (5, 6)])
def test_seeds(seeds):
    images = pictures(64)
    first, second = (
        ops.convert_to_numpy(Cutout(6, seed=seed)(images, training=True)) for seed in seeds
    )
    assert np.array_equal(first, second) == (seeds[0] == seeds[1])
    layer = Cutout(6, seed=seeds[0])
    again = [ops.convert_to_numpy(layer(images, training=True)) for _ in range(2)]
    assert not np.array_equal(*again)


def test_one_square_a_picture_and_nothing_else():
    images = pictures(200)
    changed = ops.convert_to_numpy(Cutout(6, fill_value=0, seed=0)(images, training=True)) == 0
    for square in changed[..., 0]:
        rows, columns = square.any(axis=1), square.any(axis=0)
        assert 3 <= rows.sum() <= 6
        assert 3 <= columns.sum() <= 6
        assert square.sum() == rows.sum() * columns.sum()
        assert np.diff(np.flatnonzero(rows)).max() == 1
    assert (changed == changed[..., :1]).all()
    whole = changed[..., 0].sum(axis=(1, 2)) == 36
    # A whole square needs its centre in 15 of 20 rows and 11 of 16 columns.
    assert abs(whole.mean() - 15 / 20 * 11 / 16) < 4 * 0.5 / np.sqrt(200)


def test_single_picture_and_integers():
    picture = pictures(1)[0].astype("uint8")
    layer = Cutout(5, fill_value=300, seed=0)
    out = layer(picture, training=True)
    assert tuple(out.shape) == picture.shape
    assert keras.backend.standardize_dtype(out.dtype) == "float32"
    assert ops.convert_to_numpy(out).max() == 300
    np.testing.assert_array_equal(ops.convert_to_numpy(layer(picture)), picture)


@pytest.mark.parametrize("dtype", ["float16", "mixed_bfloat16"])
def test_half_precision(dtype):
    # In float16 the sum over 48x48 white pixels would be infinite.
    images = np.full((3, 48, 48, 1), 255, "float32")
    layer = Cutout(12, dtype=dtype)
    out = layer(images, training=True)
    assert keras.backend.standardize_dtype(out.dtype) == layer.compute_dtype
    np.testing.assert_array_equal(ops.convert_to_numpy(ops.cast(out, "float32")), 255)


def test_nothing_at_inference():
    images = pictures()
    layer = Cutout(6, seed=0)
    for out in (layer(images), layer(images, training=False)):
        np.testing.assert_array_equal(ops.convert_to_numpy(out), images)
    np.testing.assert_array_equal(ops.convert_to_numpy(layer.seed_generator.state), [0, 0])


@pytest.mark.parametrize("jit_compile", COMPILED)
def test_in_a_model(tmp_path, jit_compile):
    inputs = keras.Input((12, 12, 1))
    x = Cutout(5, fill_value=7.5, seed=3, name="cut")(inputs)
    assert x.shape == (None, 12, 12, 1)
    outputs = keras.layers.Dense(2)(keras.layers.Flatten()(x))
    model = keras.Model(inputs, outputs)
    model.compile("sgd", "mse", jit_compile=jit_compile)
    images = pictures(8, 12, 12, 1) / 255
    before = ops.convert_to_numpy(model.get_layer("cut").seed_generator.state).copy()
    model.fit(images, np.zeros((8, 2)), batch_size=4, verbose=0)
    after = ops.convert_to_numpy(model.get_layer("cut").seed_generator.state)
    assert not np.array_equal(before, after), "no square was drawn in training"
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.get_layer("cut").get_config() == model.get_layer("cut").get_config()
    expected = model.predict(images, verbose=0)
    np.testing.assert_allclose(loaded.predict(images, verbose=0), expected, rtol=1e-6)
    np.testing.assert_allclose(ops.convert_to_numpy(model(images)), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("fill_value", [0.0, "mean"])
def test_gradient_is_that_of_what_is_left(fill_value):
    images, upstream = pictures(2, 6, 5, 1), pictures(2, 6, 5, 1, seed=1)
    layer, centres = Cutout(4, fill_value=fill_value), np.array([[2, 4], [3, 2]], "int32")

    def function(images):
        return layer.apply(images, centres)

    ours = gradient(function, images, upstream)
    left = cut(np.ones_like(images), centres, 4, 0)
    expected = left * upstream
    if fill_value == "mean":
        # Each pixel is a thirtieth of what the square is filled with.
        expected = expected + ((1 - left) * upstream).sum(axis=(1, 2), keepdims=True) / 30
    np.testing.assert_allclose(ours, expected, rtol=1e-5)
    # The function is linear: a large step has no error but rounding's.
    by_steps = differences(function, images, upstream, step=16.0)
    np.testing.assert_allclose(ours, by_steps, rtol=1e-3, atol=0.05)


@tensorflow_only
def test_same_squares_at_any_number_of_parallel_calls():
    import tensorflow as tf

    from keras_affect.augmentation import with_keys

    images = pictures(64)
    layer = Cutout(6)

    def passes(calls, seed=0):
        data = with_keys(tf.data.Dataset.from_tensor_slices(images).batch(4), seed=seed)
        data = data.map(lambda keys, batch: layer(batch, keys), num_parallel_calls=calls)
        assert data.element_spec.shape[1:] == images.shape[1:]
        return [np.concatenate(list(data.as_numpy_iterator())) for _ in range(2)]

    one, many = passes(1), passes(8)
    np.testing.assert_array_equal(one, many)
    assert not np.array_equal(one[0], one[1]), "the second epoch has squares of its own"
    assert not np.array_equal(one, passes(8, seed=1))
    assert ((one[0] != images).any(axis=(1, 2, 3))).all()


@tensorflow_only
def test_squares_are_functions_of_the_picture_s_key_alone():
    import tensorflow as tf

    from keras_affect.datasets.draws import example_keys

    images = pictures(6)
    layer = Cutout(6)
    keys = example_keys(0, tf.constant(0, tf.int64), tf.range(6, dtype=tf.int64))
    whole = layer(images, keys).numpy()
    np.testing.assert_allclose(layer(images[[4, 2]], tf.gather(keys, [4, 2])), whole[[4, 2]])
    np.testing.assert_allclose(layer(images[3], keys[3]), whole[3], rtol=1e-6)


def test_keys_without_tensorflow():
    if keras.backend.backend() == "tensorflow":
        pytest.skip("keys are for the TensorFlow backend")
    with pytest.raises(ValueError, match=r"`keys`. Expected None.*Received: keys with backend"):
        Cutout(6)(pictures(), np.arange(4))


@tensorflow_only
def test_in_tf_data_without_keys():
    import tensorflow as tf

    layer = Cutout(6, seed=0)
    data = tf.data.Dataset.from_tensor_slices(pictures(8)).batch(4)
    data = data.map(lambda batch: layer(batch, training=True))
    first, second = (np.concatenate(list(data.as_numpy_iterator())) for _ in range(2))
    assert not np.array_equal(first, second)


@tensorflow_only
def test_inference_graph_has_no_trace_of_it():
    import tensorflow as tf

    layer = Cutout(14)
    spec = tf.TensorSpec((None, 48, 48, 1), tf.float32)

    def operators(training):
        function = tf.function(lambda images: layer(images, training=training))
        graph = function.get_concrete_function(spec).graph
        return {operator.type for operator in graph.get_operations()}

    assert operators(training=False) <= {"Placeholder", "Identity", "NoOp"}
    assert "ReadVariableOp" in operators(training=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": 0}, "`size`. Expected an integer of 1 or more. Received: size=0"),
        ({"size": 2.5}, "`size`. Expected an integer of 1 or more. Received: size=2.5"),
        ({"size": True}, "`size`. Expected an integer of 1 or more. Received: size=True"),
        ({"size": "8"}, "`size`. Expected an integer of 1 or more. Received: size='8'"),
        (
            {"size": 8, "fill_value": float("nan")},
            '`fill_value`. Expected "mean" or a finite number. Received: fill_value=nan',
        ),
        (
            {"size": 8, "fill_value": "median"},
            "`fill_value`. Expected \"mean\" or a finite number. Received: fill_value='median'",
        ),
        (
            {"size": 8, "data_format": "NHWC"},
            '`data_format`. Expected "channels_last" or "channels_first". '
            "Received: data_format='NHWC'",
        ),
        ({"size": 8, "seed": 0.5}, "`seed`. Expected None or an integer. Received: seed=0.5"),
    ],
    ids=str,
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011, the whole text is compared
        Cutout(**arguments)
    assert str(caught.value) == f"Invalid value for argument {message}"


@pytest.mark.parametrize("shape", [(2, 8, 20, 1), (2, 20, 8, 1), (20, 8, 1)])
def test_square_larger_than_the_picture(shape):
    expected = (
        "Invalid value for argument `size`. Expected at most the images' height and width. "
        f"Received: size=9 for images of shape {shape}"
    )
    for training in (False, True):
        with pytest.raises(ValueError, match="size=9") as caught:
            Cutout(9)(np.zeros(shape, "float32"), training=training)
        assert expected in str(caught.value)
    with pytest.raises(ValueError, match="size=9"):
        Cutout(9)(keras.KerasTensor((None, *shape[-3:])))


def test_wrong_rank():
    with pytest.raises(ValueError, match=r"argument `images`.*Received: shape \(20, 20\)"):
        Cutout(9)(np.zeros((20, 20), "float32"))
