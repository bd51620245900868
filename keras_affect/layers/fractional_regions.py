"""The largest value and the mean of each region of an image, for any boundaries of regions.

Shapes are static whatever the boundaries are, since a region of `size` rows cut into `regions`
never has more than ``ceil(size / regions)`` rows: its first, second, ... row is taken for all
regions at once, and a region that is shorter has its last row taken again. Both axes are pooled
one after the other.

The gradients are written by hand, because that of `take` adds its parts up where they belong, one
by one, which is slow on every backend. Which regions a pixel lies in is known, so each pixel can
take its gradient from there, in one `take` for all.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_affect.layers.fractional_sequences import computed_once

__all__ = ["average", "maximum"]

# Of `(batch, height, width, channels)`.
_ROWS, _COLUMNS = 1, 2


def maximum(inputs: Any, rows: Any, columns: Any, overlapping: bool) -> Any:
    """The largest value of each region.

    Where several pixels of a region are the largest, the gradient goes to the first in reading
    order, as that of `tf.nn.fractional_max_pool` does.

    Args:
        inputs: `(batch, height, width, channels)`, height and width static.
        rows: Boundaries, int32 `(new_height + 1,)`: see `fractional_sequences`.
        columns: Boundaries, int32 `(new_width + 1,)`.
        overlapping: Whether each region also holds the first row and column of the next.

    Returns:
        `(batch, new_height, new_width, channels)`.
    """

    @ops.custom_gradient
    def pool(inputs: Any, rows: Any, columns: Any) -> Any:
        height = _Axis(inputs.shape[_ROWS], rows, overlapping)
        width = _Axis(inputs.shape[_COLUMNS], columns, overlapping)
        # Columns first: so among equal values the topmost row wins, and in it the leftmost.
        by_column = [ops.take(inputs, index, axis=_COLUMNS) for index in width.members()]
        narrow = functools.reduce(ops.maximum, by_column)
        by_row = [ops.take(narrow, index, axis=_ROWS) for index in height.members()]
        outputs = functools.reduce(ops.maximum, by_row)

        def gradient(*args: Any, upstream: Any = None) -> tuple[Any, None, None]:
            (upstream,) = args if upstream is None else (upstream,)
            # The place of the largest pixel within its region, counted in reading order.
            places = height.longest * width.longest
            dtype = "int8" if places <= 127 else "int32"
            column = _first_largest(by_column, [ops.cast(j, dtype) for j in range(width.longest)])
            offsets = [
                ops.take(column, index, axis=_ROWS) + ops.cast(j * width.longest, dtype)
                for j, index in enumerate(height.members())
            ]
            winners = _first_largest(by_row, offsets)
            total = None
            for of_row, of_column in itertools.product(height.owners(), width.owners()):
                place = of_row.place[:, None] * width.longest + of_column.place[None, :]
                belongs = (of_row.place >= 0)[:, None] & (of_column.place >= 0)[None, :]
                place = ops.cast(ops.where(belongs, place, -1), dtype)[..., None]
                won = _spread(winners, of_row, of_column) == place
                part = _spread(upstream, of_row, of_column)
                part = ops.where(won, part, ops.zeros((), dtype=part.dtype))
                total = part if total is None else total + part
            return total, None, None

        return outputs, gradient

    return pool(*map(ops.convert_to_tensor, (inputs, rows, columns)))


def average(inputs: Any, rows: Any, columns: Any, overlapping: bool) -> Any:
    """The mean of each region: arguments and shapes as of `maximum`.

    Half-precision inputs are added up in float32.
    """
    dtype = keras.backend.standardize_dtype(inputs.dtype)
    wide = keras.backend.result_type(dtype, "float32")

    @ops.custom_gradient
    def pool(inputs: Any, rows: Any, columns: Any) -> Any:
        height = _Axis(inputs.shape[_ROWS], rows, overlapping)
        width = _Axis(inputs.shape[_COLUMNS], columns, overlapping)
        outputs = inputs
        for axis, along in ((_COLUMNS, width), (_ROWS, height)):
            shape = [-1 if i == axis else 1 for i in range(4)]
            outputs = sum(
                ops.cast(ops.take(outputs, index, axis=axis), wide)
                * ops.reshape(ops.cast(weight, wide), shape)
                for index, weight in zip(along.members(), along.weights(), strict=True)
            )

        def gradient(*args: Any, upstream: Any = None) -> tuple[Any, None, None]:
            (upstream,) = args if upstream is None else (upstream,)
            pixels = height.lengths[:, None, None] * width.lengths[None, :, None]
            shares = ops.cast(ops.cast(upstream, wide) / ops.cast(pixels, wide), dtype)
            total = None
            for of_row, of_column in itertools.product(height.owners(), width.owners()):
                belongs = (of_row.place >= 0)[:, None] & (of_column.place >= 0)[None, :]
                part = _spread(shares, of_row, of_column)
                part = ops.where(belongs[..., None], part, ops.zeros((), dtype=part.dtype))
                total = part if total is None else total + part
            return total, None, None

        return ops.cast(outputs, dtype), gradient

    return pool(*map(ops.convert_to_tensor, (inputs, rows, columns)))


class _Owner:
    """For each row one region that holds it, and its place there: -1 if it isn't held at all."""

    def __init__(self, region: Any, place: Any, regions: int) -> None:
        self.region = region
        self.place = place
        self.regions = regions


