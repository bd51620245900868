"""Probabilities as sure as they are right: one number, folded into the last layer."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from keras_affect.training.last_layer import LastLayer

__all__ = ["scale_temperature"]

#: Between these temperatures one is sought; outside, something else is wrong than the scale.
_COLDEST, _HOTTEST = 0.05, 20.0
# Each halves the interval: enough for float64.
_HALVINGS = 60


def scale_temperature(
    model: Any,
    images: npt.ArrayLike,
    labels: npt.ArrayLike,
    *,
    output: str = "emotion",
    batch_size: int = 256,
) -> float:
    """Divide a model's logits by the temperature whose probabilities fit labels best.

    Networks that learnt from soft labels, mixtures or with much augmentation are less sure than
    they are right, others often more. Dividing all logits by one number, the temperature at which
    the cross-entropy against the labels is least, mends most of either and changes no answer: the
    most probable class stays the most probable one (Guo et al. 2017, arXiv:1706.04599). The
    number is folded into kernel and bias of the last layer, so that files of the model, and what
    is exported from it, need to know nothing of it.

    Take pictures that the model was not trained on.

    Args:
        model: A functional model whose output's layer is a `Dense` with softmax, as those of
            `keras_affect.models` are. Its weights are changed in place.
        images: Raw pixels `(images, height, width, channels)`.
        labels: Shares of the classes `(images, classes)`, each row with the sum 1: votes' shares
            or one-hot.
        output: Name of the layer that gives the probabilities.
        batch_size: Images that are run at once.

    Returns:
        The temperature: above 1 if the model was too sure, below 1 if it was not sure enough.

    Raises:
        ValueError: If the model has no such layer, the labels are not of its classes or not
            shares, or no temperature from 0.05 to 20 is best, as where every answer is right and
            the best one would be 0.
    """
    last = LastLayer(model, output)
    logits = last.logits(images, batch_size)
    shares = np.asarray(labels, np.float64)
    if shares.shape != logits.shape:
        raise ValueError(
            f"Invalid value for argument `labels`. Expected shape {logits.shape}, a row for each "
            f"picture. Received: labels of shape {shares.shape}"
        )
    sums = shares.sum(axis=1)
    is_share = (shares >= 0).all(axis=1) & np.isclose(sums, 1, atol=1e-4)  # false of NaN too
    if not is_share.all():
        row = int(np.argmin(is_share))
        raise ValueError(
            "Invalid value for argument `labels`. Expected shares, each row with the sum 1. "
            f"Received: row {row} with {shares[row].tolist()}"
        )
    factor = _best_factor(logits, shares)
    last.scale(factor)
    return 1 / factor


def _best_factor(logits: npt.NDArray[np.float64], shares: npt.NDArray[np.float64]) -> float:
    """The factor on the logits at which the cross-entropy against shares is least.

    It is convex in the factor, so the best one is where its slope is zero.
    """
    wanted = (shares * logits).sum(axis=1)

    def slope(factor: float) -> float:
        scaled = factor * logits
        powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        probabilities = powers / powers.sum(axis=1, keepdims=True)
        return float(((probabilities * logits).sum(axis=1) - wanted).mean())

    low, high = 1 / _HOTTEST, 1 / _COLDEST
    if not slope(low) < 0 < slope(high):
        raise ValueError(
            f"No temperature from {_COLDEST:g} to {_HOTTEST:g} fits the labels best: the model is "
            "right of every picture, or does no better than chance. Expected pictures that it "
            "was not trained on, and labels of its classes in their order"
        )
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(middle) < 0 else (low, middle)
    return (low + high) / 2
