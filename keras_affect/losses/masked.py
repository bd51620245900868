"""Keras's usual two losses, over samples whose labels are there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_affect._arguments import check_rate, invalid
from keras_affect.losses.masking import (
    MaskedLoss,
    distribution,
    log,
    ratio,
    without_nan,
)

__all__ = ["MaskedMeanSquaredError", "MaskedCategoricalCrossentropy"]


@keras.saving.register_keras_serializable(package="keras_affect")
class MaskedMeanSquaredError(MaskedLoss):
    """Mean squared error of valence and arousal, over those that are there.

    A sample's error is the mean over its axes that have a target. The loss is the mean over
    samples that have any, and whose sample weight is not 0.

    Args:
        reduction: As in `keras.losses.Loss`: "sum_over_batch_size" divides the weighted sum by
            the number of samples that count, "mean_with_sample_weight" by their weights' sum;
            "sum", or None for an error of each sample.
        name: Name of the loss.
        dtype: Data type of the computation.

    Call arguments:
        y_true: Targets `(batch, ..., axes)`, NaN where one is missing.
        y_pred: Predictions of the same shape.
        sample_weight: `(batch,)` or of the shape of `y_true` without the last axis.

    Raises:
        ValueError: If targets and predictions differ in shape.
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "masked_mean_squared_error",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)

    def _errors_and_presence(self, true: Any, predicted: Any) -> tuple[Any, Any]:
        true, present = without_nan(true)
        squares = ops.square(ops.where(present, predicted - true, 0))
        axes = ops.sum(ops.cast(present, self.dtype), axis=-1)
        return ratio(ops.sum(squares, axis=-1), axes), axes > 0


@keras.saving.register_keras_serializable(package="keras_affect")
class MaskedCategoricalCrossentropy(MaskedLoss):
    """Cross-entropy against a distribution of emotions, over samples that have one.

    `-sum(y_true * log(y_pred))`, the paper's objective "cross-entropy" where `y_true` are the
    shares of votes. A row whose sum is below 1 counts for as much as its sum.

    Args:
        label_smoothing: Share of each distribution that is spread over all classes, in [0, 1).
        class_weights: A factor of 0 or more on each class's term, or None for 1.
        reduction: As in `MaskedMeanSquaredError`.
        name: Name of the loss.
        dtype: Data type of the computation.

    Call arguments:
        y_true: Distributions `(batch, ..., classes)`; a row of zeros, or of NaN, where there is
            none.
        y_pred: Probabilities of the same shape.
        sample_weight: `(batch,)` or of the shape of `y_true` without the last axis.

    Raises:
        ValueError: If `label_smoothing` or `class_weights` are not such numbers, or shapes differ.

    Reference:
        Barsoum et al. 2016, "Training Deep Networks for Facial Expression Recognition with
        Crowd-Sourced Label Distribution" (arXiv:1608.01041).
    """

    def __init__(
        self,
        label_smoothing: float = 0.0,
        class_weights: Sequence[float] | None = None,
        reduction: str | None = "sum_over_batch_size",
        name: str = "masked_categorical_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.label_smoothing = check_rate("label_smoothing", label_smoothing)
        self.class_weights = _check_class_weights(class_weights)

    def _errors_and_presence(self, true: Any, predicted: Any) -> tuple[Any, Any]:
        true, present = distribution(true)
        if self.label_smoothing:
            mass = ops.sum(true, axis=-1, keepdims=True)
            true = (1 - self.label_smoothing) * true + mass * (
                self.label_smoothing / true.shape[-1]
            )
        if self.class_weights is not None:
            if len(self.class_weights) != true.shape[-1]:
                raise ValueError(
                    "Invalid value for argument `class_weights`. Expected a factor for each of "
                    f"{true.shape[-1]} classes. Received: class_weights={self.class_weights!r}"
                )
            true = true * ops.convert_to_tensor(self.class_weights, dtype=self.dtype)
        return -ops.sum(true * log(predicted), axis=-1), present

    def get_config(self) -> dict[str, Any]:
        """The arguments, as `from_config` takes them."""
        return {
            **super().get_config(),
            "label_smoothing": self.label_smoothing,
            "class_weights": self.class_weights,
        }


def _check_class_weights(weights: Sequence[float] | None) -> list[float] | None:
    if weights is None:
        return None
    try:
        numbers = [float(weight) for weight in weights]
        if not numbers or not all(0 <= number < math.inf for number in numbers):
            raise ValueError
    except (TypeError, ValueError):
        raise invalid(
            "class_weights", "a finite factor of 0 or more for each class, or None", weights
        ) from None
    return numbers
