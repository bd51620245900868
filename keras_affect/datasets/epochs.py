"""Epochs as pure functions: order and random draws depend on (seed, epoch, index) alone.

`tf.data`'s own shuffling and Keras's seed generators keep a state that no checkpoint holds: after
a restart they begin again. Here an epoch's order is computed from the seed and the epoch's
number, and whatever is random about an example from its key, so that a run that was interrupted
after epoch 7 sees in epoch 8 what it would have seen, picture for picture.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from keras_affect.datasets.draws import example_keys

__all__ = ["epochs"]

#: Gets the indices and the keys of a batch, gives the batch.
Fetch = Callable[[tf.Tensor, tf.Tensor], Any]


def epochs(
    count: int,
    fetch: Fetch,
    *,
    batch_size: int,
    shuffle: bool,
    seed: int,
    initial_epoch: int = 0,
    repeat: bool = False,
    order: Callable[[tf.Tensor], tf.Tensor] | None = None,
) -> tf.data.Dataset:
    """A data set whose passes are the epochs `initial_epoch`, `initial_epoch + 1`, ...

    Args:
        count: Examples in an epoch.
        fetch: Called in the graph with `(indices int64 (batch,), keys uint64 (batch,))`.
        batch_size: Examples in a batch; the last of an epoch is smaller where it doesn't divide.
        shuffle: Whether each epoch has an order of its own, or the order is 0, 1, 2, ...
        seed: What order and keys start from.
        initial_epoch: The first epoch's number.
        repeat: False gives one epoch a pass, and the next pass gives the next epoch. True gives
            one endless pass, to be used with ``steps_per_epoch``: a function of the arguments
            alone, so that a run resumed with ``initial_epoch`` continues exactly.
        order: Called in the graph with an epoch's number, int64 (), where `shuffle` is True;
            gives the epoch's indices, int64 `(count,)`. None: each order is as likely as any
            other.

    Returns:
        A `tf.data.Dataset` of what `fetch` gives.
    """

    def one_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
        indices = tf.range(count, dtype=tf.int64)
        if shuffle and order is not None:
            indices = order(epoch)
        elif shuffle:
            pair = tf.stack([tf.constant(seed, tf.int64), epoch])
            indices = tf.random.experimental.stateless_shuffle(indices, pair)
        batches = tf.data.Dataset.from_tensor_slices(indices).batch(batch_size)
        return batches.map(lambda indices: (indices, example_keys(seed, epoch, indices)))

    if repeat:
        numbers = tf.data.Dataset.range(initial_epoch, tf.int64.max)
    else:
        passes = tf.Variable(initial_epoch, dtype=tf.int64, trainable=False)
        # Runs when a pass asks for its first batch: Keras makes iterators it never reads from.
        numbers = tf.data.Dataset.range(1).map(lambda _: passes.assign_add(1) - 1)
    dataset = (
        numbers.flat_map(one_epoch)
        .map(fetch, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        .prefetch(2)
    )
    if repeat:
        return dataset.apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY))
    return dataset.apply(tf.data.experimental.assert_cardinality(-(-count // batch_size)))
