"""Sums over labels that are there: what the losses share."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_affect._masks import steps_of

__all__ = [
    "MaskedLoss",
    "check_shapes",
    "distribution",
    "for_each_replica",
    "like",
    "log",
    "ratio",
    "without_nan",
]

# Beside a probability, in its logarithm: what float32 holds beside 1.
_SMALLEST_PROBABILITY = 1e-7


class _Given(keras.losses.Loss):
    """Returns what it is given, by way of Keras's reductions."""

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return y_pred


# Keras scales what a loss reduces to for the number of replicas, which no public function does.
_FOR_EACH_REPLICA = _Given(name="for_each_replica")


class MaskedLoss(keras.losses.Loss):
    """Errors of samples whose labels are there, as a mean over those alone.

    Keras applies masks and sample weights behind `call`, and divides by all samples.
    """

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """The reduced loss; see the class for what it is called on."""
        with keras.name_scope(self.name):
            true = ops.convert_to_tensor(y_true, dtype=self.dtype)
            predicted = ops.convert_to_tensor(y_pred, dtype=self.dtype)
            check_shapes(true, predicted)
            errors, present = self._errors_and_presence(true, predicted)
            weight = ops.ones_like(errors)
            for factor in (sample_weight, steps_of(y_pred)):
                if factor is not None:
                    weight = weight * like(factor, errors, self.dtype)
            weight = ops.where(present, weight, 0)
            # Chosen and not multiplied alone: an error that is not finite may have weight 0.
            weighted = weight * ops.where(ops.equal(weight, 0), 0, errors)
            if self.reduction in (None, "none"):
                return weighted
            total = ops.sum(weighted)
            if self.reduction == "sum":
                return total
            counted = weight
            if self.reduction != "mean_with_sample_weight":
                counted = ops.cast(ops.not_equal(weight, 0), self.dtype)
            return for_each_replica(ratio(total, ops.sum(counted)))

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """A loss for each sample, 0 where its label is missing."""
        errors, present = self._errors_and_presence(y_true, y_pred)
        return ops.where(present, errors, 0)

    def _errors_and_presence(self, true: Any, predicted: Any) -> tuple[Any, Any]:
        """Errors of samples, finite ones where a label is missing too, and which are there."""
        raise NotImplementedError


def for_each_replica(loss: Any) -> Any:
    """A scalar loss, scaled as Keras scales means where several replicas add up."""
    return _FOR_EACH_REPLICA(ops.zeros((1,)), ops.reshape(loss, (1,)))


def check_shapes(true: Any, predicted: Any) -> None:
    """Raise unless targets and predictions have one shape, of two dimensions or more."""
    known = zip(true.shape, predicted.shape, strict=False)
    differ = any(a != b for a, b in known if a is not None and b is not None)
    if len(true.shape) != len(predicted.shape) or len(true.shape) < 2 or differ:
        raise ValueError(
            "Invalid value for argument `y_true`. Expected the shape of the predictions, "
            f"{tuple(predicted.shape)}. Received: shape {tuple(true.shape)}"
        )


def like(factor: Any, values: Any, dtype: Any) -> Any:
    """Weights or a mask, with the rank of the values."""
    factor = ops.cast(factor, dtype)
    if len(factor.shape) == len(values.shape) + 1 and factor.shape[-1] == 1:
        factor = ops.squeeze(factor, axis=-1)
    while len(factor.shape) < len(values.shape):
        factor = ops.expand_dims(factor, -1)
    return factor


def ratio(numerator: Any, denominator: Any) -> Any:
    """The quotient, 0 where the denominator is 0, and gradients that are finite there too."""
    empty = ops.equal(denominator, 0)
    return ops.where(empty, 0, numerator / ops.where(empty, 1, denominator))


def without_nan(values: Any) -> tuple[Any, Any]:
    """Values with 0 for NaN, and where there was none: NaN times 0 is NaN, in gradients too."""
    present = ops.logical_not(ops.isnan(values))
    return ops.where(present, values, 0), present


def distribution(true: Any) -> tuple[Any, Any]:
    """Distributions, zeros for a row that holds NaN, and which rows are there."""
    whole = ops.all(ops.logical_not(ops.isnan(true)), axis=-1, keepdims=True)
    true = ops.where(whole, true, 0)
    return true, ops.sum(true, axis=-1) > 0


def log(probabilities: Any) -> Any:
    """The logarithm of probabilities, finite at 0."""
    # Added and not clipped: a probability of 0 still gets a gradient.
    return ops.log(probabilities + _SMALLEST_PROBABILITY)
