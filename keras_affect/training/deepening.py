"""A network with a deeper stem that starts with the answers of one with a shallower stem."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np

from keras_affect.models import LightweightCNN
from keras_affect.training.answers import answers, first_difference
from keras_affect.weights.storage import variables_by_key

__all__ = ["deepen"]


def deepen(shallow: Any, deep: Any) -> None:
    """Give a network the weights with which it answers as one with fewer convolutions in its stem.

    The convolutions that it has beyond the other's pass on what they read (Net2Net, Chen et al.
    2016, arXiv:1511.05641): each kernel is 1 from a channel to itself. What reads them is a ReLU,
    which leaves what has passed one as it is.

    In training, batch normalisation takes mean and deviation from the batch. So that little
    changes there either, the new ones scale and shift back by what the batch's are expected to
    be. Those follow from the offset and scale of the stem's last normalisation, which are the mean
    and deviation of what it gives: where that is normally distributed, mean and deviation behind
    the ReLU are known. It is not quite, so that in training answers are alike and not the same.

    Args:
        shallow: A `LightweightCNN` to start from. Stays as it is.
        deep: One of the same width and outputs, with more convolutions in its stem. Its weights
            are replaced.

    Raises:
        ValueError: If the deep network's weights are not the shallow one's beside those of more
            convolutions in the stem, their activation is no ReLU, or it does not answer as the
            shallow one then. Its own weights stay.
    """
    _check_pair(shallow, deep)
    own = deep.get_weights()
    last = _normalization(shallow, _name(shallow.stem_convolutions))
    scale, offset, variance = (
        keras.ops.convert_to_numpy(variable)
        for variable in (last.gamma, last.beta, last.moving_variance)
    )
    mean, deviation = _rectified(scale * np.sqrt(variance / (variance + last.epsilon)), offset)
    known = variables_by_key(shallow)
    for key, variable in variables_by_key(deep).items():
        if key in known:
            variable.assign(known[key])
    for number in range(shallow.stem_convolutions + 1, deep.stem_convolutions + 1):
        _pass_on(deep, _name(number), mean, deviation)
    if wrong := first_difference(answers(shallow), answers(deep)):
        deep.set_weights(own)
        raise _unfit(f"one that then answers otherwise in {wrong}")


def _check_pair(shallow: Any, deep: Any) -> None:
    for model in (shallow, deep):
        if not isinstance(model, LightweightCNN):
            raise _unfit(f"a {type(model).__name__}")
        if not isinstance(model.output, dict):
            raise _unfit("one without its heads")
        if model.activation is not keras.activations.relu:
            raise _unfit(f"activation {getattr(model.activation, '__name__', model.activation)}")
    for what in ("input_shape", "class_names", "valence_arousal", "width"):
        if getattr(shallow, what) != getattr(deep, what):
            raise _unfit(f"{what} {getattr(shallow, what)!r} for {getattr(deep, what)!r}")
    if shallow.stem_convolutions >= deep.stem_convolutions:
        raise _unfit(f"{shallow.stem_convolutions} for {deep.stem_convolutions}")


def _name(number: int) -> str:
    return "stem" if number == 1 else f"stem_{number}"


def _normalization(model: Any, name: str) -> Any:
    return model.get_layer(f"{name}_bn")


def _pass_on(model: Any, name: str, mean: np.ndarray, deviation: np.ndarray) -> None:
    """Make a convolution and its normalisation the identity, for inputs of those statistics."""
    kernel = model.get_layer(f"{name}_conv").kernel
    identity = np.zeros(tuple(kernel.shape), "float32")
    identity[identity.shape[0] // 2, identity.shape[1] // 2] = np.eye(identity.shape[-1])
    kernel.assign(identity)
    normalization = _normalization(model, name)
    normalization.gamma.assign(np.sqrt(deviation**2 + normalization.epsilon))
    normalization.beta.assign(mean)
    normalization.moving_mean.assign(mean)
    normalization.moving_variance.assign(deviation**2)


def _rectified(scale: np.ndarray, offset: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation of max(0, x) for normally distributed x of that deviation and mean."""
    scale, offset = np.abs(scale.astype("float64")), offset.astype("float64")
    scale = np.maximum(scale, 1e-6)
    ratio = offset / scale
    share = 0.5 * (1 + np.vectorize(math.erf)(ratio / math.sqrt(2)))
    density = np.exp(-(ratio**2) / 2) / math.sqrt(2 * math.pi)
    mean = offset * share + scale * density
    square = (offset**2 + scale**2) * share + offset * scale * density
    return mean, np.sqrt(np.maximum(square - mean**2, 0))


def _unfit(received: str) -> ValueError:
    return ValueError(
        "Invalid value for argument `shallow`. Expected a LightweightCNN that differs from `deep` "
        f"in fewer stem_convolutions alone, with ReLU as activation. Received: {received}"
    )
