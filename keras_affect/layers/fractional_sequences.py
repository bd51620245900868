"""Where the regions of fractional pooling begin along one axis: Graham 2014, section 2.

A sequence of boundaries cuts `size` rows into `regions` regions, each of
``floor(size / regions)`` rows or one more: boundary 0 is 0, the last one is `size`, and region i
holds the rows from boundary i up to, not including, boundary i + 1. That is what
`tf.nn.fractional_max_pool` returns as its row and column sequences.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

__all__ = ["central", "draw_pseudo_random", "draw_random", "shifts"]

# The paper's pseudo-random boundaries are alpha (i + u), rounded to an integer, where
# alpha = size / regions and u is drawn for the whole sequence. Rounded down that is
# floor((size i + shift) / regions) with the integer shift = floor(size u): nothing has to be
# computed in floating point, which for some ratios would round a region to a row too many.


def shifts(size: int, regions: int) -> int:
    """How many shifts there are: with one in [0, this), no region is too short or too long.

    As in TensorFlow's kernel u comes from [0, this / size): the paper's (0, 1), less what would
    make the first region longer than ``floor(size / regions) + 1`` rows, or the last one shorter
    than ``floor(size / regions)``.
    """
    shortest = size // regions
    return min((shortest + 2) * regions - size, size - (shortest - 1) * regions)


def central(size: int, regions: int) -> npt.NDArray[np.int32]:
    """The fixed sequence of inference: boundary i lies at i `size` / `regions`, halves up.

    It is the pseudo-random sequence of shift ``regions // 2``, and is its own mirror image but
    for halves.

    Returns:
        int32 `(regions + 1,)`.
    """
    return ((2 * size * np.arange(regions + 1) + regions) // (2 * regions)).astype(np.int32)


def draw_pseudo_random(size: int, regions: int, seed: keras.random.SeedGenerator) -> Any:
    """A shifted sequence, each of the possible shifts as likely as another.

    Returns:
        int32 tensor `(regions + 1,)`.
    """
    shift = keras.random.randint((), 0, shifts(size, regions), dtype="int32", seed=seed)
    inner = (size * ops.arange(1, regions, dtype="int32") + shift) // regions
    return ops.concatenate([_constant(0), inner, _constant(size)], axis=0)


def draw_random(size: int, regions: int, seed: keras.random.SeedGenerator) -> Any:
    """A sequence whose shorter and longer regions come in any order, each as likely as another.

    Returns:
        int32 tensor `(regions + 1,)`.
    """
    # Ranks of independent numbers are a random order; `keras.random.shuffle` is not compiled by
    # XLA on every backend. float32 whatever `floatx` is: half precision would draw many ties.
    keys = keras.random.uniform((regions,), dtype="float32", seed=seed)
    order = ops.cast(ops.argsort(keys), "int32")
    lengths = size // regions + ops.cast(order < size % regions, "int32")
    ends = ops.cast(ops.cumsum(lengths), "int32")
    return ops.concatenate([_constant(0), ends], axis=0)


def _constant(value: int) -> Any:
    return ops.convert_to_tensor([value], dtype="int32")
