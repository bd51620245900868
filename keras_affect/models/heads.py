"""What every model ends in: class names, and the heads for emotion and valence-arousal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from keras_affect import emotions
from keras_affect.models.blocks import drop_connected

__all__ = ["class_names_of", "emotion_head", "heads"]


def class_names_of(classes: int | Sequence[str]) -> tuple[str, ...]:
    """The names of the classes, in the order of the model's output.

    Args:
        classes: Names, or how many: 8 means the eight emotions of `emotions.NAMES`, another
            number gives "class_0", "class_1", ...

    Raises:
        ValueError: If there are fewer than two, or names that are empty or stand twice.
    """
    if isinstance(classes, int) and not isinstance(classes, bool) and classes >= 2:
        if classes == len(emotions.NAMES):
            return emotions.NAMES
        return tuple(f"class_{i}" for i in range(classes))
    if isinstance(classes, Sequence) and not isinstance(classes, str):
        names = tuple(classes)
        texts = all(isinstance(name, str) and name.strip() and "\n" not in name for name in names)
        if texts and len(set(names)) == len(names) >= 2:
            return names
    raise ValueError(
        "Invalid value for argument `classes`. Expected an integer of 2 or more, or a sequence "
        f"of two or more names, each once. Received: classes={classes!r}"
    )


def heads(
    features: Any,
    class_names: Sequence[str],
    valence_arousal: bool,
    kernel_regularizer: Any = None,
    drop_connect: float = 0.0,
) -> dict[str, Any]:
    """The outputs of a model, by name.

    Args:
        features: `(batch, channels)`.
        class_names: Names of the classes.
        valence_arousal: Whether there is a second output.
        kernel_regularizer: Regularizer of the kernels, or None.
        drop_connect: Rate of DropConnect, in [0, 1).

    Returns:
        "emotion", probabilities `(batch, classes)`, and "valence_arousal", `(batch, 2)` in
        [-1, 1]; both float32 under every dtype policy, since bfloat16 holds no probability to
        three digits.
    """
    outputs = {
        "emotion": emotion_head(
            features, len(class_names), "emotion", kernel_regularizer, drop_connect
        )
    }
    if valence_arousal:
        layer = keras.layers.Dense(
            2,
            activation="tanh",
            kernel_regularizer=kernel_regularizer,
            dtype="float32",
            name="valence_arousal",
        )
        outputs["valence_arousal"] = drop_connected(layer, drop_connect)(features)
    return outputs


def emotion_head(
    features: Any,
    classes: int,
    name: str,
    kernel_regularizer: Any = None,
    drop_connect: float = 0.0,
) -> Any:
    """Probabilities `(batch, classes)` from features `(batch, channels)`; arguments as `heads`."""
    layer = keras.layers.Dense(
        classes,
        activation="softmax",
        kernel_regularizer=kernel_regularizer,
        dtype="float32",
        name=name,
    )
    return drop_connected(layer, drop_connect)(features)
