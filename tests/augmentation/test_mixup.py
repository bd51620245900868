import keras
import numpy as np
import pytest
from keras import ops, tree

from keras_affect.augmentation import Mixup
from keras_affect.losses import MaskedMeanSquaredError
from tests.augmentation.gradients import differences, gradient

tensorflow_only = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow",
    reason="tf.data runs keras.ops on the TensorFlow backend alone",
)
SHARES = np.array([0.9, 0.25, 1.0, 0.5, 0.0], "float32")
PARTNERS = np.array([3, 0, 4, 3, 1], "int32")


def batch(count=5, seed=0):
    random = np.random.default_rng(seed)
    images = random.uniform(0, 255, (count, 6, 4, 1)).astype("float32")
    emotion = random.dirichlet(np.ones(8), count).astype("float32")
    valence_arousal = random.uniform(-1, 1, (count, 2)).astype("float32")
    return images, {"emotion": emotion, "valence_arousal": valence_arousal}


def mixed(values, shares=SHARES, partners=PARTNERS):
    """The rule once more, a row at a time, in float64."""
    rows = zip(values, shares, partners, strict=True)
    values64 = values.astype("float64")
    return np.stack([float(s) * row + (1 - float(s)) * values64[p] for row, s, p in rows])


def numpy(result):
    return tree.map_structure(
        lambda leaf: leaf if leaf is None else ops.convert_to_numpy(leaf), result
    )


def apply(*data, mask_missing=False):
    mixup = Mixup(mask_missing=mask_missing)
    return numpy(mixup.apply(*data, shares=SHARES, partners=PARTNERS))


def close(ours, expected):
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-5)


def test_pictures_labels_and_weights_against_rows():
    images, labels = batch()
    weights = np.array([1, 0.5, 2, 0, 3], "float32")
    ours = apply(images, labels, weights)
    assert len(ours) == 3
    close(ours[0], mixed(images))
    close(ours[1]["emotion"], mixed(labels["emotion"]))
    close(ours[1]["valence_arousal"], mixed(labels["valence_arousal"]))
    close(ours[2], mixed(weights))
    close(ours[1]["emotion"].sum(axis=1), 1)
    assert np.abs(ours[0] - images).max() > 50


def test_as_many_parts_as_were_given():
    images, labels = batch()
    assert len(apply(images)) == 1
    assert len(apply(images, labels)) == 2
    with_weights = apply(images, None, np.ones(5, "float32"))
    assert with_weights[1] is None
    close(with_weights[2], 1)


@pytest.mark.parametrize(
    "labels",
    [
        np.arange(5, dtype="float32"),
        np.arange(30, dtype="float16").reshape(5, 3, 2),
        [np.ones((5, 2), "float32"), (np.zeros(5, "float32"), {"a": np.eye(5, dtype="float32")})],
    ],
    ids=["vector", "half, rank 3", "nested"],
)
def test_any_tree_of_labels(labels):
    images, _ = batch()
    _, ours = apply(images, labels)
    tree.assert_same_structure(labels, ours)
    for leaf, expected in zip(tree.flatten(ours), tree.flatten(labels), strict=True):
        assert leaf.shape == expected.shape
        assert leaf.dtype == expected.dtype
        np.testing.assert_allclose(leaf, mixed(expected), rtol=2e-3, atol=1e-3)


def test_integer_pictures_and_weights_become_floats():
    images = np.arange(5 * 24, dtype="uint8").reshape(5, 6, 4, 1)
    ours = apply(images, None, np.arange(5))
    assert ours[0].dtype == ours[2].dtype == np.float32
    close(ours[0], mixed(images))
    close(ours[2], mixed(np.arange(5)))


def test_nan_never_spreads():
    images, labels = batch()
    points = labels["valence_arousal"]
    points[0] = np.nan  # mixed with 3, which is there; 1 is mixed with 0
    points[3, 1] = np.nan  # mixed with itself, and half of it is there
    _, ours = apply(images, labels)
    ours = ours["valence_arousal"]
    expected = mixed(np.nan_to_num(points))
    expected[0, 0] = points[3, 0]
    expected[0, 1] = np.nan  # neither has it
    expected[1] = points[1]
    expected[3, 1] = np.nan
    close(ours, expected)


