"""A square cut out of each picture."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_affect._arguments import invalid
from keras_affect.augmentation.keys import uniform_of_keys

__all__ = ["Cutout", "squares"]

#: Where the keys' draws for centres stand; `FacePipeline` draws from the streams 0 to 2.
_STREAM = 100


def squares(rows: Any, columns: Any, centres: Any, size: int) -> Any:
    """Where in pictures their squares lie, clipped at the border.

    It stands on operators alone: tensors of `tf.data` are TensorFlow's whatever Keras's backend.

    Args:
        rows: int32 `(height,)`: 0, 1, ..., height - 1.
        columns: int32 `(width,)`, likewise.
        centres: int32 `(batch, 2)`: row and column. One far outside makes no square.
        size: Side of the squares in pixels. One of even size reaches one pixel further up and
            left from its centre.

    Returns:
        bool `(batch, height, width)`.
    """
    first = centres - size // 2
    first_row, first_column = first[:, :1], first[:, 1:]
    in_rows = (rows[None] >= first_row) & (rows[None] < first_row + size)
    in_columns = (columns[None] >= first_column) & (columns[None] < first_column + size)
    return in_rows[:, :, None] & in_columns[:, None, :]


@keras.saving.register_keras_serializable(package="keras_affect")
class Cutout(keras.layers.Layer):
    """Fills one square of fixed size in each picture, its centre anywhere in the picture.

    Every pixel of a picture is as likely as any other to be the centre, so the square is clipped
    where it hangs over the border: pixels near the border are cut less often, and in some
    pictures little is cut at all. The paper found that better than whole squares. Unlike
    `keras.layers.RandomErasing` the size is the same for all pictures.

    The layer works in a model, where it does nothing at inference, and in `tf.data` where
    TensorFlow is Keras's backend. With `keys` the squares are functions of the keys alone,
    the same in any order and at any number of parallel calls.

    Args:
        size: Side of the square in pixels, 1 or more, at most the picture's height and width. A
            square of even size reaches one pixel further up and left from its centre.
        fill_value: What the square is filled with: `"mean"`, the picture's own mean over height
            and width in each channel, or a number in the pixels' units. The paper's 0 is the mean,
            too: its pictures were normalised before.
        data_format: `"channels_last"` or `"channels_first"`. Defaults to
            `keras.config.image_data_format()`.
        seed: Integer that draws without keys start from. None: from a random one.
        **kwargs: As any Keras layer: `name`, `dtype`.

    Call arguments:
        images: `(batch, height, width, channels)` or `(height, width, channels)`, or with the
            channels first. Integers are cast to the layer's compute dtype.
        keys: uint64 `(batch,)`, a scalar for one picture, from `augmentation.with_keys` or
            `datasets.draws.example_keys`. Where keys are given squares are cut whatever
            `training` is.
        training: Whether to cut. Defaults to False, and `model.fit` sets it.

    Output shape:
        As the images.

    Raises:
        ValueError: If an argument is none of these, or the square is larger than the picture.

    Reference:
        - [DeVries and Taylor 2017, "Improved regularization of convolutional neural networks with
          Cutout"](https://arxiv.org/abs/1708.04552)

    Example:
    ```python
    model = keras.Sequential([keras.Input((48, 48, 1)), Cutout(14), backbone])

    dataset = with_keys(dataset, seed=0)
    dataset = dataset.map(
        lambda keys, images, labels: (cutout(images, keys), labels), num_parallel_calls=4
    )
    ```
    """

    def __init__(
        self,
        size: int,
        fill_value: float | str = "mean",
        data_format: str | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise invalid("size", "an integer of 1 or more", size)
        number = isinstance(fill_value, int | float) and not isinstance(fill_value, bool)
        finite = number and abs(float(fill_value)) < float("inf")
        if fill_value != "mean" and not finite:
            raise invalid("fill_value", '"mean" or a finite number', fill_value)
        if data_format not in (None, "channels_last", "channels_first"):
            raise invalid("data_format", '"channels_last" or "channels_first"', data_format)
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int)):
            raise invalid("seed", "None or an integer", seed)
        self.size = size
        self.fill_value = fill_value
        self.data_format = data_format or keras.config.image_data_format()
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.supports_masking = True

    def call(self, images: Any, keys: Any = None, training: bool = False) -> Any:
        """See the class."""
        images = ops.cast(images, self.compute_dtype)
        self._check(images.shape)
        if keys is None and not training:
            return images
        alone = len(images.shape) == 3
        if alone:
            images = ops.expand_dims(images, 0)
            keys = None if keys is None else ops.expand_dims(keys, 0)
        images = self.apply(images, self.draw(images, keys))
        return ops.squeeze(images, 0) if alone else images

    def draw(self, images: Any, keys: Any = None) -> Any:
        """A centre for each picture of a batch, uniform over its pixels.

        Args:
            images: `(batch, height, width, channels)`, or with the channels first; only the shape
                is looked at.
            keys: As in the call. None: from the layer's seed generator.

        Returns:
            int32 `(batch, 2)`: row and column, from 0.
        """
        shape = ops.shape(images)
        if keys is None:
            # float32 whatever the policy: half precision has too few numbers for places.
            points = keras.random.uniform((shape[0], 2), dtype="float32", seed=self.seed_generator)
        else:
            points = uniform_of_keys(keys, 2, stream=_STREAM)
        row, column = self._axes
        inside = ops.stack([ops.cast(shape[axis], "float32") for axis in (row, column)])
        return ops.cast(ops.floor(points * inside), "int32")

    def apply(self, images: Any, centres: Any) -> Any:
        """The pictures with squares at given centres; draws nothing.

        Args:
            images: Floating-point `(batch, height, width, channels)`, or with the channels first.
            centres: int32 `(batch, 2)`: row and column.
        """
        shape = ops.shape(images)
        rows, columns = (ops.arange(shape[axis], dtype="int32") for axis in self._axes)
        square = squares(rows, columns, ops.convert_to_tensor(centres, dtype="int32"), self.size)
        square = ops.expand_dims(square, 1 if self.data_format == "channels_first" else 3)
        if self.fill_value == "mean":
            # Summed in float32: float16 overflows at 65,504, some 257 white pixels.
            fill = ops.mean(ops.cast(images, "float32"), axis=self._axes, keepdims=True)
            fill = ops.cast(fill, images.dtype)
        else:
            fill = ops.cast(self.fill_value, images.dtype)
        return ops.where(square, fill, images)

    @property
    def _axes(self) -> tuple[int, int]:
        """Height and width in a batch."""
        return (2, 3) if self.data_format == "channels_first" else (1, 2)

    def _check(self, shape: Any) -> None:
        shape = tuple(shape)
        if len(shape) not in (3, 4):
            raise ValueError(
                "Invalid value for argument `images`. Expected shape (batch, height, width, "
                "channels) or (height, width, channels), or with the channels first. "
                f"Received: shape {shape}"
            )
        for axis in self._axes:
            side = shape[axis + len(shape) - 4]
            if side is not None and self.size > side:
                raise ValueError(
                    "Invalid value for argument `size`. Expected at most the images' height and "
                    f"width. Received: size={self.size} for images of shape {shape}"
                )

    def compute_output_shape(self, images_shape: Any, keys_shape: Any = None) -> Any:
        """As the images."""
        self._check(images_shape)
        return images_shape

    def compute_output_spec(self, images: Any, keys: Any = None, training: bool = False) -> Any:
        """As the images, in the layer's compute dtype."""
        self._check(images.shape)
        return keras.KerasTensor(images.shape, dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """The arguments, as `from_config` takes them."""
        return {
            **super().get_config(),
            "size": self.size,
            "fill_value": self.fill_value,
            "data_format": self.data_format,
            "seed": self.seed,
        }
