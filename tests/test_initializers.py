import keras
import numpy as np
import pytest
from keras import ops

from keras_affect.initializers import MSRA, Fixup, Xavier, ZeroResidual


def values(initializer, shape):
    return ops.convert_to_numpy(initializer(shape))


# Kernel, and what its outputs sum over.
DENSE = ((300, 200), False, 300)
CONVOLUTION = ((3, 3, 40, 60), False, 360)
ONE_AXIS = ((5, 64, 128), False, 320)
GROUPS = ((3, 3, 16, 64), False, 144)
DEPTHWISE = ((3, 5, 640, 2), True, 15)
DEPTHWISE_ONE_AXIS = ((7, 2_000, 1), True, 7)


@pytest.mark.parametrize("distribution", ["normal", "truncated_normal", "uniform"])
@pytest.mark.parametrize(
    "kernel", [DENSE, CONVOLUTION, ONE_AXIS, GROUPS, DEPTHWISE, DEPTHWISE_ONE_AXIS], ids=str
)
def test_standard_deviations(kernel, distribution):
    shape, depthwise, inputs = kernel
    arguments = {"depthwise": depthwise, "distribution": distribution, "seed": 3}
    for initializer, expected in (
        (Xavier(**arguments), inputs**-0.5),
        (MSRA(**arguments), (2 / inputs) ** 0.5),
        (Fixup(16, **arguments), (2 / inputs) ** 0.5 / 4),
        (Fixup(16, layers_per_block=3, **arguments), (2 / inputs) ** 0.5 / 2),
    ):
        assert initializer.standard_deviation(shape) == pytest.approx(expected)
        drawn = values(initializer, shape).astype("float64")
        assert drawn.shape == shape
        # The deviation of n normal draws is known to 1 / sqrt(2 n); the others' to less.
        error = 5 / np.sqrt(2 * drawn.size)
        assert drawn.std() == pytest.approx(expected, rel=error)
        assert abs(drawn.mean()) < 5 * expected / np.sqrt(drawn.size)


def test_average_of_the_fans():
    assert Xavier("fan_avg").standard_deviation((300, 100)) == pytest.approx((2 / 400) ** 0.5)
    fans = (9 * 40 + 9 * 60) / 2
    assert Xavier("fan_avg").standard_deviation((3, 3, 40, 60)) == pytest.approx(fans**-0.5)
    # A channel of a depthwise convolution reaches its own `multiplier` outputs alone.
    depthwise = Xavier("fan_avg", depthwise=True).standard_deviation((3, 3, 40, 2))
    assert depthwise == pytest.approx(((9 + 18) / 2) ** -0.5)


def test_distributions_differ_in_their_tails():
    drawn = {
        name: values(MSRA(distribution=name, seed=0), (200, 500)) / (2 / 200) ** 0.5
        for name in ("normal", "truncated_normal", "uniform")
    }
    assert np.abs(drawn["normal"]).max() > 3.5
    truncated = np.abs(drawn["truncated_normal"])
    assert truncated.max() > 2.2
    beyond = (truncated > 2.0 / 0.8796 + 1e-3).mean()
    # On PyTorch Keras draws a value four times, and one in 230,000 is beyond each time.
    assert beyond <= (1e-4 if keras.backend.backend() == "torch" else 0)
    assert 1.7 < np.abs(drawn["uniform"]).max() <= 3**0.5 + 1e-6


@pytest.mark.parametrize("shape", [(30, 20), (3, 3, 8, 16)], ids=str)
@pytest.mark.parametrize(
    ("ours", "twin"),
    [
        (Xavier("fan_avg", distribution="uniform", seed=7), keras.initializers.GlorotUniform(7)),
        (
            Xavier("fan_avg", distribution="truncated_normal", seed=7),
            keras.initializers.GlorotNormal(7),
        ),
        (Xavier(distribution="truncated_normal", seed=7), keras.initializers.LecunNormal(7)),
        (MSRA(distribution="truncated_normal", seed=7), keras.initializers.HeNormal(7)),
        (MSRA(distribution="uniform", seed=7), keras.initializers.HeUniform(7)),
    ],
    ids=["GlorotUniform", "GlorotNormal", "LecunNormal", "HeNormal", "HeUniform"],
)
def test_equal_to_keras_s_twins(ours, twin, shape):
    np.testing.assert_allclose(values(ours, shape), values(twin, shape), rtol=1e-5)
    other = Xavier("fan_in", distribution=ours.distribution, seed=8)
    assert not np.allclose(values(other, shape), values(twin, shape), rtol=1e-2)


def test_depthwise_moments_where_keras_s_shrink():
    """One depthwise convolution after ReLU keeps the second moment, whatever the channels."""
    random = np.random.default_rng(0)
    images = np.maximum(random.standard_normal((4, 16, 16, 512)), 0).astype("float32")
    moments = {}
    for name, initializer in (
        ("ours", MSRA(depthwise=True, seed=1)),
        ("told nothing", MSRA(seed=1)),
        ("keras", keras.initializers.HeNormal(1)),
    ):
        layer = keras.layers.DepthwiseConv2D(3, depthwise_initializer=initializer)
        moments[name] = np.square(ops.convert_to_numpy(layer(images))).mean()
    # 4,608 values of the kernel, in groups of 9: about 3 % of spread.
    assert moments["ours"] == pytest.approx(1, rel=0.12)
    assert moments["told nothing"] < 0.01
    assert moments["keras"] < 0.01


