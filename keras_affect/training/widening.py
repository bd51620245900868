"""A wider network that starts with the answers of a narrower one."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_affect.training.answers import answers, first_difference

__all__ = ["widen"]


def widen(narrow: Any, wide: Any) -> None:
    """Give a network the weights with which it answers as a narrower one of its architecture.

    Channels that the wide network has beyond the narrow one's are copies of those, and what
    reads a channel with copies reads from each a share of what it read from the one (Net2Net,
    Chen et al. 2016, arXiv:1511.05641). The shares of a kernel are drawn for each of its numbers
    and not equal: copies that are read alike would have equal gradients, and stay copies.

    All tensors of as many channels have the same copies, so that sums of residual branches fit.
    Architectures that concatenate or flatten channels do not.

    Args:
        narrow: A model of `keras_affect.models` to start from. Stays as it is.
        wide: One of the same class, as wide or wider, of the same outputs. Its weights are
            replaced.

    Raises:
        ValueError: If the wide network's weights are not the narrow one's with more channels, or
            it does not answer as the narrow one then. Its own weights stay.
    """
    _check_pair(narrow, wide)
    widened = []
    for old, variable in zip(narrow.get_weights(), wide.weights, strict=True):
        new = tuple(variable.shape)
        # Sides of a kernel stay, channels may grow.
        if old.shape[:-2] != new[:-2] or any(a > b for a, b in zip(old.shape, new, strict=True)):
            raise _unfit(wide, f"{variable.path} of {old.shape} for one of {new}")
        widened.append(_widened(old, new))
    own = wide.get_weights()
    wide.set_weights(widened)
    if wrong := first_difference(answers(narrow), answers(wide)):
        wide.set_weights(own)
        raise _unfit(wide, f"one that then answers otherwise in {wrong}")


def _check_pair(narrow: Any, wide: Any) -> None:
    if type(narrow) is not type(wide):
        raise _unfit(wide, f"a {type(narrow).__name__}")
    for model in (narrow, wide):
        if not isinstance(model.output, dict):
            raise _unfit(wide, "one without its heads")
    for what in ("input_shape", "class_names", "valence_arousal", "stem_convolutions"):
        one, other = (getattr(model, what, None) for model in (narrow, wide))
        if one != other:
            raise _unfit(wide, f"{what} {one!r} for {other!r}")
    if len(narrow.weights) != len(wide.weights):
        raise _unfit(wide, f"{len(narrow.weights)} weights for {len(wide.weights)}")


def _widened(weight: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A kernel `(..., channels in, channels out)`, or a number for each channel."""
    weight = weight[..., _copies(weight.shape[-1], shape[-1])]
    if weight.ndim == 1 or weight.shape[-2] == shape[-2]:
        return weight
    copies = _copies(weight.shape[-2], shape[-2])
    parts = np.random.default_rng(shape).uniform(0.5, 1.5, shape)
    whole = np.zeros_like(weight, "float64")
    for place, channel in enumerate(copies):
        whole[..., channel, :] += parts[..., place, :]
    return (weight[..., copies, :] * parts / whole[..., copies, :]).astype(weight.dtype)


def _copies(old: int, new: int) -> np.ndarray:
    """For each of the new channels the old one that it is: all of them, then drawn ones."""
    rounds = [np.arange(old)]
    generator = np.random.default_rng((old, new))
    while sum(map(len, rounds)) < new:
        rounds.append(generator.permutation(old))
    return np.concatenate(rounds)[:new]


def _unfit(wide: Any, received: str) -> ValueError:
    return ValueError(
        f"Invalid value for argument `narrow`. Expected a {type(wide).__name__} that differs from "
        f"`wide` in fewer channels alone, which are neither concatenated nor flattened. "
        f"Received: {received}"
    )
