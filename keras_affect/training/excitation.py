"""A network with squeeze-and-excitation that starts with the answers of one without."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_affect.models import LightweightCNN
from keras_affect.training.answers import answers, first_difference
from keras_affect.weights.storage import variables_by_key

__all__ = ["excite"]


def excite(plain: Any, excited: Any) -> None:
    """Give a network the weights with which it answers as one without squeeze-and-excitation.

    What excites starts with kernels of 0: it multiplies each channel by sigmoid(0), one half,
    whatever the picture. The batch normalisation before it is multiplied by two, which makes up for
    that, in training too.

    Args:
        plain: A `LightweightCNN` without squeeze-and-excitation. Stays as it is.
        excited: One that differs in that alone. Its weights are replaced, but for the kernels that
            squeeze, which stay random: were they 0 too, neither would ever learn.

    Raises:
        ValueError: If the networks differ in more, or answers do. Its own weights stay.
    """
    _check_pair(plain, excited)
    own = excited.get_weights()
    known = variables_by_key(plain)
    for key, variable in variables_by_key(excited).items():
        if key in known:
            variable.assign(known[key])
        elif "_expand_conv/" in key:
            variable.assign(np.zeros(tuple(variable.shape), "float32"))
    for layer in excited.layers:
        if layer.name.endswith("_excite"):
            normalization = layer.input[0]._keras_history.operation
            for variable in (normalization.gamma, normalization.beta):
                variable.assign(2 * variable)
    if wrong := first_difference(answers(plain), answers(excited)):
        excited.set_weights(own)
        raise _unfit(f"one that then answers otherwise in {wrong}")


def _check_pair(plain: Any, excited: Any) -> None:
    for model in (plain, excited):
        if not isinstance(model, LightweightCNN):
            raise _unfit(f"a {type(model).__name__}")
        if not isinstance(model.output, dict):
            raise _unfit("one without its heads")
    for what in (
        "input_shape",
        "class_names",
        "valence_arousal",
        "width",
        "stem_convolutions",
        "output_stride",
        "mirrored",
    ):
        if getattr(plain, what) != getattr(excited, what):
            raise _unfit(f"{what} {getattr(plain, what)!r} for {getattr(excited, what)!r}")
    if plain.squeeze_excitation or not excited.squeeze_excitation:
        raise _unfit(f"{plain.squeeze_excitation} for {excited.squeeze_excitation}")


def _unfit(received: str) -> ValueError:
    return ValueError(
        "Invalid value for argument `plain`. Expected a LightweightCNN that differs from `excited` "
        f"in no squeeze_excitation alone. Received: {received}"
    )