def test_masks_of_missing_labels_are_mixed_into_weights():
    images, labels = batch()
    labels["emotion"][2] = 0
    labels["valence_arousal"][[0, 3]] = np.nan  # 0's partner is 3: both are missing
    given = np.array([1, 2, 1, 1, 4], "float32")
    there = {"emotion": np.ones(5), "valence_arousal": np.array([0, 1, 1, 0, 1])}
    for weights in (None, given, dict.fromkeys(labels, given)):
        _, ours, masks = apply(images, labels, weights, mask_missing=True)
        for name in labels:
            scale = np.ones(5) if weights is None else given
            close(masks[name], mixed(scale * there[name]))
        assert np.isfinite(ours["valence_arousal"]).all()
        close(ours["valence_arousal"][0], 0)
        close(ours["valence_arousal"][1], labels["valence_arousal"][1])
        # An all-0 row carries its own mask: what is left sums to the share of what was there.
        close(ours["emotion"].sum(axis=1), mixed(np.array([1, 1, 0, 1, 1])))
    assert masks["valence_arousal"][0] == 0


def test_masked_loss_is_the_sum_of_what_its_parts_know():
    """A squared error with a share of a label that isn't there counts for the other share."""
    images, labels = batch(2)
    points = labels["valence_arousal"]
    points[1] = np.nan
    shares, partners = np.array([0.7, 0.4], "float32"), np.array([1, 0], "int32")
    mixup = Mixup(mask_missing=True)
    _, ours, weights = numpy(mixup.apply(images, points, shares=shares, partners=partners))
    close(ours, points[[0, 0]])
    close(weights, [0.7, 0.6])
    loss = keras.losses.MeanSquaredError()(ours, np.zeros((2, 2)), sample_weight=weights)
    close(ops.convert_to_numpy(loss), (0.7 + 0.6) * (points[0] ** 2).mean() / 2)


def test_a_part_that_both_lack_is_not_learnt_as_0():
    """Valence was rated and arousal was not: no loss may pull arousal towards 0."""
    points = np.array([[0.5, np.nan], [0.2, np.nan], [np.nan, np.nan]], "float32")
    shares, partners = np.array([0.7, 0.4, 1.0], "float32"), np.array([1, 0, 2], "int32")
    mixup = Mixup(mask_missing=True)
    _, ours, weights = numpy(mixup.apply(batch(3)[0], points, shares=shares, partners=partners))
    close(ours, [[0.41, np.nan], [0.38, np.nan], [0, 0]])
    close(weights, [1, 1, 0])
    predicted = np.array([[0.1, 0.9], [0.2, 0.8], [0.3, 0.7]], "float32")
    loss = MaskedMeanSquaredError()(ours, predicted, sample_weight=weights)
    valence_alone = MaskedMeanSquaredError()(ours[:, :1], predicted[:, :1], sample_weight=weights)
    close(ops.convert_to_numpy(loss), ops.convert_to_numpy(valence_alone))


@pytest.mark.parametrize("alpha", [1e-3, 0.05, 0.2, 1.0, 3, 1e4])
def test_shares_are_beta_distributed(alpha):
    count = 50_000
    shares = ops.convert_to_numpy(Mixup(alpha, seed=0).draw(count)[0]).astype("float64")
    assert shares.min() >= 0
    assert shares.max() <= 1
    variance = 1 / (4 * (2 * alpha + 1))
    assert abs(shares.mean() - 0.5) < 5 * np.sqrt(variance / count)
    # Bounded in [0, 1]: the squares' spread is at most the variance times 1/4.
    assert abs(((shares - 0.5) ** 2).mean() - variance) < 5 * np.sqrt(variance / 4 / count)
    # Against NumPy's own generator, at every tenth of the distribution.
    twin = np.random.default_rng(1).beta(alpha, alpha, count)
    for level in np.quantile(twin, np.arange(0.1, 1, 0.1)):
        # In float32 what lies within 6e-8 of 0 or 1 is 0 or 1.
        level = np.clip(level, 1e-6, 1 - 1e-6)
        ours, theirs = (shares <= level).mean(), (twin <= level).mean()
        assert abs(ours - theirs) < 5 * np.sqrt(2 * 0.25 / count)


def test_shares_tell_nothing_of_partners():
    shares, partners = numpy(Mixup(1.0, seed=0).draw(20_000))
    assert abs(np.corrcoef(shares, partners)[0, 1]) < 5 / np.sqrt(20_000)
    assert abs(np.corrcoef(np.arange(20_000), partners)[0, 1]) < 5 / np.sqrt(20_000)
    np.testing.assert_array_equal(np.sort(partners), np.arange(20_000))


def test_gradient():
    images, upstream = batch()[0][:, :3, :2], batch(seed=1)[0][:, :3, :2]

    def function(images):
        return Mixup().apply(images, shares=SHARES, partners=PARTNERS)[0]

    ours = gradient(function, images, upstream)
    shares = SHARES.astype("float64")[:, None, None, None]
    expected = shares * upstream
    np.add.at(expected, PARTNERS, (1 - shares) * upstream)
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(
        ours, differences(function, images, upstream, step=16.0), rtol=1e-3, atol=0.05
    )


