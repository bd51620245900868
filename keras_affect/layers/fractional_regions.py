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
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

__all__ = ["average", "maximum"]

# Of `(batch, height, width, channels)`.
_ROWS, _COLUMNS = 1, 2


def maximum(inputs: Any, rows: Any, columns: Any, overlapping: bool) -> Any:
    """The largest value of each region.

    Where several pixels of a region are the largest, the gradient goes to the first in reading
    order, as that of `tf.nn.fractional_max_pool` does.

    Args:
        inputs: `(batch, height, width, channels)`, all but the batch static.
        rows: Boundaries, int32 `(new_height + 1,)`: see `fractional_sequences`. NumPy arrays are
            fixed boundaries, which become constants of a graph; tensors are drawn ones.
        columns: Boundaries, int32 `(new_width + 1,)`, likewise.
        overlapping: Whether each region also holds the first row and column of the next.

    Returns:
        `(batch, new_height, new_width, channels)`.
    """
    return _pool(_maximum, _maximum_gradient, inputs, rows, columns, overlapping)


def average(inputs: Any, rows: Any, columns: Any, overlapping: bool) -> Any:
    """The mean of each region: arguments and shapes as of `maximum`.

    Half-precision inputs are added up in float32.
    """
    return _pool(_average, _average_gradient, inputs, rows, columns, overlapping)


def _pool(
    forward: Callable[..., Any],
    backward: Callable[..., Any],
    inputs: Any,
    rows: Any,
    columns: Any,
    overlapping: bool,
) -> Any:
    # Fixed regions are those of inference, whose graph is exported: index constants along an
    # axis, which every runtime has a kernel for.
    fixed = isinstance(rows, np.ndarray) and isinstance(columns, np.ndarray)
    forward = functools.partial(forward, take=ops.take if fixed else _take)
    run = _run_compiled if not fixed and _in_tensorflow_graph() else _run

    @ops.custom_gradient
    def pool(inputs: Any, rows: Any, columns: Any) -> Any:
        def gradient(*args: Any, upstream: Any = None) -> tuple[Any, None, None]:
            (upstream,) = args if upstream is None else (upstream,)
            return run(backward, overlapping, inputs, rows, columns, upstream), None, None

        return run(forward, overlapping, inputs, rows, columns), gradient

    return pool(*map(ops.convert_to_tensor, (inputs, rows, columns)))


def _maximum(inputs: Any, height: _Axis, width: _Axis, take: Callable[..., Any]) -> Any:
    by_row = [take(inputs, index, axis=_ROWS) for index in height.members()]
    short = functools.reduce(ops.maximum, by_row)
    return functools.reduce(
        ops.maximum, [take(short, index, axis=_COLUMNS) for index in width.members()]
    )


def _maximum_gradient(inputs: Any, height: _Axis, width: _Axis, upstream: Any) -> Any:
    # The place of the largest pixel within its region, counted in reading order. Columns first:
    # so among equal values the topmost row wins, and in it the leftmost.
    places = height.longest * width.longest
    dtype = "int8" if places <= 127 else "int32"
    by_column = [_take(inputs, index, axis=_COLUMNS) for index in width.members()]
    column = _first_largest(by_column, [ops.cast(j, dtype) for j in range(width.longest)])
    narrow = functools.reduce(ops.maximum, by_column)
    by_row = [_take(narrow, index, axis=_ROWS) for index in height.members()]
    offsets = [
        _take(column, index, axis=_ROWS) + ops.cast(j * width.longest, dtype)
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
    return total


def _average(inputs: Any, height: _Axis, width: _Axis, take: Callable[..., Any]) -> Any:
    dtype, wide = _precisions(inputs)
    outputs = inputs
    for axis, along in ((_ROWS, height), (_COLUMNS, width)):
        shape = [-1 if i == axis else 1 for i in range(4)]
        outputs = sum(
            ops.cast(take(outputs, index, axis=axis), wide)
            * ops.reshape(ops.cast(weight, wide), shape)
            for index, weight in zip(along.members(), along.weights(), strict=True)
        )
    return ops.cast(outputs, dtype)


def _average_gradient(inputs: Any, height: _Axis, width: _Axis, upstream: Any) -> Any:
    dtype, wide = _precisions(inputs)
    pixels = height.lengths[:, None, None] * width.lengths[None, :, None]
    shares = ops.cast(ops.cast(upstream, wide) / ops.cast(pixels, wide), dtype)
    total = None
    for of_row, of_column in itertools.product(height.owners(), width.owners()):
        belongs = (of_row.place >= 0)[:, None] & (of_column.place >= 0)[None, :]
        part = _spread(shares, of_row, of_column)
        part = ops.where(belongs[..., None], part, ops.zeros((), dtype=part.dtype))
        total = part if total is None else total + part
    return total


def _precisions(inputs: Any) -> tuple[str, str]:
    """The inputs' type, and the one to add up in."""
    dtype = keras.backend.standardize_dtype(inputs.dtype)
    return dtype, keras.backend.result_type(dtype, "float32")


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
        region = ops.sum(ops.cast(passed, "int32"), axis=1)
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


def _take(values: Any, index: Any, axis: int) -> Any:
    """What `ops.take` is along axis 1 or 2, as a `take` along the first axis.

    Of a `take` along another axis XLA writes the index's dimension before the batch's, and
    copies all of it into the order of its neighbours in the graph after.
    """
    before, size, after = values.shape[1:axis], values.shape[axis], values.shape[axis + 1 :]
    flat = ops.reshape(values, (-1, *after))
    starts = ops.arange(0, ops.shape(flat)[0], size, dtype="int32")
    index = ops.reshape(starts, (-1, *before, 1)) + index
    return ops.take(flat, index, axis=0)


def _spread(regions: Any, of_row: _Owner, of_column: _Owner) -> Any:
    """What stands in the regions, at each pixel that they own: (batch, height, width, channels)."""
    # One `take` over both axes: after two, the first's result would be read and written again.
    channels = regions.shape[-1]
    count = of_row.regions * of_column.regions
    flat = ops.reshape(regions, (-1, channels))
    starts = ops.arange(0, ops.shape(flat)[0], count, dtype="int32")
    index = of_row.region[:, None] * of_column.regions + of_column.region[None, :]
    return ops.take(flat, starts[:, None, None] + index, axis=0)


def _run(
    function: Callable[..., Any],
    overlapping: bool,
    inputs: Any,
    rows: Any,
    columns: Any,
    *upstream: Any,
) -> Any:
    height = _Axis(inputs.shape[_ROWS], rows, overlapping)
    width = _Axis(inputs.shape[_COLUMNS], columns, overlapping)
    return function(inputs, height, width, *upstream)


def _in_tensorflow_graph() -> bool:
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return not tf.executing_eagerly()


def _run_compiled(function: Callable[..., Any], overlapping: bool, *tensors: Any) -> Any:
    """What `_run` gives, as one piece for XLA in a TensorFlow graph that itself isn't compiled.

    Run operator by operator, each `take` writes an array as large as the outputs, which takes
    several times as long as the pooling.
    """
    import tensorflow as tf

    compiled = tf.function(
        functools.partial(_run, function, overlapping), jit_compile=True, autograph=False
    )
    return compiled(*tensors)
