"""Fractional pooling: images made smaller by a ratio between whole numbers, a little differently
each time.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable
from typing import Any, ClassVar, Literal

import keras
from keras import ops

from keras_affect._arguments import check_flag
from keras_affect.layers import fractional_regions as regions
from keras_affect.layers import fractional_sequences as sequences

__all__ = ["FractionalAveragePooling2D", "FractionalMaxPooling2D"]

_LARGEST_RATIO = 3
# Relative. 33 / 1.1 is 30, and 29.999999999999996 in floating point.
_ROUNDING = 1e-9


class _FractionalPooling2D(keras.layers.Layer):
    """What the two layers share: all but what is made of a region."""

    _pool: ClassVar[Callable[..., Any]]

    def __init__(
        self,
        pool_ratio: float | tuple[float, float] = 1.44,
        overlapping: bool = False,
        pseudo_random: bool = True,
        seed: int | None = None,
        *,
        output_size: int | tuple[int, int] | None = None,
        data_format: Literal["channels_last", "channels_first"] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.pool_ratio = _check_ratio(pool_ratio)
        self.overlapping = check_flag("overlapping", overlapping)
        self.pseudo_random = check_flag("pseudo_random", pseudo_random)
        self.seed = seed
        self.output_size = _check_output_size(output_size)
        self.data_format = _check_data_format(data_format)
        self.input_spec = keras.layers.InputSpec(ndim=4)
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Pool: see the class."""
        size = self._size(inputs.shape)
        new_size = self._new_size(size)
        if training:
            draw = sequences.draw_pseudo_random if self.pseudo_random else sequences.draw_random
            boundaries = [
                draw(length, count, self.seed_generator)
                for length, count in zip(size, new_size, strict=True)
            ]
        else:
            boundaries = list(map(sequences.central, size, new_size))
        return self.pool(inputs, *boundaries)

    def pool(self, inputs: Any, rows: Any, columns: Any) -> Any:
        """The inputs pooled over given regions; draws nothing.

        Args:
            inputs: As of the layer.
            rows: Boundaries of the regions along the height, int32 `(new_height + 1,)`, from 0 to
                the height, in steps of ``floor(height / new_height)`` or one more: such as
                `tf.nn.fractional_max_pool` returns.
            columns: Likewise along the width.

        Returns:
            The outputs of the layer.
        """
        if self.data_format == "channels_first":
            inputs = ops.transpose(inputs, (0, 2, 3, 1))
        outputs = type(self)._pool(inputs, rows, columns, self.overlapping)
        if self.data_format == "channels_first":
            outputs = ops.transpose(outputs, (0, 3, 1, 2))
        return outputs

    def rematerialized_call(self, layer_call: Any, *args: Any, **kwargs: Any) -> Any:
        """The call as it is, inside `keras.RematScope` too.

        Called a second time for the gradient, the layer would draw other regions. Nor is there
        memory to save: the gradient is computed from the inputs, and nothing else is kept.
        """
        return layer_call

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The shape of the outputs: height and width don't depend on what is drawn."""
        height, width = self._new_size(self._size(input_shape))
        if self.data_format == "channels_first":
            return (*input_shape[:2], height, width)
        return (input_shape[0], height, width, input_shape[3])

    def get_config(self) -> dict[str, Any]:
        """The arguments that make the layer anew."""
        config = {
            "pool_ratio": self.pool_ratio,
            "overlapping": self.overlapping,
            "pseudo_random": self.pseudo_random,
            "seed": self.seed,
            "output_size": self.output_size,
            "data_format": self.data_format,
        }
        return {**super().get_config(), **config}

    def _size(self, input_shape: tuple[int | None, ...]) -> tuple[int, int]:
        """Height and width."""
        first = 2 if self.data_format == "channels_first" else 1
        height, width = input_shape[first : first + 2]
        if height is None or width is None:
            raise ValueError(
                "Invalid value for argument `inputs`. Expected a fixed height and width, which "
                f"the regions are made for. Received: shape {tuple(input_shape)}"
            )
        return height, width

    def _new_size(self, size: tuple[int, int]) -> tuple[int, int]:
        if self.output_size is not None:
            if any(new > old for new, old in zip(self.output_size, size, strict=True)):
                raise ValueError(
                    "Invalid value for argument `output_size`. Expected no more than the inputs' "
                    f"height and width, {size}. Received: output_size={self.output_size}"
                )
            return self.output_size
        height, width = (
            math.floor(length / ratio * (1 + _ROUNDING))
            for length, ratio in zip(size, self.pool_ratio, strict=True)
        )
        if height < 1 or width < 1:
            raise ValueError(
                "Invalid value for argument `pool_ratio`. Expected no more than the inputs' "
                f"height and width, {size}. Received: pool_ratio={self.pool_ratio}"
            )
        return height, width


