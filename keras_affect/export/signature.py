"""What a Keras model takes and gives, as far as a ``.tflite`` fixes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from keras_affect import emotions

__all__ = ["Signature", "check_class_names", "read"]


@dataclass(frozen=True)
class Signature:
    """One image in, named outputs out.

    Attributes:
        input_shape: (height, width, channels).
        outputs: How many numbers each output holds, by name, in the model's order.
        is_single: Whether the model returns one tensor, which the file names "emotion", and not
            a dict.
    """

    input_shape: tuple[int, int, int]
    outputs: dict[str, int]
    is_single: bool

    def named(self, outputs: Any) -> dict[str, Any]:
        """What the model returned, as a dict by the file's names."""
        return {"emotion": outputs} if self.is_single else dict(outputs)


def read(model: Any) -> Signature:
    """The signature of a model.

    Raises:
        ValueError: If `model` is not a built Keras model, doesn't take one image of fixed size,
            or doesn't return "emotion".
    """
    import keras

    if not isinstance(model, keras.Model):
        raise ValueError(
            f"Invalid value for argument `model`. Expected a Keras model. Received: model={model!r}"
        )
    try:
        shape = model.input_shape
    except (AttributeError, ValueError):
        raise ValueError(
            "Invalid value for argument `model`. Expected a model with a known input: "
            "functional, or called on a `keras.Input` once. "
            f"Received: model={model.name!r}, whose input shape is unknown"
        ) from None
    is_image = isinstance(shape, tuple) and len(shape) == 4 and shape[0] is None
    if not is_image or not all(isinstance(length, int) for length in shape[1:]):
        raise ValueError(
            "Invalid value for argument `model`. Expected one input of fixed size, "
            "(None, height, width, channels). "
            f"Received: model={model.name!r} with input shape {shape}"
        )
    returned = model.compute_output_spec(keras.KerasTensor((1, *shape[1:]), "float32"))
    is_single = isinstance(returned, keras.KerasTensor)
    named = {"emotion": returned} if is_single else returned
    if not isinstance(named, dict) or "emotion" not in named:
        received = list(named) if isinstance(named, dict) else type(named).__name__
        raise ValueError(
            "Invalid value for argument `model`. Expected it to return a dict with 'emotion' "
            "(and 'valence_arousal' where it has that), or one tensor, the emotion's "
            f"probabilities. Received: model={model.name!r}, which returns {received}"
        )
    wrong = {name: tensor.shape for name, tensor in named.items() if len(tensor.shape) != 2}
    if wrong:
        raise ValueError(
            "Invalid value for argument `model`. Expected outputs of shape (batch, numbers). "
            f"Received: model={model.name!r} with {wrong}"
        )
    return Signature(
        shape[1:], {name: tensor.shape[1] for name, tensor in named.items()}, is_single
    )


def check_class_names(
    model: Any, signature: Signature, class_names: Sequence[str] | None
) -> tuple[str, ...]:
    """The names of the output "emotion", from the argument, the model, or the FER+ order.

    Raises:
        ValueError: If they are not as many different lines of text as the output has numbers, or
            nothing names them: a model of eight classes is taken to be in the order of
            `keras_affect.emotions.NAMES`, any other must say.
    """
    classes = signature.outputs["emotion"]
    names = class_names if class_names is not None else getattr(model, "class_names", None)
    if names is None and classes == len(emotions.NAMES):
        names = emotions.NAMES
    is_valid = (
        names is not None
        and not isinstance(names, str)
        and len(names) == classes
        and all(isinstance(name, str) and len(name.splitlines()) == 1 for name in names)
        and len(set(names)) == classes
    )
    if names is None or not is_valid:
        raise ValueError(
            f"Invalid value for argument `class_names`. Expected {classes} different names, one "
            f"for each number of the output 'emotion'. Received: class_names={names!r}"
        )
    return tuple(names)
