"""The objectives of the FER+ paper: what to make of ten votes."""

from __future__ import annotations

from typing import Any, Literal

import keras
from keras import ops

from keras_affect._arguments import check_rate, invalid
from keras_affect.losses.masking import (
    MaskedLoss,
    distribution,
    log,
)

__all__ = ["LabelDistributionLoss"]

# What the authors of FER+ give to emotions that are not among an image's labels.
_OTHER_LABELS = 0.001


@keras.saving.register_keras_serializable(package="keras_affect")
class LabelDistributionLoss(MaskedLoss):
    """The FER+ paper's objectives, each from one and the same distribution of votes.

    - `"cross_entropy"`: `MaskedCategoricalCrossentropy` without smoothing.
    - `"majority"`: cross-entropy against the emotion with more than half of the votes; a sample
      without one counts as one without a label.
    - `"multi_label"`: `-log(max(t * y_pred))`, where `t` is 1 for emotions with at least
      `threshold` of the votes and, as in the authors' program, 0.001 for the others: any of an
      image's labels will do, and the likeliest is pushed up.

    The paper's fourth objective, probabilistic drawing, draws a label anew each time that an image
    is seen. Here that is done where images are read, by `datasets.ferplus.load(labels="drawn")`,
    as a function of seed, epoch and image; what is drawn goes with `"cross_entropy"`.

    In each a row whose sum is below 1 counts for as much as its sum.

    Args:
        objective: `"cross_entropy"`, `"majority"` or `"multi_label"`.
        threshold: Share of the votes from which an emotion is among the labels, in (0, 1). Of
            `"multi_label"` alone.
        reduction: As in `MaskedMeanSquaredError`.
        name: Name of the loss.
        dtype: Data type of the computation.

    Call arguments:
        y_true: Distributions `(batch, ..., classes)`; a row of zeros, or of NaN, where there is
            none.
        y_pred: Probabilities of the same shape.
        sample_weight: `(batch,)` or of the shape of `y_true` without the last axis.

    Raises:
        ValueError: If an argument is not as above, or shapes differ.

    Reference:
        Barsoum et al. 2016 (arXiv:1608.01041), section 3.2, and github.com/microsoft/FERPlus.
    """

    def __init__(
        self,
        objective: Literal["cross_entropy", "majority", "multi_label"] = "cross_entropy",
        threshold: float = 0.3,
        reduction: str | None = "sum_over_batch_size",
        name: str = "label_distribution_loss",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        if objective not in ("cross_entropy", "majority", "multi_label"):
            raise ValueError(
                'Invalid value for argument `objective`. Expected "cross_entropy", "majority" or '
                '"multi_label"; labels are drawn by datasets.ferplus.load(labels="drawn"). '
                f"Received: objective={objective!r}"
            )
        if check_rate("threshold", threshold) == 0:
            raise invalid("threshold", "a float in (0, 1)", threshold)
        self.objective = objective
        self.threshold = threshold

    def _errors_and_presence(self, true: Any, predicted: Any) -> tuple[Any, Any]:
        true, present = distribution(true)
        if self.objective == "cross_entropy":
            return -ops.sum(true * log(predicted), axis=-1), present
        mass = ops.sum(true, axis=-1, keepdims=True)
        if self.objective == "majority":
            chosen = true > 0.5 * mass
            present = ops.any(chosen, axis=-1)
            errors = -ops.sum(ops.where(chosen, log(predicted), 0), axis=-1)
        else:
            # With room for rounding: 3 of 10 votes are 0.3 of them.
            chosen = true >= (self.threshold - 1e-6) * mass
            factor = ops.where(chosen, 1.0, _OTHER_LABELS)
            errors = -log(ops.max(ops.cast(factor, self.dtype) * predicted, axis=-1))
        return mass[..., 0] * errors, present

    def get_config(self) -> dict[str, Any]:
        """The arguments, as `from_config` takes them."""
        return {
            **super().get_config(),
            "objective": self.objective,
            "threshold": self.threshold,
        }
