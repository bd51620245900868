"""Pictures and their mirror images as one batch, and what was made of both as one again."""

from __future__ import annotations

from typing import Any

from keras import ops

__all__ = ["mean_of_both", "mean_of_maps", "with_mirror_images"]

_ACROSS = 2  # the axis of columns


def with_mirror_images(x: Any) -> Any:
    """From `(batch, height, width, channels)` to twice the batch: as they are, then mirrored.

    As one batch, since an exported graph would hold every layer twice if they were seen one after
    the other.
    """
    return ops.concatenate([x, ops.flip(x, axis=_ACROSS)])


def mean_of_both(x: Any) -> Any:
    """Of such a batch's features, `(2 * batch, ...)`: the mean of a picture's and its mirror's."""
    first, second = ops.split(x, 2)
    return (first + second) * 0.5


def mean_of_maps(x: Any) -> Any:
    """As `mean_of_both`, of maps, where the mirror's is turned back first: left stays left."""
    first, second = ops.split(x, 2)
    return (first + ops.flip(second, axis=_ACROSS)) * 0.5
