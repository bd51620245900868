"""Random draws that are functions of a key: vectorised over a batch of examples.

`tf.random.stateless_*` takes one seed a call. A batch whose examples each have a seed of their
own would need a call an example, which costs more than training a small net on it. Here each
draw is a hash of (key, stream, place), computed for the whole batch at once, with the mixing
function of SplitMix64 (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number
generators", OOPSLA).
"""

from __future__ import annotations

import math

import tensorflow as tf

__all__ = ["example_keys", "normal", "uniform"]

_GOLDEN = 0x9E3779B97F4A7C15


def _mix(state: tf.Tensor) -> tf.Tensor:
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        state = tf.bitwise.bitwise_xor(
            state, tf.bitwise.right_shift(state, tf.constant(shift, tf.uint64))
        ) * tf.constant(factor, tf.uint64)
    return tf.bitwise.bitwise_xor(state, tf.bitwise.right_shift(state, tf.constant(31, tf.uint64)))


def _fold(state: tf.Tensor, number: tf.Tensor | int) -> tf.Tensor:
    """SplitMix64's output after `number + 1` steps from `state`."""
    steps = tf.cast(number, tf.uint64) + tf.constant(1, tf.uint64)
    return _mix(state + steps * tf.constant(_GOLDEN, tf.uint64))


def example_keys(seed: int, epoch: tf.Tensor, indices: tf.Tensor) -> tf.Tensor:
    """One key an example.

    Args:
        seed: The run's seed.
        epoch: The epoch's number, an integer scalar.
        indices: The places of the examples in their data set, integers `(batch,)`.

    Returns:
        uint64 `(batch,)`, the same for the same (seed, epoch, index), whatever else stands in
        the batch.
    """
    start = tf.constant(seed % 2**64, tf.uint64)
    return _fold(_fold(_mix(start), epoch), indices)


def _words(keys: tf.Tensor, count: int | tf.Tensor, stream: int) -> tf.Tensor:
    return _fold(_fold(keys, stream)[:, None], tf.range(tf.cast(count, tf.int64))[None])


def uniform(keys: tf.Tensor, count: int | tf.Tensor, stream: int = 0) -> tf.Tensor:
    """Uniform draws from [0, 1).

    Args:
        keys: uint64 `(batch,)` from `example_keys`.
        count: Draws an example.
        stream: Draws from two streams of the same keys are independent of each other.

    Returns:
        float32 `(batch, count)`.
    """
    # The upper 24 bits: all that float32 holds below 1.
    bits = tf.bitwise.right_shift(_words(keys, count, stream), tf.constant(40, tf.uint64))
    return tf.cast(bits, tf.float32) * (1.0 / 2**24)


def normal(keys: tf.Tensor, count: int | tf.Tensor, stream: int = 0) -> tf.Tensor:
    """Draws from the standard normal distribution, by Box and Muller's transform.

    Args, returns: As `uniform`.
    """
    words = _words(keys, count, stream)
    # Two draws of 24 bits from each word; the half keeps the logarithm from 0.
    low = tf.bitwise.bitwise_and(
        tf.bitwise.right_shift(words, tf.constant(16, tf.uint64)), tf.constant(0xFFFFFF, tf.uint64)
    )
    high = tf.bitwise.right_shift(words, tf.constant(40, tf.uint64))
    radius = tf.sqrt(-2.0 * tf.math.log((tf.cast(high, tf.float32) + 0.5) * (1.0 / 2**24)))
    return radius * tf.cos(tf.cast(low, tf.float32) * (2 * math.pi / 2**24))
