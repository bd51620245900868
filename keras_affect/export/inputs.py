"""What a file does to a picture before the model sees it: gray or colour, and its size.

Both become layers in front of the model, so that a camera's frame can be handed over as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

__all__ = ["LUMA", "Input", "check", "fit_images", "in_front_of", "resize_matrix"]

#: "gray" takes one channel, "rgb" three.
Input = Literal["gray", "rgb"]

#: Red, green and blue in ITU-R BT.601's luma, which Pillow's mode "L" is, and with it the
#: pictures that the shipped models were trained on.
LUMA = (0.299, 0.587, 0.114)

_CHANNELS = {"gray": 1, "rgb": 3}
# A picture larger than this is better cut or reduced by whoever took it.
_LARGEST = 4096


def check(
    shape: tuple[int, int, int], kind: Input | None, resize_from: Sequence[int] | None
) -> tuple[int, int, int]:
    """The shape of the pictures that a file takes.

    Args:
        shape: (height, width, channels) that the model takes.
        kind: "gray", "rgb", or None for the model's own channels.
        resize_from: (height, width) of the pictures, or None for the model's own size.

    Raises:
        ValueError: If an argument is not as above, or the model takes neither gray nor colour.
    """
    if kind is not None and (not isinstance(kind, str) or kind not in _CHANNELS):
        raise ValueError(
            "Invalid value for argument `input`. Expected 'gray', 'rgb' or None. "
            f"Received: input={kind!r}"
        )
    height, width, channels = shape
    if kind is not None and channels not in _CHANNELS.values():
        raise ValueError(
            "Invalid value for argument `input`. Expected None: the model takes neither gray nor "
            f"RGB pictures, but {channels} channels. Received: input={kind!r}"
        )
    if resize_from is not None:
        try:
            height, width = resize_from
            is_size = all(
                isinstance(side, int) and not isinstance(side, bool) and 1 <= side <= _LARGEST
                for side in (height, width)
            )
        except (TypeError, ValueError):
            is_size = False
        if not is_size:
            raise ValueError(
                "Invalid value for argument `resize_from`. Expected (height, width), integers in "
                f"[1, {_LARGEST}]. Received: resize_from={resize_from!r}"
            )
    return height, width, channels if kind is None else _CHANNELS[kind]


def in_front_of(model: Any, shape: tuple[int, int, int]) -> Any:
    """A model that takes pictures of another shape and brings them to this model's.

    Resizing takes no heed of proportions: a square picture of a face is what models expect.

    Args:
        model: A Keras model that computes in float32.
        shape: (height, width, channels) of the pictures, as `check` gives it.

    Returns:
        A Keras model of the same name and outputs; `model` itself where the shape is its own.
    """
    import keras

    own = tuple(model.input_shape[1:])
    if own == shape:
        return model
    image = x = keras.Input(shape, name="picture")
    if shape[2] == 3 and own[2] == 1:
        # First of all, so that one channel is resized and not three.
        luma = keras.layers.Conv2D(
            1, 1, data_format="channels_last", use_bias=False, dtype="float32", name="to_gray"
        )
        x = luma(x)
        luma.set_weights([np.reshape(LUMA, (1, 1, 3, 1))])
    if own[:2] != shape[:2]:
        x = _resized(x, shape[:2], own[:2])
    if shape[2] == 1 and own[2] == 3:
        x = keras.layers.Concatenate(dtype="float32", name="to_rgb")([x, x, x])
    return keras.Model(image, model(x), name=model.name)


def _resized(x: Any, source: tuple[int, int], target: tuple[int, int]) -> Any:
    """Rows and columns as products with fixed matrices.

    LiteRT's own RESIZE_BILINEAR reads two pixels however far the picture is reduced, so that a
    camera's frame would alias.
    """
    import keras

    layers = keras.layers
    x = layers.Permute((3, 1, 2), dtype="float32", name="resize_channels_first")(x)
    for axis, name in ((1, "resize_columns"), (0, "resize_rows")):
        if source[axis] != target[axis]:
            product = layers.Dense(target[axis], use_bias=False, dtype="float32", name=name)
            x = product(x)
            product.set_weights([resize_matrix(source[axis], target[axis]).T])
        x = layers.Permute((1, 3, 2), dtype="float32", name=f"{name}_turned")(x)
    return layers.Permute((2, 3, 1), dtype="float32", name="resize_channels_last")(x)


def resize_matrix(source: int, target: int) -> npt.NDArray[np.float32]:
    """The weights of each source pixel in each target pixel, `(target, source)`; rows sum to 1.

    A triangle about the target pixel's centre, two target pixels wide, or two source pixels
    where the picture is enlarged: Pillow's bilinear filter, which `runtime.crops.fit` uses, so
    that nothing aliases.

    Reference: https://pillow.readthedocs.io/en/stable/handbook/concepts.html#filters
    """
    step = source / target
    centres = (np.arange(target) + 0.5) * step
    distances = np.abs(np.arange(source) + 0.5 - centres[:, np.newaxis])
    weights = np.maximum(0, 1 - distances / max(step, 1))
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def fit_images(
    images: npt.NDArray[np.float32], shape: tuple[int, int, int]
) -> npt.NDArray[np.float32]:
    """Pictures of the model's own shape, brought to the shape that a file takes."""
    if images.shape[3] != shape[2]:
        images = (
            images.repeat(3, axis=3)
            if shape[2] == 3
            else images @ np.asarray(LUMA, np.float32)[:, np.newaxis]
        )
    rows, columns = (
        resize_matrix(source, target)
        for source, target in zip(images.shape[1:3], shape[:2], strict=True)
    )
    if images.shape[1:3] == shape[:2]:
        return images
    fitted = np.einsum("hH,nHWc,wW->nhwc", rows, images, columns, optimize=True)
    return np.clip(fitted, 0, 255, dtype=np.float32)
