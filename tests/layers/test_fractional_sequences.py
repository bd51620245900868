import collections
import itertools

import keras
import numpy as np
import pytest

from keras_affect.layers import fractional_sequences as sequences

LENGTHS = [(n, m) for n in range(1, 25) for m in range(1, n + 1)]


def shifted(size, regions, shift):
    """The paper's alpha (i + u), rounded down, with u = shift / size, in whole numbers."""
    inner = [(size * i + shift) // regions for i in range(1, regions)]
    return (0, *inner, size)


def as_tuple(boundaries):
    values = keras.ops.convert_to_numpy(boundaries)
    assert values.dtype == np.int32
    return tuple(values.tolist())


def is_fractional(boundaries, size, regions):
    shortest = size // regions
    lengths = np.diff(boundaries)
    is_whole = boundaries[0] == 0 and boundaries[-1] == size and len(lengths) == regions
    return is_whole and set(lengths) <= {shortest, shortest + 1}


def test_central_is_the_nearest_boundary():
    assert sequences.central(7, 4).tolist() == [0, 2, 4, 5, 7]  # 1.75, 3.5, 5.25
    assert sequences.central(6, 3).tolist() == [0, 2, 4, 6]
    assert sequences.central(5, 1).tolist() == [0, 5]
    assert sequences.central(4, 4).tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("size_and_regions", [(48, 33), (48, 21), (24, 7), (9, 9)])
def test_central_is_its_own_mirror_image(size_and_regions):
    size, regions = size_and_regions
    boundaries = sequences.central(size, regions)
    halves = [i for i in range(regions + 1) if 2 * size * i % (2 * regions) == regions]
    keep = [i for i in range(regions + 1) if i not in halves]
    np.testing.assert_array_equal((size - boundaries[::-1])[keep], boundaries[keep])


def test_central_is_one_of_the_pseudo_random_sequences():
    for size, regions in LENGTHS:
        assert tuple(sequences.central(size, regions)) == shifted(size, regions, regions // 2)
        assert regions // 2 < sequences.shifts(size, regions)


def test_shifts_are_all_that_there_are():
    for size, regions in LENGTHS:
        count = sequences.shifts(size, regions)
        for shift in range(count):
            assert is_fractional(shifted(size, regions, shift), size, regions)
        # One more would make a region too long or too short; a single region can't be shifted.
        if regions > 1:
            assert not is_fractional(shifted(size, regions, count), size, regions)


def test_pseudo_random_draws_every_shift_equally_often():
    size, regions, draws = 7, 4, 500
    seed = keras.random.SeedGenerator(0)
    counts = collections.Counter(
        as_tuple(sequences.draw_pseudo_random(size, regions, seed)) for _ in range(draws)
    )
    every = [shifted(size, regions, shift) for shift in range(sequences.shifts(size, regions))]
    assert set(counts) == set(every)
    for boundaries, share in collections.Counter(every).items():
        expected = draws * share / len(every)
        assert abs(counts[boundaries] - expected) < 4 * np.sqrt(expected)


def test_random_draws_every_order_equally_often():
    size, regions, draws = 7, 4, 400
    seed = keras.random.SeedGenerator(0)
    counts = collections.Counter(
        as_tuple(sequences.draw_random(size, regions, seed)) for _ in range(draws)
    )
    orders = set(itertools.permutations([2, 2, 2, 1]))
    assert set(counts) == {(0, *np.cumsum(order).tolist()) for order in orders}
    for count in counts.values():
        assert abs(count - draws / len(orders)) < 4 * np.sqrt(draws / len(orders))


@pytest.mark.parametrize("draw", [sequences.draw_pseudo_random, sequences.draw_random])
def test_regions_are_neither_too_short_nor_too_long(draw):
    seed = keras.random.SeedGenerator(1)
    for size, regions in [(1, 1), (5, 1), (5, 5), (6, 3), (48, 33), (49, 48), (48, 21), (50, 17)]:
        for _ in range(5):
            assert is_fractional(as_tuple(draw(size, regions, seed)), size, regions)


@pytest.mark.parametrize("draw", [sequences.draw_pseudo_random, sequences.draw_random])
def test_half_precision_elsewhere_does_not_coarsen_the_draws(draw):
    # 1500 rows are more than float16 can tell apart.
    before = keras.config.floatx()
    keras.config.set_floatx("float16")
    try:
        boundaries = as_tuple(draw(1500, 1049, keras.random.SeedGenerator(0)))
    finally:
        keras.config.set_floatx(before)
    assert is_fractional(boundaries, 1500, 1049)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="TensorFlow's operator")
@pytest.mark.parametrize("ratio", [1.3, 1.44, 1.9, 2.6])
def test_pseudo_random_sequences_are_those_of_tensorflow(ratio):
    import tensorflow as tf

    size = 13
    regions = int(size / ratio)
    image = tf.zeros((1, size, size, 1))
    seen = set()
    for seed in range(1, 301):
        _, rows, columns = tf.nn.fractional_max_pool(image, ratio, pseudo_random=True, seed=seed)
        seen |= {tuple(rows.numpy().tolist()), tuple(columns.numpy().tolist())}
    count = sequences.shifts(size, regions)
    assert seen == {shifted(size, regions, shift) for shift in range(count)}
