"""Drawn faces with known emotion, valence and arousal. They are drawings, not photographs.

A model trained on them knows drawings: it has learnt the table `PROTOTYPES` and the hand that
draws it, and nothing of how people look. They serve where no data set is at hand: to try the
package, to see a whole training run in minutes, to test.

The expressions are the prototypes of the Facial Action Coding System in its emotion dictionary
(EMFACS: Friesen and Ekman 1983; the table is the usual short form). Each drawing has an intensity
between `LOWEST_INTENSITY` and 1, by which all its action units are multiplied, give or take what
people differ by. Its valence and arousal are that intensity times the emotion's point in
`emotions.CIRCUMPLEX`: a definition of this data set, not a rating by anybody.

A drawing is a pure function of (seed, index), for a given version of NumPy and Pillow. Emotions
come in shuffled rounds of eight, so that any first 8 n drawings hold each emotion n times.

`draw` and `arrays` need NumPy and Pillow alone, `load` needs TensorFlow.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from keras_affect import emotions
from keras_affect.datasets.face_drawing import SIZE, Face, render

__all__ = ["LOWEST_INTENSITY", "PROTOTYPES", "arrays", "draw", "load"]

#: The weakest expression drawn, as a share of the strongest.
LOWEST_INTENSITY = 0.3

#: Action units of each emotion, with their strength at intensity 1. Contempt's pull one half of
#: the face, either one.
PROTOTYPES: Mapping[str, Mapping[int, float]] = MappingProxyType(
    {
        "neutral": {},
        "happiness": {6: 1.0, 12: 1.0},
        "surprise": {1: 1.0, 2: 1.0, 5: 0.9, 25: 1.0, 26: 0.9},
        "sadness": {1: 1.0, 4: 0.6, 15: 1.0},
        "anger": {4: 1.0, 5: 0.6, 7: 0.7, 23: 1.0},
        "disgust": {9: 1.0, 15: 0.7, 16: 0.8},
        "fear": {1: 1.0, 2: 0.7, 4: 0.7, 5: 1.0, 7: 0.3, 20: 1.0, 25: 0.6, 26: 0.4},
        "contempt": {12: 1.0, 14: 1.0},
    }
)

# Streams of random numbers under one seed: one for the rounds, one for the drawings.
_ROUNDS, _DRAWINGS = 0, 1

Images = npt.NDArray[np.uint8]
Labels = dict[str, npt.NDArray[np.float32]]


def draw(index: int, seed: int = 0) -> tuple[Images, int, npt.NDArray[np.float32]]:
    """Draw one face.

    Args:
        index: Which drawing, 0 or more.
        seed: Which series of drawings, 0 or more.

    Returns:
        The image, uint8 in [0, 255] of shape `(48, 48, 1)`; the emotion's place in
        `emotions.NAMES`; and float32 (valence, arousal) in [-1, 1].

    Raises:
        ValueError: If `index` or `seed` is not an integer of at least 0.
    """
    index, seed = _natural(index, "index"), _natural(seed, "seed")
    block, place = divmod(index, len(emotions.NAMES))
    emotion = int(_generator(seed, _ROUNDS, block).permutation(len(emotions.NAMES))[place])
    generator = _generator(seed, _DRAWINGS, index)
    intensity = generator.uniform(LOWEST_INTENSITY, 1)
    face = _person(generator, _expression(generator, emotions.NAMES[emotion], intensity))
    image = _photograph(generator, render(face))
    valence_arousal = np.float32(intensity) * emotions.CIRCUMPLEX[emotion]
    return image[..., np.newaxis], emotion, valence_arousal


def arrays(count: int, seed: int = 0) -> tuple[Images, Labels]:
    """The first `count` drawings of a series as arrays, as `model.fit` takes them.

    Args:
        count: How many, 1 or more.
        seed: Which series of drawings, 0 or more.

    Returns:
        The images, uint8 in [0, 255] of shape `(count, 48, 48, 1)`, and a dict of float32
        labels: "emotion", one-hot of shape `(count, 8)` in the order of `emotions.NAMES`, and
        "valence_arousal" of shape `(count, 2)` in [-1, 1].

    Raises:
        ValueError: If `count` is not an integer of at least 1, or `seed` not one of at least 0.

    Example:
        >>> images, labels = arrays(16, seed=3)
        >>> images.shape, labels["emotion"].sum(axis=0).tolist()
        ((16, 48, 48, 1), [2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0])
    """
    count, seed = _natural(count, "count", least=1), _natural(seed, "seed")
    images = np.empty((count, SIZE, SIZE, 1), np.uint8)
    one_hot = np.zeros((count, len(emotions.NAMES)), np.float32)
    valence_arousal = np.empty((count, 2), np.float32)
    for index in range(count):
        images[index], emotion, valence_arousal[index] = draw(index, seed)
        one_hot[index, emotion] = 1
    return images, {"emotion": one_hot, "valence_arousal": valence_arousal}


def load(count: int, seed: int = 0, batch_size: int = 64, shuffle: bool = True) -> Any:
    """The first `count` drawings of a series as a `tf.data.Dataset`.

    Its elements have the structure that `ferplus.load` gives. The drawings stay in memory as
    bytes, 2,304 each.

    Args:
        count: How many, 1 or more.
        seed: Which series of drawings, 0 or more; it also seeds the order.
        batch_size: Drawings in a batch; the last of an epoch may be smaller.
        shuffle: Whether each epoch goes through the drawings in an order of its own, a function
            of (seed, epoch). Without it they come by index.

    Returns:
        A dataset of `(images, labels)`: float32 images in [0, 255] of shape
        `(batch, 48, 48, 1)`, and float32 labels {"emotion": `(batch, 8)`,
        "valence_arousal": `(batch, 2)`}.

    Raises:
        ValueError: If an argument is out of its range.
    """
    batch_size = _natural(batch_size, "batch_size", least=1)
    images, labels = arrays(count, seed)
    # TensorFlow loads here and not above, so that `arrays` can be used without it.
    import tensorflow as tf

    from keras_affect.datasets.epochs import epochs

    held, targets = tf.constant(images), {key: tf.constant(rows) for key, rows in labels.items()}

    def fetch(indices: tf.Tensor, keys: tf.Tensor) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        chosen = tf.cast(tf.gather(held, indices), tf.float32)
        return chosen, {key: tf.gather(rows, indices) for key, rows in targets.items()}

    return epochs(count, fetch, batch_size=batch_size, shuffle=shuffle, seed=seed)


def _expression(
    generator: np.random.Generator, name: str, intensity: float
) -> dict[int, tuple[float, float]]:
    """Action units of one drawing, each as its strength in the (left, right) half."""
    units: dict[int, tuple[float, float]] = {}
    # Nobody's face is at rest altogether, nor quite symmetric.
    for number in (1, 2, 4, 7, 12, 15, 25):
        idle = generator.uniform(0, 0.15)
        units[number] = (idle, idle)
    if generator.random() < 0.5:  # a smile shows teeth or doesn't; so does talk
        parted = generator.uniform(0.4, 1) * (intensity if name == "happiness" else 0.3)
        units[25] = (parted, parted)
    one_side = generator.random() < 0.5
    for number, full in PROTOTYPES[name].items():
        strength = full * intensity * generator.uniform(0.8, 1.15)
        left, right = np.clip(strength * generator.uniform(0.9, 1.1, 2), 0, 1).tolist()
        if name == "contempt":
            left, right = (left, 0.0) if one_side else (0.0, right)
        units[number] = (left, right)
    return units


def _person(generator: np.random.Generator, units: Mapping[int, tuple[float, float]]) -> Face:
    """Somebody with that expression, standing in front of the camera in some way."""
    uniform = generator.uniform
    skin = uniform(95, 220)
    # A tone like the skin's would hide the brows.
    hair = uniform(15, 0.6 * skin)
    bald = generator.random() < 0.1
    return Face(
        head_width=uniform(0.70, 0.82),
        jaw_width=uniform(0.78, 1.0),
        eye_distance=uniform(0.31, 0.37),
        eye_size=uniform(0.17, 0.21),
        eye_opening=uniform(0.85, 1.15),
        brow_height=uniform(0.22, 0.28),
        brow_thickness=uniform(0.05, 0.10),
        nose_width=uniform(0.09, 0.14),
        mouth_width=uniform(0.28, 0.36),
        lip_thickness=uniform(0.03, 0.08),
        hair_line=-1.0 if bald else uniform(-0.80, -0.62),
        hair_length=uniform(-0.4, 0.2) if generator.random() < 0.6 else uniform(0.6, 1.0),
        skin=skin,
        hair=hair,
        iris=uniform(15, 0.5 * skin),
        background=uniform(10, 245),
        clothes=uniform(10, 245),
        yaw=generator.normal(0, 0.13),
        pitch=generator.normal(0, 0.07),
        roll=generator.normal(0, 0.09),
        scale=uniform(19, 24),
        shift=(generator.normal(0, 1.2), generator.normal(0, 1.2)),
        gaze=(uniform(-0.3, 0.3), uniform(-0.1, 0.1)),
        units=units,
    )


def _photograph(generator: np.random.Generator, drawing: Images) -> Images:
    """The drawing under a light from some side, out of focus and grainy to some degree."""
    blurred = Image.fromarray(drawing).filter(ImageFilter.GaussianBlur(generator.uniform(0, 0.7)))
    angle, fall = generator.uniform(0, 2 * np.pi), generator.uniform(0, 0.35)
    ramp = np.linspace(-1, 1, SIZE)
    light = 1 + fall * (np.cos(angle) * ramp + np.sin(angle) * ramp[:, np.newaxis])
    light *= generator.uniform(0.8, 1.15)
    grain = generator.normal(0, generator.uniform(1, 7), (SIZE, SIZE))
    return np.clip(np.rint(np.asarray(blurred) * light + grain), 0, 255).astype(np.uint8)


def _generator(seed: int, stream: int, number: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64([seed, stream, number]))


def _natural(value: int, argument: str, least: int = 0) -> int:
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or value < least:
        raise ValueError(
            f"Invalid value for argument `{argument}`. Expected an integer of at least {least}. "
            f"Received: {argument}={value!r}"
        )
    return int(value)
