"""Pictures and their mirror images as one batch, and what was made of both as one again."""

from __future__ import annotations

from typing import Any

from keras import ops

__all__ = ["mean_of_both", "mean_of_maps", "mirror_images", "with_mirror_images"]


def mirror_images(x: Any) -> Any:
    """Of pictures `(batch, height, width, channels)`, of maps, or of clips `(batch, time, height,
    width, channels)`: what a mirror shows, left for right.

    Raises:
        ValueError: If `x` is none of these.
    """
    if len(x.shape) not in (4, 5):
        raise ValueError(
            "mirror images are of pictures (batch, height, width, channels) or of clips (batch, "
            f"time, height, width, channels); received shape {tuple(x.shape)}"
        )
    return ops.flip(x, axis=len(x.shape) - 2)


def with_mirror_images(x: Any) -> Any:
    """From pictures or clips to twice the batch: as they are, then mirrored.

    As one batch, since an exported graph would hold every layer twice if they were seen one after
    the other.
    """
    return ops.concatenate([x, mirror_images(x)])


def mean_of_both(x: Any) -> Any:
    """Of such a batch's features, `(2 * batch, ...)`: the mean of a picture's and its mirror's."""
    first, second = ops.split(x, 2)
    return (first + second) * 0.5


def mean_of_maps(x: Any) -> Any:
    """As `mean_of_both`, of maps, where the mirror's is turned back first: left stays left."""
    first, second = ops.split(x, 2)
    return (first + mirror_images(second)) * 0.5
