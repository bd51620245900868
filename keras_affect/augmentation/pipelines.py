"""What a camera and a face detector do to a face crop, drawn anew for each picture.

A pipeline draws its parameters first (`draw`) and applies them then (`apply`), so that a test
can give parameters of its own. What it draws for a picture depends on the picture's key alone,
which is a function of (seed, epoch, index): see `datasets.draws`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields

import tensorflow as tf

from keras_affect.datasets import draws

__all__ = ["FacePipeline", "face_pipeline"]

Parameters = Mapping[str, tf.Tensor]


@dataclass(frozen=True)
class FacePipeline:
    """Flip, rotation, scale, shift, contrast, brightness, noise and cutout of face crops.

    Called in `tf.data` as ``pipeline(images, keys)``. A setting of 0 turns its transform off.

    Args:
        flip: Probability of mirroring left to right, in [0, 1].
        rotation: Largest rotation to either side, in degrees.
        scale: Largest zoom, at least 1: zoom is drawn log-uniformly from [1/scale, scale].
        shift: Largest shift along each axis, in pixels.
        contrast: Largest contrast change, at least 1: the distance from the picture's mean is
            multiplied by a factor drawn log-uniformly from [1/contrast, contrast].
        brightness: Largest brightness change, at least 1: pixels are multiplied by a factor
            drawn log-uniformly from [1/brightness, brightness].
        noise: Largest standard deviation of Gaussian noise, in gray levels; each picture's is
            drawn uniformly from [0, noise].
        cutout: Side of a square, in pixels, filled with the picture's mean (DeVries and Taylor
            2017, arXiv:1708.04552); its centre is drawn from the whole picture.
        cutout_probability: Share of pictures that get the square, in [0, 1].

    Call arguments:
        images: float32 `(batch, height, width, channels)` in [0, 255].
        keys: uint64 `(batch,)`, from `datasets.draws.example_keys`.

    Returns:
        float32 images of the same shape in [0, 255]. What comes in from outside the picture is
        its reflection.

    Raises:
        ValueError: If a setting is outside its range.
    """

    flip: float = 0.5
    rotation: float = 15.0
    scale: float = 1.18
    shift: float = 4.0
    contrast: float = 1.5
    brightness: float = 1.3
    noise: float = 0.0
    cutout: int = 14
    cutout_probability: float = 0.5

    def __post_init__(self) -> None:
        ranges = {
            "flip": (0, 1),
            "rotation": (0, 180),
            "scale": (1, 4),
            "shift": (0, math.inf),
            "contrast": (1, 10),
            "brightness": (1, 10),
            "noise": (0, 128),
            "cutout": (0, math.inf),
            "cutout_probability": (0, 1),
        }
        for field in fields(self):
            low, high = ranges[field.name]
            value = getattr(self, field.name)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not (number and low <= value <= high):
                raise ValueError(
                    f"Invalid value for argument `{field.name}`. Expected a number in "
                    f"[{low}, {high}]. Received: {field.name}={value!r}"
                )

    def __call__(self, images: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
        """Draw from the keys and apply: see the class."""
        shape = tf.shape(images)
        result = self.apply(images, self.draw(keys, shape[1], shape[2]))
        if self.noise > 0:
            result = self._add_noise(result, keys)
        return tf.ensure_shape(result, images.shape)

    def draw(self, keys: tf.Tensor, height: tf.Tensor, width: tf.Tensor) -> Parameters:
        """Parameters for `apply`, each `(batch,)`, for pictures of that size."""
        points = draws.uniform(keys, 10)
        signed = 2 * points - 1
        inside = tf.cast(tf.stack([height, width]), tf.float32)
        return {
            "mirror": tf.cast(points[:, 0] < self.flip, tf.float32),
            "radians": signed[:, 1] * (self.rotation * math.pi / 180),
            "zoom": tf.exp(signed[:, 2] * math.log(self.scale)),
            "shift_y": signed[:, 3] * self.shift,
            "shift_x": signed[:, 4] * self.shift,
            "contrast": tf.exp(signed[:, 5] * math.log(self.contrast)),
            "brightness": tf.exp(signed[:, 6] * math.log(self.brightness)),
            # A centre far outside the picture is no square at all.
            "cut_y": tf.where(
                points[:, 9] < self.cutout_probability, points[:, 7] * inside[0], -1e6
            ),
            "cut_x": points[:, 8] * inside[1],
        }

    def apply(self, images: tf.Tensor, parameters: Parameters) -> tf.Tensor:
        """The pictures under given parameters; needs no key and draws nothing."""
        images = _move(images, parameters)
        mean = tf.reduce_mean(images, axis=(1, 2), keepdims=True)
        contrast = parameters["contrast"][:, None, None, None]
        brightness = parameters["brightness"][:, None, None, None]
        images = ((images - mean) * contrast + mean) * brightness
        images = tf.clip_by_value(images, 0.0, 255.0)
        if self.cutout > 0:
            images = self._cut(images, parameters)
        return images

    def _cut(self, images: tf.Tensor, parameters: Parameters) -> tf.Tensor:
        shape = tf.shape(images)
        half = self.cutout / 2
        rows = tf.range(shape[1], dtype=tf.float32)[None] + 0.5
        columns = tf.range(shape[2], dtype=tf.float32)[None] + 0.5
        in_rows = tf.abs(rows - parameters["cut_y"][:, None]) < half
        in_columns = tf.abs(columns - parameters["cut_x"][:, None]) < half
        square = (in_rows[:, :, None] & in_columns[:, None, :])[..., None]
        return tf.where(square, tf.reduce_mean(images, axis=(1, 2), keepdims=True), images)

    def _add_noise(self, images: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
        deviation = self.noise * draws.uniform(keys, 1, stream=1)[:, :, None, None]
        pixels = tf.reduce_prod(tf.shape(images)[1:])
        noise = tf.reshape(draws.normal(keys, pixels, stream=2), tf.shape(images))
        return tf.clip_by_value(images + deviation * noise, 0.0, 255.0)


def _move(images: tf.Tensor, parameters: Parameters) -> tf.Tensor:
    """Mirror, rotate, zoom and shift about the pictures' centre, bilinear, reflected borders."""
    shape = tf.shape(images)
    size = tf.cast(shape[1:3], tf.float32)
    centre_y, centre_x = (size[0] - 1) / 2, (size[1] - 1) / 2
    # ImageProjectiveTransformV3 asks, for each output pixel, where in the input it lies: the
    # inverse of "mirror, then rotate and zoom, then shift".
    zoom = parameters["zoom"]
    cos = tf.cos(parameters["radians"]) / zoom
    sin = tf.sin(parameters["radians"]) / zoom
    sign = 1.0 - 2.0 * parameters["mirror"]
    from_x = -(centre_x + parameters["shift_x"])
    from_y = -(centre_y + parameters["shift_y"])
    zero = tf.zeros_like(zoom)
    matrix = tf.stack(
        [
            sign * cos,
            sign * sin,
            sign * (cos * from_x + sin * from_y) + centre_x,
            -sin,
            cos,
            -sin * from_x + cos * from_y + centre_y,
            zero,
            zero,
        ],
        axis=1,
    )
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=matrix,
        output_shape=shape[1:3],
        interpolation="BILINEAR",
        fill_mode="REFLECT",
        fill_value=0.0,
    )


def face_pipeline(strength: str = "strong") -> FacePipeline:
    """A `FacePipeline` by name.

    Args:
        strength: "light" (flip, 11 degrees, zoom 1.1, shift 4 pixels, mild contrast), "strong"
            (15 degrees, zoom 1.18, stronger contrast and brightness, cutout), or "camera"
            (strong, and noise), for pictures from real cameras.

    Raises:
        ValueError: If the name is not one of these.
    """
    known = {
        "light": FacePipeline(
            rotation=11.0, scale=1.1, contrast=1.2, brightness=1.1, cutout_probability=0.0
        ),
        "strong": FacePipeline(),
        "camera": FacePipeline(noise=12.0, brightness=1.8),
    }
    if strength not in known:
        raise ValueError(
            f"Invalid value for argument `strength`. Expected one of {', '.join(known)}. "
            f"Received: strength={strength!r}"
        )
    return known[strength]
