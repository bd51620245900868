"""Concordance correlation as a loss of a batch."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from keras_affect._arguments import invalid
from keras_affect._masks import steps_of
from keras_affect.losses.masking import (
    check_shapes,
    for_each_replica,
    like,
    ratio,
    without_nan,
)

__all__ = ["ConcordanceLoss"]


@keras.saving.register_keras_serializable(package="keras_affect")
class ConcordanceLoss(keras.losses.Loss):
    """One minus Lin's concordance correlation of a batch, mean of valence and arousal.

    `1 - 2 cov(t, p) / (var(t) + var(p) + (mean(t) - mean(p))^2)`, from 0 to 2. It is a statistic
    of the batch and not a mean over samples: a batch should hold some dozens. Where predictions
    run against the targets its gradient fades as they grow, so they should be bounded, as the
    models' heads are by tanh, or squared error added.

    Targets that are NaN are left out, for their axis alone; so is what has sample weight 0 or is
    masked. Sample weights weigh the means, variances and covariance. An axis without any target
    in the batch is left out of the mean, and the loss is 0 where both are. Where targets or
    predictions do not vary the correlation is 0, and gradients are finite.

    Under a `tf.distribute` strategy each replica takes the statistic of its own part.

    Args:
        epsilon: Added to the denominator, above 0; in the targets' units squared.
        name: Name of the loss.
        dtype: Data type of the computation.

    Call arguments:
        y_true: Targets `(batch, ..., 2)`, valence then arousal, NaN where one is missing.
        y_pred: Predictions of the same shape.
        sample_weight: Weights of 0 or more, of the shape of `y_true` or of its leading
            dimensions.

    Raises:
        ValueError: If `epsilon` is no such number, or shapes differ.

    Reference:
        - Lin 1989, "A concordance correlation coefficient to evaluate reproducibility",
          Biometrics 45, 255-268.
        - Trigeorgis et al. 2016, "Adieu features? End-to-end speech emotion recognition using a
          deep convolutional recurrent network", ICASSP: as a loss.
    """

    def __init__(
        self, epsilon: float = 1e-6, name: str = "concordance_loss", dtype: Any = None
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        number = isinstance(epsilon, int | float) and not isinstance(epsilon, bool)
        if not number or not 0 < epsilon < math.inf:
            raise invalid("epsilon", "a finite number above 0", epsilon)
        self.epsilon = epsilon

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """The loss, a scalar. Weights are taken here, since Keras applies them behind `call`."""
        with keras.name_scope(self.name):
            true = ops.convert_to_tensor(y_true, dtype=self.dtype)
            predicted = ops.convert_to_tensor(y_pred, dtype=self.dtype)
            check_shapes(true, predicted)
            weight = ops.ones_like(true)
            for factor in (sample_weight, steps_of(y_pred)):
                if factor is not None:
                    weight = weight * like(factor, true, self.dtype)
            return for_each_replica(self._loss(true, predicted, weight))

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The loss without sample weights, a scalar."""
        check_shapes(y_true, y_pred)
        return self._loss(y_true, y_pred, ops.ones_like(y_true))

    def _loss(self, true: Any, predicted: Any, weight: Any) -> Any:
        true, present = without_nan(true)
        present = ops.logical_and(present, weight > 0)
        axes = true.shape[-1]
        true, predicted, weight = (
            ops.reshape(ops.where(present, values, 0), (-1, axes))
            for values in (true, predicted, weight)
        )
        total = ops.sum(weight, axis=0)
        weight = ratio(weight, total)
        true_mean = ops.sum(weight * true, axis=0)
        predicted_mean = ops.sum(weight * predicted, axis=0)
        covariance = ops.sum(weight * (true - true_mean) * (predicted - predicted_mean), axis=0)
        # The denominator is 2 cov(t, p) + mean((t - p)^2), but rounded that may be below 0.
        spread = ops.sum(
            weight * (ops.square(true - true_mean) + ops.square(predicted - predicted_mean)),
            axis=0,
        )
        denominator = spread + ops.square(true_mean - predicted_mean) + self.epsilon
        losses = 1 - 2 * covariance / denominator
        has_targets = ops.cast(total > 0, self.dtype)
        return ratio(ops.sum(has_targets * losses), ops.sum(has_targets))

    def get_config(self) -> dict[str, Any]:
        """The arguments, as `from_config` takes them."""
        return {"name": self.name, "epsilon": self.epsilon}
