import numpy as np
import pytest
import tensorflow as tf

from keras_affect.datasets import draws
from keras_affect.datasets.epochs import epochs

MASK = 2**64 - 1


def splitmix64(state, steps):
    """SplitMix64 in Python's integers: the output after `steps` steps."""
    z = (state + steps * 0x9E3779B97F4A7C15) & MASK
    return mix(z)


def mix(z):
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def keys_of(seed=0, epoch=0, indices=(0,)):
    return draws.example_keys(seed, tf.constant(epoch, tf.int64), tf.constant(indices, tf.int64))


def test_reference_is_splitmix64():
    # The first outputs for seed 1234567, as published with the reference implementation.
    assert [splitmix64(1234567, n) for n in (1, 2, 3)] == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
    ]


@pytest.mark.parametrize(("seed", "epoch", "index"), [(0, 0, 0), (7, 3, 28_560), (2**31 - 1, 9, 5)])
def test_keys_and_draws_against_pure_python(seed, epoch, index):
    key = splitmix64(splitmix64(mix(seed), epoch + 1), index + 1)
    assert int(keys_of(seed, epoch, [index])[0]) == key
    expected = [(splitmix64(splitmix64(key, 3), n + 1) >> 40) / 2**24 for n in range(5)]
    drawn = draws.uniform(keys_of(seed, epoch, [index]), 5, stream=2)
    np.testing.assert_array_equal(drawn[0], np.array(expected, np.float32))


def test_draws_do_not_depend_on_the_batch():
    alone = draws.uniform(keys_of(1, 2, [5]), 4)
    among = draws.uniform(keys_of(1, 2, [9, 5, 0]), 4)
    np.testing.assert_array_equal(alone[0], among[1])
    assert not np.array_equal(among[0], among[1])


@pytest.mark.parametrize("other", [(2, 2, 5), (1, 3, 5), (1, 2, 6), (2, 1, 5)])
def test_seed_epoch_and_index_all_matter(other):
    one = draws.uniform(keys_of(1, 2, [5]), 64).numpy()
    two = draws.uniform(keys_of(other[0], other[1], [other[2]]), 64).numpy()
    assert np.mean(one == two) < 0.1
    # 64 pairs: an independent correlation stays below 0.5 in all but 1 of 20,000 cases.
    assert abs(np.corrcoef(one[0], two[0])[0, 1]) < 0.5


def test_uniform_is_uniform_across_examples_and_within():
    drawn = draws.uniform(keys_of(3, 1, range(2_000)), 50).numpy()
    assert drawn.min() >= 0
    assert drawn.max() < 1
    for along in (drawn.ravel(), drawn[:, 0], drawn[:, 49]):
        # Kolmogorov and Smirnov's statistic, critical value at one in 10,000: 2.23 / sqrt(n).
        ordered = np.sort(along)
        grid = np.arange(1, along.size + 1) / along.size
        assert np.abs(ordered - grid).max() < 2.23 / np.sqrt(along.size)
    apart = np.corrcoef(drawn[:-1].ravel(), drawn[1:].ravel())[0, 1]
    assert abs(apart) < 5 / np.sqrt(drawn.size)


def test_normal_has_the_moments_of_the_normal():
    drawn = draws.normal(keys_of(3, 1, range(500)), 400).numpy().astype(np.float64)
    n = drawn.size
    assert abs(drawn.mean()) < 5 / np.sqrt(n)
    assert abs(drawn.var() - 1) < 5 * np.sqrt(2 / n)
    assert abs((drawn**3).mean()) < 5 * np.sqrt(15 / n)
    assert abs((drawn**4).mean() - 3) < 5 * np.sqrt(96 / n)
    assert np.isfinite(drawn).all()


def test_streams_are_independent():
    keys = keys_of(0, 0, range(4_000))
    one, two = draws.uniform(keys, 1, stream=0), draws.uniform(keys, 1, stream=1)
    assert abs(np.corrcoef(one[:, 0], two[:, 0])[0, 1]) < 5 / np.sqrt(4_000)


# === Epochs


def indices_of(**arguments):
    defaults = {"batch_size": 4, "shuffle": True, "seed": 0}
    return epochs(10, lambda indices, keys: indices, **(defaults | arguments))


def test_every_example_once_an_epoch():
    dataset = indices_of()
    assert dataset.cardinality().numpy() == 3
    for _ in range(3):
        batches = [batch.numpy() for batch in dataset]
        assert [len(batch) for batch in batches] == [4, 4, 2]
        assert sorted(np.concatenate(batches)) == list(range(10))


def test_orders_are_spread_evenly():
    """Each example stands first about equally often over many epochs."""
    one_pass = indices_of(batch_size=10, repeat=True).take(1_000)
    first = np.bincount([batch[0] for batch in one_pass.as_numpy_iterator()], minlength=10)
    # Chi-squared with 9 degrees of freedom exceeds 33.7 once in 10,000.
    assert ((first - 100) ** 2 / 100).sum() < 33.7


def test_a_peek_that_reads_nothing_skips_no_epoch():
    """Keras makes iterators that it never reads from."""
    dataset, peeked = indices_of(seed=1), indices_of(seed=1)
    iter(peeked)
    for _ in range(2):
        np.testing.assert_array_equal(
            np.concatenate(list(dataset.as_numpy_iterator())),
            np.concatenate(list(peeked.as_numpy_iterator())),
        )


def test_without_shuffle_in_order():
    batches = list(indices_of(shuffle=False).as_numpy_iterator())
    assert np.concatenate(batches).tolist() == list(range(10))


def test_endless_pass_is_the_epochs_in_turn():
    finite = indices_of(seed=2, initial_epoch=4)
    passes = np.concatenate([b for _ in range(3) for b in finite.as_numpy_iterator()])
    endless = indices_of(seed=2, initial_epoch=4, repeat=True)
    assert endless.cardinality().numpy() == tf.data.INFINITE_CARDINALITY
    np.testing.assert_array_equal(np.concatenate(list(endless.take(9).as_numpy_iterator())), passes)
