"""What a camera and a face detector do to a face crop, drawn anew for each picture.

A pipeline draws its parameters first (`draw`) and applies them then (`apply`), so that a test
can give parameters of its own. What it draws for a picture depends on the picture's key alone,
which is a function of (seed, epoch, index): see `datasets.draws`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import tensorflow as tf

from keras_affect._arguments import invalid
from keras_affect.augmentation.camera import blurred, compressed
from keras_affect.augmentation.cutout import squares
from keras_affect.augmentation.mixup import Mixup
from keras_affect.datasets import draws

__all__ = ["FacePipeline", "face_pipeline"]

Parameters = Mapping[str, tf.Tensor]

_RANGES: dict[str, tuple[float, float]] = {
    "flip": (0, 1),
    "rotation": (0, 180),
    "scale": (1, 4),
    "shift": (0, math.inf),
    "contrast": (1, 10),
    "brightness": (1, 10),
    "noise": (0, 128),
    "blur": (0, 4),
    "compression": (1, 100),
    "degradation_probability": (0, 1),
    "cutout": (0, math.inf),
    "cutout_probability": (0, 1),
}


@dataclass(frozen=True)
class FacePipeline:
    """Flip, rotation, scale, shift, light, cutout, blur, noise, JPEG and mixup of face crops.

    Called in `tf.data` as ``pipeline(images, keys)``, or with the labels, which mixup needs. It
    is not built of Keras's own augmentation layers because those keep a random state, and what
    this draws for a picture is a function of (seed, epoch, index): the same in any order, at any
    number of parallel calls, and after a restart.

    Args:
        flip: Probability of mirroring left to right, in [0, 1].
        rotation: Largest rotation to either side, in degrees, at most 180.
        scale: Largest zoom, in [1, 4]: zoom is drawn log-uniformly from [1/scale, scale].
        shift: Largest shift along each axis, in pixels.
        contrast: Largest contrast change, in [1, 10]: the distance from the picture's mean is
            multiplied by a factor drawn log-uniformly from [1/contrast, contrast].
        brightness: Largest brightness change, in [1, 10]: pixels are multiplied by a factor
            drawn log-uniformly from [1/brightness, brightness].
        noise: Largest standard deviation of Gaussian noise, in gray levels, at most 128; each
            picture's is drawn uniformly from [0, noise].
        blur: Largest standard deviation of Gaussian blur, in pixels, at most 4; each picture's is
            drawn uniformly from [0, blur].
        compression: Lowest quality of JPEG, in [1, 100]; each picture's is drawn uniformly from
            [compression, 100]. 100 compresses nothing.
        degradation_probability: Share of pictures that noise, blur and JPEG's loss fall on, in
            [0, 1]; the others stay as sharp as they came.
        cutout: Side of a square in pixels, an integer, filled with the picture's mean as by
            `Cutout`; its centre is drawn from the whole picture. 0 cuts nothing.
        cutout_probability: Share of pictures that get the square, in [0, 1].
        mixup: Parameter of the Beta distribution of `Mixup`, or a `Mixup`; 0 mixes nothing.

    Call arguments:
        images: `(batch, height, width, channels)` in [0, 255].
        keys: uint64 `(batch,)`, from `augmentation.with_keys` or `datasets.draws.example_keys`.
        labels: As `Mixup` takes them. Default None.
        sample_weight: As `Mixup` takes them. Default None.

    Returns:
        float32 images of the same shape in [0, 255]; what comes in from outside the picture is
        its reflection. Where labels or sample weights were given, a tuple as `Mixup` returns:
        `(images, labels)` or `(images, labels, sample_weight)`.

    Raises:
        ValueError: If a setting is outside its range, the square is larger than the pictures, or
            mixup has no labels to mix.

    Reference:
        - [DeVries and Taylor 2017, "Improved regularization of convolutional neural networks with
          Cutout"](https://arxiv.org/abs/1708.04552)
        - [Zhang et al. 2018, "mixup: beyond empirical risk minimization"](
          https://arxiv.org/abs/1710.09412)

    Example:
    ```python
    pipeline = FacePipeline(rotation=20.0, mixup=0.2)
    dataset = with_keys(dataset, seed=0).map(
        lambda keys, images, labels: pipeline(images, keys, labels), num_parallel_calls=4
    )
    ```
    """

    flip: float = 0.5
    rotation: float = 15.0
    scale: float = 1.18
    shift: float = 4.0
    contrast: float = 1.5
    brightness: float = 1.3
    noise: float = 0.0
    blur: float = 0.0
    compression: float = 100.0
    degradation_probability: float = 1.0
    cutout: int = 14
    cutout_probability: float = 0.5
    mixup: float | Mixup = 0.0

    def __post_init__(self) -> None:
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            kinds = (int,) if name == "cutout" else (int, float)
            number = isinstance(value, kinds) and not isinstance(value, bool)
            if not (number and low <= value <= high and math.isfinite(value)):
                kind = "an integer" if name == "cutout" else "a finite number"
                bounded = f"a number in [{low}, {high}]"
                raise invalid(
                    name, bounded if high < math.inf else f"{kind} of {low} or more", value
                )
        mixup = self.mixup
        if not isinstance(mixup, Mixup):
            number = isinstance(mixup, int | float) and not isinstance(mixup, bool)
            if not (number and 0 <= mixup < math.inf):
                raise invalid("mixup", "a finite number of 0 or more, or a Mixup", mixup)
        _ = self._mixup  # made now: a graph of `tf.data` is no place for its variables

    @cached_property
    def _mixup(self) -> Mixup | None:
        if isinstance(self.mixup, Mixup):
            return self.mixup
        return Mixup(self.mixup) if self.mixup > 0 else None

    @property
    def mixes_labels(self) -> bool:
        """Whether it must be called with the labels."""
        return self._mixup is not None

    def __call__(
        self, images: Any, keys: Any, labels: Any = None, sample_weight: Any = None
    ) -> Any:
        """Draw from the keys and apply: see the class."""
        images = tf.cast(images, tf.float32)
        self._check(images.shape, labels)
        shape = tf.shape(images)
        result = self.apply(images, self.draw(keys, shape[1], shape[2]))
        result = tf.ensure_shape(self._degrade(result, keys), images.shape)
        if self._mixup is not None:
            return self._mixup(result, labels, sample_weight, keys=keys)
        if sample_weight is not None:
            return result, labels, sample_weight
        return result if labels is None else (result, labels)

    def draw(self, keys: tf.Tensor, height: tf.Tensor, width: tf.Tensor) -> Parameters:
        """Parameters for `apply`, each `(batch,)`, for pictures of that size."""
        points = draws.uniform(keys, 10)
        signed = 2 * points - 1
        # A square's middle is anywhere: on a pixel where its side is odd, between two where even.
        middle = points[:, 7:9] * tf.cast(tf.stack([height, width]), tf.float32)
        centre = tf.cast(tf.floor(middle + (0.0 if self.cutout % 2 else 0.5)), tf.int32)
        return {
            "mirror": tf.cast(points[:, 0] < self.flip, tf.float32),
            "radians": signed[:, 1] * (self.rotation * math.pi / 180),
            "zoom": tf.exp(signed[:, 2] * math.log(self.scale)),
            "shift_y": signed[:, 3] * self.shift,
            "shift_x": signed[:, 4] * self.shift,
            "contrast": tf.exp(signed[:, 5] * math.log(self.contrast)),
            "brightness": tf.exp(signed[:, 6] * math.log(self.brightness)),
            # A centre far outside the picture is no square at all.
            "cut_y": tf.where(points[:, 9] < self.cutout_probability, centre[:, 0], -1_000_000),
            "cut_x": centre[:, 1],
        }

    def apply(self, images: tf.Tensor, parameters: Parameters) -> tf.Tensor:
        """The pictures under given parameters; needs no key and draws nothing.

        What the pipeline's settings turn off is left out, whatever the parameters.
        """
        if (self.flip, self.rotation, self.scale, self.shift) != (0, 0, 1, 0):
            images = _move(images, parameters)
        if (self.contrast, self.brightness) != (1, 1):
            images = _recolour(images, parameters)
        if self.cutout > 0:
            images = self._cut(images, parameters)
        return images

    def _cut(self, images: tf.Tensor, parameters: Parameters) -> tf.Tensor:
        shape = tf.shape(images)
        centres = tf.stack([parameters["cut_y"], parameters["cut_x"]], axis=1)
        square = squares(tf.range(shape[1]), tf.range(shape[2]), centres, self.cutout)
        mean = tf.reduce_mean(images, axis=(1, 2), keepdims=True)
        return tf.where(square[..., None], mean, images)

    def _degrade(self, images: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
        """Blur, noise and JPEG's loss, in the order of a camera: the lens, the sensor, the file."""
        strengths = draws.uniform(keys, 3, stream=3)
        result = images
        if self.blur > 0:
            result = blurred(result, self.blur * strengths[:, 0], self.blur)
        if self.noise > 0:
            result = self._add_noise(result, keys)
        if self.compression < 100:
            qualities = self.compression + (100 - self.compression) * strengths[:, 1]
            result = compressed(result, qualities)
        if self.degradation_probability == 1:
            return result
        chosen = strengths[:, 2] < self.degradation_probability
        return tf.where(chosen[:, None, None, None], result, images)

    def _add_noise(self, images: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
        deviation = self.noise * draws.uniform(keys, 1, stream=1)[:, :, None, None]
        pixels = tf.reduce_prod(tf.shape(images)[1:])
        noise = tf.reshape(draws.normal(keys, pixels, stream=2), tf.shape(images))
        return tf.clip_by_value(images + deviation * noise, 0.0, 255.0)

    def _check(self, shape: tf.TensorShape, labels: Any) -> None:
        if shape.rank not in (None, 4):
            raise ValueError(
                "Invalid value for argument `images`. Expected shape (batch, height, width, "
                f"channels). Received: shape {tuple(shape)}"
            )
        sides = [] if shape.rank is None else [side for side in shape[1:3] if side is not None]
        if any(self.cutout > side for side in sides):
            raise ValueError(
                "Invalid value for argument `cutout`. Expected at most the images' height and "
                f"width. Received: cutout={self.cutout} for images of shape {tuple(shape)}"
            )
        if self.mixes_labels and labels is None:
            raise ValueError(
                "Invalid value for argument `labels`. Expected the pictures' labels, which mixup "
                f"mixes too. Received: labels=None with mixup={self.mixup!r}"
            )


def _recolour(images: tf.Tensor, parameters: Parameters) -> tf.Tensor:
    """Contrast about the pictures' means, then brightness."""
    mean = tf.reduce_mean(images, axis=(1, 2), keepdims=True)
    contrast = parameters["contrast"][:, None, None, None]
    brightness = parameters["brightness"][:, None, None, None]
    images = ((images - mean) * contrast + mean) * brightness
    return tf.clip_by_value(images, 0.0, 255.0)


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


def face_pipeline(strength: str = "strong", **settings: Any) -> FacePipeline:
    """A `FacePipeline` by name, with settings of one's own.

    Args:
        strength: "none"; "light" (flip, 11 degrees, zoom 1.1, shift 4 pixels, mild contrast);
            "strong" (15 degrees, zoom 1.18, stronger contrast and brightness, cutout of 14 pixels
            in half of the pictures); "camera" (strong, with darker and brighter light, and blur,
            noise and JPEG's loss on half of the pictures), for pictures from real cameras; or
            "moderate" (camera without cutout, less light and these losses on a fifth), for
            networks too small to fit what "camera" makes of a picture.
        **settings: Arguments of `FacePipeline` that shall differ. Mixup is in none of the names.

    Raises:
        ValueError: If the name is not one of these, or a setting is none of `FacePipeline` or
            outside its range.

    Example:
    ```python
    dataset = keras_affect.datasets.ferplus.load(
        root, augment=face_pipeline("strong", rotation=20.0, cutout=0, mixup=0.2)
    )
    ```
    """
    if strength not in _NAMED:
        raise invalid("strength", f"one of {', '.join(_NAMED)}", strength)
    known = [field.name for field in fields(FacePipeline)]
    for name, value in settings.items():
        if name not in known:
            raise ValueError(
                f"Invalid value for argument `settings`. Expected some of {', '.join(known)}. "
                f"Received: {name}={value!r}"
            )
    return replace(_NAMED[strength], **settings)


_NAMED = {
    "none": FacePipeline(
        flip=0.0, rotation=0.0, scale=1.0, shift=0.0, contrast=1.0, brightness=1.0, cutout=0
    ),
    "light": FacePipeline(rotation=11.0, scale=1.1, contrast=1.2, brightness=1.1, cutout=0),
    "strong": FacePipeline(),
    "camera": FacePipeline(
        brightness=2.2, blur=1.6, noise=25.0, compression=10.0, degradation_probability=0.5
    ),
    "moderate": FacePipeline(
        brightness=1.8,
        blur=1.6,
        noise=25.0,
        compression=10.0,
        degradation_probability=0.2,
        cutout=0,
    ),
}