@keras.saving.register_keras_serializable(package="keras_affect")
class FractionalMaxPooling2D(_FractionalPooling2D):
    """Max pooling that makes an image smaller by any ratio from 1 to 3, 1.44 as well as 2.

    An image of `size` rows becomes one of `n = floor(size / pool_ratio)`. Its rows are cut into n
    regions of `floor(size / n)` rows or one more, its columns likewise, and each output is the
    largest value of a region. Where to cut is drawn anew for each batch in training, for height
    and width apart, and is the same for all samples and channels of the batch:

    - pseudo-random regions lie at even distances, and only where the first one begins is drawn.
      Boundary i is `floor(size / n * (i + u))` with u uniform in [0, 1), or in [0, b) with a
      smaller b where the first or last region would otherwise have another length;
    - random regions have the same lengths in any order. They distort the image more, and
      regularise more.

    At inference the cuts are fixed, and nothing is drawn: boundary i is `i * size / n` rounded to
    the nearest whole number, halves up. This is one of the pseudo-random sequences, and the mean
    of the random ones rounded. The paper's alternative, to average the network over several
    draws, is to average calls with `training=True`.

    The shape of the outputs is static. Layers after this one see it as they see other pooling;
    XLA, half precision, and export to LiteRT in float and int8 work.

    With the TensorFlow backend, in a graph that is not compiled (`jit_compile=False`), what a
    training step computes over its regions is still compiled by XLA, once for each batch size:
    operator by operator it would take several times as long.

    Args:
        pool_ratio: By how much to make the image smaller, from 1 to 3, a number or a pair
            `(height, width)`. The paper uses the square and the cube root of 2.
        overlapping: Whether each region also holds the first row and the first column of the
            next one, as far as there is a next one.
        pseudo_random: Whether regions are pseudo-random or random.
        seed: Integer, or None for a random one.
        output_size: Height and width of the outputs, an integer or a pair, from 1 to the inputs'
            own. Where it is given it stands in for `pool_ratio`, which then plays no part.
        data_format: `"channels_last"` or `"channels_first"`. Defaults to
            `keras.config.image_data_format()`.
        **kwargs: `name`, `dtype` and so on, as of `keras.layers.Layer`.

    Call arguments:
        inputs: See below.
        training: Whether to draw regions.

    Input shape:
        `(batch, height, width, channels)`, or `(batch, channels, height, width)` with
        `data_format="channels_first"`; height and width fixed.

    Output shape:
        `(batch, new_height, new_width, channels)`, or `(batch, channels, new_height, new_width)`.

    Raises:
        ValueError: If an argument is not as above; or, when called, if height or width is not
            fixed, or smaller than `output_size` or than the ratio.

    Reference:
        - Graham 2014, "Fractional Max-Pooling" (arXiv:1412.6071).

    Example:
    ```python
    x = keras_affect.layers.FractionalMaxPooling2D(pool_ratio=1.44)(x)  # 48x48 to 33x33
    ```
    """

    _pool = staticmethod(regions.maximum)


@keras.saving.register_keras_serializable(package="keras_affect")
class FractionalAveragePooling2D(_FractionalPooling2D):
    """Average pooling that makes an image smaller by any ratio from 1 to 3, 1.44 as well as 2.

    Each output is the mean of a region: a region's sum is divided by the number of pixels that it
    has, so a shorter one counts as much as a longer. Regions are those of
    `FractionalMaxPooling2D`: drawn anew for each batch in training, fixed at inference.

    Half-precision inputs are added up in float32.

    Args:
        pool_ratio: By how much to make the image smaller, from 1 to 3, a number or a pair
            `(height, width)`.
        overlapping: Whether each region also holds the first row and the first column of the
            next one, as far as there is a next one.
        pseudo_random: Whether regions are pseudo-random or random: see `FractionalMaxPooling2D`.
        seed: Integer, or None for a random one.
        output_size: Height and width of the outputs, an integer or a pair, from 1 to the inputs'
            own. Where it is given it stands in for `pool_ratio`, which then plays no part.
        data_format: `"channels_last"` or `"channels_first"`. Defaults to
            `keras.config.image_data_format()`.
        **kwargs: `name`, `dtype` and so on, as of `keras.layers.Layer`.

    Call arguments:
        inputs: See below.
        training: Whether to draw regions.

    Input shape:
        `(batch, height, width, channels)`, or `(batch, channels, height, width)` with
        `data_format="channels_first"`; height and width fixed.

    Output shape:
        `(batch, new_height, new_width, channels)`, or `(batch, channels, new_height, new_width)`.

    Raises:
        ValueError: If an argument is not as above; or, when called, if height or width is not
            fixed, or smaller than `output_size` or than the ratio.

    Reference:
        - Graham 2014, "Fractional Max-Pooling" (arXiv:1412.6071): the regions.

    Example:
    ```python
    x = keras_affect.layers.FractionalAveragePooling2D(output_size=16)(x)  # 33x33 to 16x16
    ```
    """

    _pool = staticmethod(regions.average)


def _pair(value: Any) -> tuple[Any, ...] | None:
    """A pair of values as it is, anything else twice; None for what is neither."""
    if isinstance(value, list | tuple):
        return tuple(value) if len(value) == 2 else None
    return (value, value)


def _is_number(value: Any, kind: Any = numbers.Real) -> bool:
    """Whether it is a number of a kind; True and False are none."""
    return isinstance(value, kind) and not isinstance(value, bool)


def _check_ratio(value: Any) -> tuple[float, float]:
    pair = _pair(value)
    if pair is None or not all(
        _is_number(ratio) and 1 <= ratio <= _LARGEST_RATIO for ratio in pair
    ):
        raise ValueError(
            f"Invalid value for argument `pool_ratio`. Expected a number in [1, {_LARGEST_RATIO}], "
            f"or a pair (height, width) of them. Received: pool_ratio={value!r}"
        )
    return float(pair[0]), float(pair[1])


def _check_output_size(value: Any) -> tuple[int, int] | None:
    if value is None:
        return None
    pair = _pair(value)
    if pair is None or not all(_is_number(size, numbers.Integral) and size >= 1 for size in pair):
        raise ValueError(
            "Invalid value for argument `output_size`. Expected an integer of 1 or more, a pair "
            f"(height, width) of them, or None. Received: output_size={value!r}"
        )
    return int(pair[0]), int(pair[1])


def _check_data_format(value: Any) -> str:
    if value is None:
        return str(keras.config.image_data_format())
    if value not in ("channels_last", "channels_first"):
        raise ValueError(
            'Invalid value for argument `data_format`. Expected "channels_last", '
            f'"channels_first" or None. Received: data_format={value!r}'
        )
    return str(value)
