import keras
import numpy as np
import pytest

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="keys are made for tf.data"
)


def numbered(count=10, batch=4):
    import tensorflow as tf

    return tf.data.Dataset.range(count).batch(batch)


def keys_of(dataset):
    return [keys for keys, *_ in dataset.as_numpy_iterator()]


def with_keys(*args, **kwargs):
    from keras_affect.augmentation import with_keys

    return with_keys(*args, **kwargs)


def test_each_example_has_a_key_of_its_own_each_epoch():
    data = with_keys(numbered())
    passes = [np.concatenate(keys_of(data)) for _ in range(3)]
    assert passes[0].dtype == np.uint64
    assert [len(keys) for keys in keys_of(data)] == [4, 4, 2]
    assert len(set(np.concatenate(passes))) == 30


def test_passes_are_numbered_epochs():
    whole = with_keys(numbered(), seed=3)
    passes = [np.concatenate(keys_of(whole)) for _ in range(3)]
    late = with_keys(numbered(), seed=3, initial_epoch=2)
    np.testing.assert_array_equal(np.concatenate(keys_of(late)), passes[2])
    other = with_keys(numbered(), seed=4)
    assert not set(np.concatenate(keys_of(other))) & set(np.concatenate(passes))


def test_endless_data_goes_on_where_it_stopped():
    whole = keys_of(with_keys(numbered(8).repeat()).take(5))
    rest = keys_of(with_keys(numbered(8).repeat(), initial_batch=2).take(3))
    np.testing.assert_array_equal(whole[2:], rest)


def test_structures_and_sizes_are_kept():
    import tensorflow as tf

    images = np.zeros((6, 2, 2, 1), "float32")
    labels = {"emotion": np.zeros((6, 8), "float32")}
    pairs = with_keys(tf.data.Dataset.from_tensor_slices((images, labels)).batch(2))
    keys, batch, tree = next(iter(pairs))
    assert keys.shape == (2,)
    assert batch.shape == (2, 2, 2, 1)
    assert tree["emotion"].shape == (2, 8)
    assert pairs.cardinality() == 3
    single = with_keys(tf.data.Dataset.from_tensor_slices(labels).batch(2))
    assert next(iter(single))[1]["emotion"].shape == (2, 8)
    assert with_keys(numbered().repeat()).cardinality() == tf.data.INFINITE_CARDINALITY
    unknown = with_keys(numbered().filter(lambda batch: True))
    assert unknown.cardinality() == tf.data.UNKNOWN_CARDINALITY
    assert len(keys_of(unknown)) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seed": -1}, "`seed`. Expected an integer of 0 or more. Received: seed=-1"),
        ({"seed": True}, "`seed`. Expected an integer of 0 or more. Received: seed=True"),
        (
            {"initial_epoch": 0.5},
            "`initial_epoch`. Expected an integer of 0 or more. Received: initial_epoch=0.5",
        ),
        (
            {"dataset": [1]},
            "`dataset`. Expected a tf.data.Dataset. Received: dataset=[1]",
        ),
    ],
    ids=str,
)
def test_bad_arguments(arguments, message):
    arguments = {"dataset": numbered(), **arguments}
    with pytest.raises(ValueError) as caught:  # noqa: PT011, the whole text is compared
        with_keys(**arguments)
    assert str(caught.value) == f"Invalid value for argument {message}"