def test_one_share_a_sample_or_a_batch():
    images, labels = batch(64)
    for mode, kinds in (("sample", 64), ("batch", 1)):
        shares, partners = numpy(Mixup(1.0, mode=mode, seed=2).draw(64))
        assert shares.shape == (64,)
        assert len(np.unique(shares)) == kinds
        assert len(np.unique(partners)) == 64
    images, labels = numpy(Mixup(1.0, mode="batch", seed=2)(images, labels))
    close(labels["emotion"].sum(axis=1), 1)


@pytest.mark.parametrize("seeds", [(5, 5), (5, 6)])
def test_seeds(seeds):
    images, _ = batch(16)
    first, second = (numpy(Mixup(1.0, seed=seed)(images))[0] for seed in seeds)
    assert np.array_equal(first, second) == (seeds[0] == seeds[1])
    mixup = Mixup(1.0, seed=seeds[0])
    again = [numpy(mixup(images))[0] for _ in range(2)]
    np.testing.assert_array_equal(again[0], first)
    assert not np.array_equal(*again)


def test_mean_over_draws_is_the_mean_of_the_batch():
    images, _ = batch(8)
    mixup = Mixup(0.2, seed=0)
    many = np.stack([numpy(mixup(images))[0] for _ in range(144)])
    # Half of itself, half of the batch's mean (itself is its own partner one time in 8).
    expected = 0.5 * images + 0.5 * images.mean(axis=0)
    assert np.abs(many.mean(axis=0) - expected).max() < 5 * many.std(axis=0).max() / 12


def test_configuration():
    mixup = Mixup(0.4, mode="batch", mask_missing=True, seed=3)
    config = keras.saving.serialize_keras_object(mixup)
    again = keras.saving.deserialize_keras_object(config)
    assert isinstance(again, Mixup)
    assert again.get_config() == mixup.get_config()
    images, labels = batch()
    for ours, expected in zip(
        tree.flatten(numpy(again(images, labels))),
        tree.flatten(numpy(mixup(images, labels))),
        strict=True,
    ):
        np.testing.assert_array_equal(ours, expected)


def two_heads():
    inputs = keras.Input((6, 4, 1))
    x = keras.layers.Rescaling(1 / 255)(inputs)
    x = keras.layers.Flatten()(x)
    return keras.Model(
        inputs,
        {
            "emotion": keras.layers.Dense(8, activation="softmax", name="emotion")(x),
            "valence_arousal": keras.layers.Dense(2, activation="tanh", name="va")(x),
        },
    )


# XLA compiles for TensorFlow and JAX.
@pytest.mark.parametrize(
    "jit_compile", [False, True] if keras.backend.backend() != "torch" else [False]
)
def test_fit_takes_what_it_gives(jit_compile):
    images, labels = batch(16)
    labels["valence_arousal"][::3] = np.nan
    data = Mixup(seed=0, mask_missing=True)(images, labels)
    model = two_heads()
    model.compile(
        "sgd",
        {"emotion": "categorical_crossentropy", "valence_arousal": "mse"},
        jit_compile=jit_compile,
    )
    images, labels, weights = numpy(data)
    history = model.fit(images, labels, sample_weight=weights, verbose=0)
    assert np.isfinite(history.history["loss"]).all()


@tensorflow_only
@pytest.mark.parametrize("weighted", [False, True])
def test_same_mixtures_at_any_number_of_parallel_calls(weighted):
    import tensorflow as tf

    from keras_affect.augmentation import with_keys

    images, labels = batch(32)
    data = (images, labels, np.linspace(0, 2, 32, dtype="float32"))[: 3 if weighted else 2]
    mixup = Mixup(1.0)

    def passes(calls, seed=0):
        keyed = with_keys(tf.data.Dataset.from_tensor_slices(data).batch(6), seed=seed)
        ready = keyed.map(lambda keys, *parts: mixup(*parts, keys=keys), num_parallel_calls=calls)
        assert len(ready.element_spec) == len(data)
        return [list(ready.as_numpy_iterator()) for _ in range(2)]

    def flat(one_pass):
        return np.concatenate([leaf.ravel() for leaf in tree.flatten(one_pass)])

    one, many = passes(1), passes(8)
    for ours, expected in zip(one, many, strict=True):
        np.testing.assert_array_equal(flat(ours), flat(expected))
    assert not np.array_equal(flat(one[0]), flat(one[1])), "each epoch mixes anew"
    assert not np.array_equal(flat(one[0]), flat(passes(1, seed=1)[0]))


