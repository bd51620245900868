"""Which part of a picture an answer comes from: what covering it there takes from the answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from keras_affect._arguments import invalid
from keras_affect.runtime.crops import fit
from keras_affect.runtime.pictures import read_picture

__all__ = ["Occlusion", "occlusion"]

# Covered pictures that a Keras model answers at once.
_BATCH = 64

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Occlusion:
    """What covering a part of a picture does to an answer.

    Attributes:
        pixels: uint8 `(height, width, channels)`: the picture as the model saw it.
        class_name: The class whose probability was looked at.
        probability: Its probability for the whole picture.
        drop: float32 `(height, width)`: by how much that falls, in the mean over the squares that
            cover a pixel. Above 0 what is covered speaks for the class, below 0 against it.
    """

    pixels: Pixels
    class_name: str
    probability: float
    drop: npt.NDArray[np.float32]


def occlusion(
    model: Any,
    picture: Any,
    class_name: str | None = None,
    *,
    side: int = 12,
    stride: int = 4,
) -> Occlusion:
    """Cover a picture square by square, and see what is left of an answer.

    It needs a model's outputs alone: so it says of an int8 ``.tflite`` what that file does, and is
    the same on every backend. A square has the picture's mean colour. Squares stand at the border
    too, with a part of them outside, so that each pixel is covered as often as any other:
    ``(side / stride) ** 2`` times.

    It shows what the model makes use of, not what a person feels. A covered face is a picture
    of a kind that the model has not learnt from, which has a part in what it answers.

    Args:
        model: A functional Keras model with an output "emotion" or that alone; an
            `AffectInterpreter`; the path of a ``.tflite``; or what `models.load` takes.
        picture: A face, as `AffectInterpreter.predict` takes it; brought to the model's size.
        class_name: The class to look at. None: the model's answer.
        side: Of the square, in pixels of the model's input.
        stride: From square to square; divides `side`.

    Raises:
        FileNotFoundError: If a path leads nowhere.
        PictureError: If the picture can't be read.
        ValueError: If the model has no such class, or an argument is not of the form above.

    Reference:
        Zeiler and Fergus 2014, "Visualizing and understanding convolutional networks", ECCV, 4.2.
    """
    answers, shape, names = _opened(model)
    height, width, channels = shape
    for name, value, largest in (("side", side, min(height, width)), ("stride", stride, side)):
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= largest:
            raise invalid(name, f"an integer from 1 to {largest}", value)
    if side % stride:
        raise invalid("stride", f"a divisor of the side, {side}", stride)
    pixels = np.rint(fit(read_picture(picture).image, height, width, channels)).astype(np.uint8)
    whole = answers(pixels[None])[0]
    if class_name is None:
        place = int(whole.argmax())
    elif class_name in names:
        place = names.index(class_name)
    else:
        raise invalid("class_name", f"one of {', '.join(names)}", class_name)

    color = np.rint(pixels.mean(axis=(0, 1))).astype(np.uint8)
    corners = [
        (top, left)
        for top in range(stride - side, height, stride)
        for left in range(stride - side, width, stride)
    ]
    squares = [
        (slice(max(top, 0), top + side), slice(max(left, 0), left + side)) for top, left in corners
    ]
    found: list[float] = []
    for start in range(0, len(squares), _BATCH):
        some = squares[start : start + _BATCH]
        covered = np.repeat(pixels[None], len(some), axis=0)
        for image, square in zip(covered, some, strict=True):
            image[square] = color
        found.extend(answers(covered)[:, place])
    drop = np.zeros((height, width))
    for square, probability in zip(squares, found, strict=True):
        drop[square] += float(whole[place]) - probability
    drop /= (side // stride) ** 2
    return Occlusion(pixels, names[place], float(whole[place]), drop.astype(np.float32))


def _opened(
    model: Any,
) -> tuple[Callable[[Pixels], npt.NDArray[np.float32]], tuple[int, int, int], tuple[str, ...]]:
    """What gives a model's probabilities, the shape that it takes, and its classes."""
    from keras_affect.runtime import AffectInterpreter

    if isinstance(model, str | Path) and Path(model).suffix == ".tflite":
        model = AffectInterpreter(model)
    if isinstance(model, AffectInterpreter):
        run = model.run
        return lambda images: run(images)["emotion"], model.input_shape, tuple(model.class_names)
    import keras

    if isinstance(model, str | Path):
        from keras_affect import models

        model = models.load(model)
    output = getattr(model, "output", None)
    emotion: Any = output.get("emotion") if isinstance(output, dict) else output
    shape = tuple(getattr(model, "input_shape", None) or ())[1:]
    if (
        not isinstance(model, keras.Model)
        or len(getattr(emotion, "shape", ())) != 2
        or len(shape) != 3
        or None in shape
        or shape[2] not in (1, 3)
    ):
        raise ValueError(
            "Invalid value for argument `model`. Expected a functional Keras model of pictures "
            '(height, width, 1 or 3) with an output "emotion" (batch, classes), an '
            "AffectInterpreter, the path of a model, or a name that ships. "
            f"Received: {model!r}"
        )
    from keras_affect.models.heads import class_names_of

    def answers(images: Pixels) -> npt.NDArray[np.float32]:
        outputs = model(images.astype(np.float32), training=False)
        emotion = outputs["emotion"] if isinstance(outputs, dict) else outputs
        return np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(emotion, "float32")))

    names = getattr(model, "class_names", None) or class_names_of(emotion.shape[1])
    return answers, shape, tuple(names)