class _Axis:
    """The regions along one axis, and what they hold."""

    def __init__(self, size: int, boundaries: Any, overlapping: bool) -> None:
        self.size = size
        self.boundaries = boundaries
        self.overlapping = overlapping
        self.regions = boundaries.shape[0] - 1
        #: Rows of the longest region that there can be.
        self.longest = min(-(-size // self.regions) + int(overlapping), size)
        self.starts = boundaries[:-1]
        ends = boundaries[1:]
        self.lasts = ops.minimum(ends, size - 1) if overlapping else ends - 1
        self.lengths = self.lasts - self.starts + 1

    def members(self) -> list[Any]:
        """The first, second, ... row of all regions, each `(regions,)`."""
        return [ops.minimum(self.starts + j, self.lasts) for j in range(self.longest)]

    def weights(self) -> list[Any]:
        """What each of `members` counts in the mean, float32 `(regions,)`.

        The last row of a short region, taken more than once, has its weight shared out. A weight
        of 0 for what is one too many would turn an infinite pixel into NaN.
        """
        lengths = ops.cast(self.lengths, "float32")
        copies = self.longest - lengths + 1
        return [
            ops.where(j < self.lengths - 1, 1 / lengths, 1 / (lengths * copies))
            for j in range(self.longest)
        ]

    def owners(self) -> list[_Owner]:
        """The regions that hold each row: one, and with overlapping regions a second."""
        row = ops.arange(self.size, dtype="int32")
        passed = self.boundaries[None, 1:-1] <= row[:, None]
        region = computed_once(ops.sum(ops.cast(passed, "int32"), axis=1))
        place = row - ops.take(self.starts, region, axis=0)
        owners = [_Owner(region, place, self.regions)]
        if self.overlapping:
            previous = ops.maximum(region - 1, 0)
            is_shared = (place == 0) & (region > 0)
            place = ops.where(is_shared, row - ops.take(self.starts, previous, axis=0), -1)
            owners.append(_Owner(previous, place, self.regions))
        return owners


def _first_largest(candidates: Sequence[Any], labels: Sequence[Any]) -> Any:
    """The label of the largest candidate, of the first of them where several are."""
    best = candidates[0]
    label = ops.zeros_like(best, dtype=labels[0].dtype) + labels[0]
    for candidate, other in zip(candidates[1:], labels[1:], strict=True):
        label = ops.where(candidate > best, other, label)
        best = ops.maximum(best, candidate)
    return label


def _spread(regions: Any, of_row: _Owner, of_column: _Owner) -> Any:
    """What stands in the regions, at each pixel that they own: (batch, height, width, channels)."""
    # One `take` over both axes: after two, the first's result would be read and written again.
    channels = regions.shape[-1]
    count = of_row.regions * of_column.regions
    flat = ops.reshape(regions, (-1, count, channels))
    index = of_row.region[:, None] * of_column.regions + of_column.region[None, :]
    return ops.take(flat, index, axis=1)
