"""Keys: what the random draws of a data set's examples are functions of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras

if TYPE_CHECKING:
    import tensorflow as tf

__all__ = ["uniform_of_keys", "with_keys"]


def with_keys(
    dataset: tf.data.Dataset, seed: int = 0, *, initial_epoch: int = 0, initial_batch: int = 0
) -> tf.data.Dataset:
    """A data set of batches with a key for each example.

    A random generator that is asked from several parallel calls of `tf.data` answers them in
    whatever order they come. Keys are given out before, in order: each is a function of (seed,
    epoch, batch, place in the batch), and whatever is drawn from them is the same at any number
    of parallel calls.

    Args:
        dataset: Batches, each a tensor, a dict of tensors, or a tuple such as `(images, labels)`
            or `(images, labels, sample_weight)`.
        seed: What keys start from, an integer.
        initial_epoch: Number of the first pass; each pass over the result is the next epoch.
        initial_batch: Number of the first batch of each pass: for an endless data set that goes
            on where another stopped.

    Returns:
        A `tf.data.Dataset` of `(keys, *batch)` for tuples, else of `(keys, batch)`; keys are
        uint64 `(batch,)`.

    Raises:
        ValueError: If `dataset` is no data set or a number is no integer of 0 or more.

    Example:
    ```python
    mixup = keras_affect.augmentation.Mixup()
    dataset = with_keys(dataset, seed=0).map(
        lambda keys, images, labels: mixup(images, labels, keys=keys), num_parallel_calls=4
    )
    ```
    """
    # TensorFlow loads here and not above: what draws from keys works without them on any backend.
    import tensorflow as tf

    from keras_affect.datasets.draws import example_keys

    if not isinstance(dataset, tf.data.Dataset):
        raise ValueError(
            "Invalid value for argument `dataset`. Expected a tf.data.Dataset. "
            f"Received: dataset={dataset!r}"
        )
    for name, value in (
        ("seed", seed),
        ("initial_epoch", initial_epoch),
        ("initial_batch", initial_batch),
    ):
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise ValueError(
                f"Invalid value for argument `{name}`. Expected an integer of 0 or more. "
                f"Received: {name}={value!r}"
            )
    passes = tf.Variable(initial_epoch, dtype=tf.int64, trainable=False)
    # Runs when a pass asks for its first batch: Keras makes iterators it never reads from.
    epochs = tf.data.Dataset.range(1).map(lambda _: passes.assign_add(1) - 1)
    numbers = epochs.flat_map(
        lambda epoch: tf.data.Dataset.range(initial_batch, tf.int64.max).map(
            lambda batch: (epoch, batch)
        )
    )

    def keyed(number: tuple[tf.Tensor, tf.Tensor], batch: Any) -> tuple[Any, ...]:
        epoch, place = number
        count = tf.shape(tf.nest.flatten(batch)[0], out_type=tf.int64)[0]
        # 2^32 places a batch: no key of one is a key of another.
        keys = example_keys(seed, epoch, place * 2**32 + tf.range(count))
        return (keys, *batch) if isinstance(batch, tuple) else (keys, batch)

    result = tf.data.Dataset.zip((numbers, dataset)).map(keyed)
    count = dataset.cardinality()
    if count == tf.data.UNKNOWN_CARDINALITY:
        return result
    return result.apply(tf.data.experimental.assert_cardinality(count))


def uniform_of_keys(keys: Any, count: int, stream: int) -> Any:
    """Uniform draws, float32 `(batch, count)`; see `datasets.draws.uniform`.

    Raises:
        ValueError: If Keras's backend is not TensorFlow, which alone has the 64-bit integers that
            keys are, and whose operations alone run in `tf.data`.
    """
    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise ValueError(
            "Invalid value for argument `keys`. Expected None, since keys are drawn from in "
            "tf.data alone, with TensorFlow as Keras's backend. Received: keys with backend "
            f"{backend!r}"
        )
    from keras_affect.datasets import draws

    return draws.uniform(keys, count, stream=stream)