def moments(initializer, activation, rows=32, width=512, depth=20, seeds=20):
    """Mean square of pre-activations, `(seeds, depth)`."""
    result = np.zeros((seeds, depth))
    for seed in range(seeds):
        start = np.random.default_rng(seed).standard_normal((rows, width))
        x = ops.convert_to_tensor(start.astype("float32"))
        kernels = initializer(keras.random.SeedGenerator(seed))
        for layer in range(depth):
            z = ops.matmul(x, kernels((width, width)))
            result[seed, layer] = float(ops.mean(ops.square(z)))
            x = activation(z)
    return result


@pytest.mark.parametrize(
    ("initializer", "activation", "first"),
    [
        (lambda seed: MSRA(seed=seed), ops.relu, 2),
        (lambda seed: Xavier(seed=seed), lambda z: z, 1),
    ],
    ids=["MSRA, ReLU", "Xavier, linear"],
)
def test_second_moment_stays_through_twenty_layers(initializer, activation, first):
    seen = moments(initializer, activation)
    np.testing.assert_allclose(seen.mean(axis=0), first, rtol=0.1)
    # One layer's factor is known far better than a product of twenty: 400 draws of about 8 %.
    factors = seen[:, 1:] / seen[:, :-1]
    assert factors.mean() == pytest.approx(1, abs=0.02)


def test_second_moment_does_not_stay_by_itself():
    """The negative control: Xavier's halves under ReLU."""
    seen = moments(lambda seed: Xavier(seed=seed), ops.relu, seeds=2)
    assert (seen[:, -1] < seen[:, 0] * 2.0**-17).all()


def test_layers_that_share_an_unseeded_initializer_differ():
    shared = MSRA()
    assert not np.array_equal(values(shared, (4, 5)), values(shared, (4, 5)))
    seeded = MSRA(seed=1)
    np.testing.assert_array_equal(values(seeded, (4, 5)), values(seeded, (4, 5)))
    assert not np.array_equal(values(seeded, (4, 5)), values(MSRA(seed=2), (4, 5)))

    def from_generator():
        initializer = MSRA(seed=keras.random.SeedGenerator(5))
        return [values(initializer, (4, 5)) for _ in range(2)]

    first, second = from_generator()
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal([first, second], from_generator())


def test_global_seed_reaches_unseeded_ones():
    drawn = []
    for _ in range(2):
        keras.utils.set_random_seed(11)
        drawn.append(values(Xavier(), (4, 5)))
    np.testing.assert_array_equal(*drawn)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_dtypes(dtype):
    for initializer in (Xavier(), MSRA(), Fixup(9), ZeroResidual()):
        kernel = initializer((3, 3, 8, 8), dtype=dtype)
        assert keras.backend.standardize_dtype(kernel.dtype) == dtype
        assert bool(ops.all(ops.equal(kernel, 0))) == isinstance(initializer, ZeroResidual)


@pytest.mark.parametrize(
    "initializer",
    [
        Xavier(mode="fan_avg", distribution="uniform", seed=1),
        MSRA(depthwise=True, seed=2),
        Fixup(50, layers_per_block=3, distribution="truncated_normal", seed=3),
        ZeroResidual(),
    ],
    ids=lambda initializer: type(initializer).__name__,
)
def test_configuration(initializer, tmp_path):
    config = keras.initializers.serialize(initializer)
    again = keras.initializers.get(config)
    assert type(again) is type(initializer)
    assert again.get_config() == initializer.get_config()
    np.testing.assert_array_equal(values(again, (3, 4, 5)), values(initializer, (3, 4, 5)))
    model = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Conv2D(2, 3)])
    model.layers[0].kernel_initializer = initializer
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.layers[0].kernel_initializer.get_config() == initializer.get_config()


def test_seed_generator_in_a_configuration():
    again = MSRA.from_config(MSRA(seed=keras.random.SeedGenerator(4)).get_config())
    expected = MSRA(seed=keras.random.SeedGenerator(4))
    np.testing.assert_array_equal(values(again, (4, 5)), values(expected, (4, 5)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Xavier(mode="fan_out"),
            '`mode`. Expected "fan_in" or "fan_avg". Received: mode=\'fan_out\'',
        ),
        (lambda: MSRA(depthwise=1), "`depthwise`. Expected True or False. Received: depthwise=1"),
        (
            lambda: MSRA(distribution="gauss"),
            "`distribution`. Expected one of normal, truncated_normal, uniform. "
            "Received: distribution='gauss'",
        ),
        (
            lambda: MSRA(seed=0.5),
            "`seed`. Expected None, an integer or a keras.random.SeedGenerator. Received: seed=0.5",
        ),
        (
            lambda: Fixup(0),
            "`num_blocks`. Expected an integer of 1 or more. Received: num_blocks=0",
        ),
        (
            lambda: Fixup(True),
            "`num_blocks`. Expected an integer of 1 or more. Received: num_blocks=True",
        ),
        (
            lambda: Fixup(5, layers_per_block=1),
            "`layers_per_block`. Expected an integer of 2 or more. Received: layers_per_block=1",
        ),
        (
            lambda: MSRA()((8,)),
            "`shape`. Expected a kernel's shape (..., inputs, outputs), 2 positive dimensions or "
            "more. Received: shape=(8,)",
        ),
        (
            lambda: MSRA(depthwise=True)((8, 1)),
            "`shape`. Expected a kernel's shape (..., channels, multiplier), 3 positive "
            "dimensions or more. Received: shape=(8, 1)",
        ),
        (
            lambda: Xavier()((0, 4)),
            "`shape`. Expected a kernel's shape (..., inputs, outputs), 2 positive dimensions or "
            "more. Received: shape=(0, 4)",
        ),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011, the whole text is compared
        make()
    assert str(caught.value) == f"Invalid value for argument {message}"