@tensorflow_only
def test_fit_on_a_data_set_with_missing_labels():
    import tensorflow as tf

    from keras_affect.augmentation import with_keys

    images, labels = batch(32)
    labels["valence_arousal"][::2] = np.nan
    labels["emotion"][1::3] = 0
    mixup = Mixup(mask_missing=True)
    data = with_keys(tf.data.Dataset.from_tensor_slices((images, labels)).batch(8)).map(
        lambda keys, images, labels: mixup(images, labels, keys=keys), num_parallel_calls=4
    )
    model = two_heads()
    model.compile("sgd", {"emotion": "categorical_crossentropy", "valence_arousal": "mse"})
    history = model.fit(data, epochs=2, shuffle=False, verbose=0)
    assert np.isfinite(history.history["loss"]).all()


def test_keys_without_tensorflow():
    if keras.backend.backend() == "tensorflow":
        pytest.skip("keys are for the TensorFlow backend")
    with pytest.raises(ValueError, match=r"`keys`. Expected None.*Received: keys with backend"):
        Mixup()(batch()[0], keys=np.arange(5))


@tensorflow_only
def test_in_tf_data_without_keys():
    import tensorflow as tf

    data = tf.data.Dataset.from_tensor_slices(batch(8)).batch(8).map(Mixup(1.0, seed=0))
    first, second = (next(data.as_numpy_iterator())[0] for _ in range(2))
    assert not np.array_equal(first, second)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"alpha": 0}, "`alpha`. Expected a finite number above 0. Received: alpha=0"),
        ({"alpha": -0.1}, "`alpha`. Expected a finite number above 0. Received: alpha=-0.1"),
        (
            {"alpha": float("nan")},
            "`alpha`. Expected a finite number above 0. Received: alpha=nan",
        ),
        (
            {"alpha": float("inf")},
            "`alpha`. Expected a finite number above 0. Received: alpha=inf",
        ),
        ({"alpha": "0.5"}, "`alpha`. Expected a finite number above 0. Received: alpha='0.5'"),
        ({"alpha": True}, "`alpha`. Expected a finite number above 0. Received: alpha=True"),
        ({"mode": "row"}, '`mode`. Expected "sample" or "batch". Received: mode=\'row\''),
        (
            {"mask_missing": 1},
            "`mask_missing`. Expected True or False. Received: mask_missing=1",
        ),
        ({"seed": "1"}, "`seed`. Expected None or an integer. Received: seed='1'"),
    ],
    ids=str,
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011, the whole text is compared
        Mixup(**arguments)
    assert str(caught.value) == f"Invalid value for argument {message}"


def refused(*data):
    with pytest.raises(ValueError) as caught:  # noqa: PT011, the whole text is compared
        Mixup()(*data)
    return str(caught.value)


@pytest.mark.parametrize("dtype", ["int32", "uint8", "bool"])
def test_integer_labels_are_refused_with_the_way_out(dtype):
    images, labels = batch()
    labels["emotion"] = np.ones(5, dtype)
    assert refused(images, labels) == (
        "Invalid value for argument `labels`. Expected floating-point labels: numbers of classes "
        "cannot be mixed, their shares can, so turn them into keras.ops.one_hot(labels, classes) "
        "first, with a loss such as categorical_crossentropy. Received: labels['emotion'] of "
        f"dtype {dtype}"
    )
    assert "Received: labels of dtype" in refused(images, labels["emotion"])


def test_labels_of_the_wrong_shape():
    images, labels = batch()
    expected = "Invalid value for argument `labels`. Expected shape (5, ...), a row an image. "
    assert refused(images, np.float32(1)) == expected + "Received: labels of shape ()"
    labels["emotion"] = np.ones((4, 8), "float32")
    assert refused(images, labels) == expected + "Received: labels['emotion'] of shape (4, 8)"


def test_pictures_of_the_wrong_rank():
    images, _ = batch()
    assert refused(images[..., 0]) == (
        "Invalid value for argument `images`. Expected shape (batch, height, width, channels). "
        "Received: shape (5, 6, 4)"
    )


def test_weights_that_fit_neither():
    images, labels = batch()
    one = np.ones(5, "float32")
    assert refused(images, labels, one[:3]) == (
        "Invalid value for argument `sample_weight`. Expected shape (5,). Received: shape (3,)"
    )
    assert refused(images, labels, {"emotion": one}) == (
        "Invalid value for argument `sample_weight`. Expected a tensor, or a tree in the labels' "
        "structure. Received: shapes {'emotion': (5,)}"
    )
