"""Metrics of valence and arousal for `model.compile`.

Emotions need none of their own. Against label distributions, `keras.metrics.CategoricalAccuracy`
compares the peaks, and against ``labels="majority"`` it is the official FER+ accuracy. Against
distributions it also counts images whose peak holds half of the votes or less, which the
official rule drops: it follows a training, and `keras_affect.evaluation` scores its end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import keras
from keras import ops

from keras_affect import emotions
from keras_affect._masks import steps_of

__all__ = ["ConcordanceCorrelation", "RootMeanSquaredError", "SignAgreement"]

_COLUMNS = {"valence": slice(0, 1), "arousal": slice(1, 2), None: slice(0, 2)}
# Of a float32 mean, relative to it, with room for some thousand additions.
_ROUNDING = 1e-5


class _AxisMetric(keras.metrics.Metric):
    """What metrics of valence, arousal or both have in common: the axis, and what is left out."""

    def __init__(self, axis: Any, name: str | None, default_name: str, dtype: Any) -> None:
        if axis not in _COLUMNS:
            raise ValueError(
                'Invalid value for argument `axis`. Expected "valence", "arousal" or None. '
                f"Received: axis={axis!r}"
            )
        super().__init__(name=name or default_name + (f"_{axis}" if axis else ""), dtype=dtype)
        self.axis = axis

    def _columns(self, y_true: Any, y_pred: Any, sample_weight: Any) -> tuple[Any, Any, Any]:
        """Targets, predictions and weights, each `(samples, 1 or 2)`, free of masked NaN."""
        true = ops.cast(y_true, self.dtype)
        predicted = ops.cast(y_pred, self.dtype)
        for name, values in (("y_true", true), ("y_pred", predicted)):
            if not 2 <= len(values.shape) == len(true.shape) or values.shape[-1] != 2:
                raise ValueError(
                    f"Invalid value for argument `{name}`. Expected shape (..., 2), valence and "
                    "arousal, targets and predictions alike. "
                    f"Received: shape {tuple(values.shape)}"
                )
        weight = ops.ones_like(true)
        for factor in (sample_weight, steps_of(y_pred)):
            if factor is not None:
                factor = ops.cast(factor, self.dtype)
                while len(factor.shape) < len(true.shape):
                    factor = ops.expand_dims(factor, -1)
                weight = weight * factor
        present = ops.logical_and(weight > 0, ops.logical_not(ops.isnan(true)))
        # Replaced before any arithmetic: NaN times a weight of 0 is NaN.
        true, predicted, weight = (
            ops.reshape(ops.where(present, values, 0), (-1, 2))[:, _COLUMNS[self.axis]]
            for values in (true, predicted, weight)
        )
        return true, predicted, weight

    def get_config(self) -> dict[str, Any]:
        """The arguments, as `from_config` takes them."""
        return {**super().get_config(), "axis": self.axis}


@keras.saving.register_keras_serializable(package="keras_affect")
class ConcordanceCorrelation(_AxisMetric):
    """Lin's concordance correlation of valence, arousal or both, over all samples seen.

    `2 cov(t, p) / (var(t) + var(p) + (mean(t) - mean(p))^2)`, 1 where predictions equal targets,
    0 where they don't move together.

    `keras.metrics.ConcordanceCorrelation` averages the coefficients of batches, and its value
    changes with the batch size. This metric streams what the coefficient is made of, and gives
    that of the whole set at any batch size.

    A missing target (NaN) is left out, for its axis alone; so is whatever has sample weight 0, or
    is masked by a Keras mask. A NaN prediction of a target that is there makes the result NaN.

    Where the coefficient is 0 / 0 (nothing seen yet, or targets and predictions all one and the
    same number) the result is 0.

    Args:
        axis: `"valence"` for the coefficient of the first column, `"arousal"` for that of the
            second, None for the mean of the two.
        name: Name of the metric. Defaults to `"concordance_correlation"`, with `"_valence"` or
            `"_arousal"` behind it where an axis is chosen.
        dtype: Data type of the statistics. Defaults to `keras.backend.floatx()`.

    Call arguments:
        y_true: Targets `(..., 2)`, valence then arousal, NaN where one is missing.
        y_pred: Predictions of the same shape.
        sample_weight: Weights of 0 or more, of the shape of `y_true` or of its leading
            dimensions.

    Raises:
        ValueError: If `axis` is none of the three, or targets or predictions are not `(..., 2)`.

    Reference:
        - Lin 1989, "A concordance correlation coefficient to evaluate reproducibility",
          Biometrics 45, 255-268.
        - Chan, Golub and LeVeque 1983, "Algorithms for computing the sample variance",
          The American Statistician 37, 242-247: how co-moments of two parts merge.

    Example:
    ```python
    model.compile(
        loss={"emotion": "categorical_crossentropy", "valence_arousal": "mse"},
        metrics={"valence_arousal": keras_affect.metrics.ConcordanceCorrelation()},
    )
    ```
    """

    # With d = p - t, the coefficient equals 2 cov(t, p) / (2 cov(t, p) + mean(d^2)): the variances
    # need not be streamed. The sum of d^2 only adds up. The co-moment is the sum of
    # (t - mean(t)) (p - mean(p)); it is merged batch by batch, since raw sums of products would
    # lose its digits in float32 where the values lie far from 0.
    #
    # Under a tf.distribute strategy each replica updates variables of its own, and outside of the
    # replicas a variable reads as their sum. `result` therefore reads none of the means, and
    # takes what the replicas' co-moments lack, the co-moment between them, from totals.

    def __init__(
        self,
        axis: Literal["valence", "arousal"] | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(axis, name, "concordance_correlation", dtype)
        # What EarlyStopping and ModelCheckpoint read where mode="auto".
        self._direction = "up"
        shape = (2,) if axis is None else (1,)

        def zeros(name: str, shape: tuple[int, ...] = shape) -> Any:
            return self.add_variable(shape, initializer="zeros", name=name)

        self.weight = zeros("weight")
        self.true_mean = zeros("true_mean")
        self.predicted_mean = zeros("predicted_mean")
        self.comoment = zeros("comoment")
        self.squared_error = zeros("squared_error")
        self.true_total = zeros("true_total")
        self.predicted_total = zeros("predicted_total")
        self.product = zeros("product")
        self.replicas = zeros("replicas", ())

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch."""
        true, predicted, weight = self._columns(y_true, y_pred, sample_weight)
        batch_weight = ops.sum(weight, axis=0)
        true_mean = _ratio(ops.sum(weight * true, axis=0), batch_weight)
        predicted_mean = _ratio(ops.sum(weight * predicted, axis=0), batch_weight)
        comoment = ops.sum(weight * (true - true_mean) * (predicted - predicted_mean), axis=0)

        total = self.weight + batch_weight
        part = _ratio(batch_weight, total)
        true_step = true_mean - self.true_mean
        predicted_step = predicted_mean - self.predicted_mean
        self.comoment.assign(
            self.comoment + comoment + true_step * predicted_step * self.weight * part
        )
        self.true_mean.assign(self.true_mean + true_step * part)
        self.predicted_mean.assign(self.predicted_mean + predicted_step * part)
        self.squared_error.assign(
            self.squared_error + ops.sum(weight * ops.square(predicted - true), axis=0)
        )
        self.weight.assign(total)
        self.true_total.assign(total * self.true_mean)
        self.predicted_total.assign(total * self.predicted_mean)
        self.product.assign(total * self.true_mean * self.predicted_mean)
        self.replicas.assign(ops.ones((), self.dtype))

    def result(self) -> Any:
        """The coefficient of all that was added, a scalar in [-1, 1]."""
        true_mean = _ratio(self.true_total, self.weight)
        between = self.product - true_mean * self.predicted_total
        # Exactly 0 for one replica; computed, it would bring back the rounding avoided above.
        between = ops.where(self.replicas > 1, between, 0)
        covariance = 2 * (self.comoment + between)
        spread = covariance + self.squared_error
        # One and the same number may seem to spread, by as much as its mean was rounded.
        rounding = _ROUNDING**2 * ops.abs(true_mean * self.predicted_total)
        return ops.mean(_ratio(covariance, ops.where(spread <= rounding, 0, spread)))


class _Mean(_AxisMetric):
    """A weighted mean over labels. Sums alone are kept, which replicas' parts add up to."""

    def __init__(self, axis: Any, name: str | None, default_name: str, dtype: Any) -> None:
        super().__init__(axis, name, default_name, dtype)
        self.weight = self.add_variable((), initializer="zeros", name="weight")
        self.total = self.add_variable((), initializer="zeros", name="total")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch."""
        true, predicted, weight = self._columns(y_true, y_pred, sample_weight)
        self.weight.assign(self.weight + ops.sum(weight))
        self.total.assign(self.total + ops.sum(weight * self._values(true, predicted)))

    def _values(self, true: Any, predicted: Any) -> Any:
        """What the mean is taken of, for each label."""
        raise NotImplementedError

    def result(self) -> Any:
        """The mean of all that was added, a scalar; 0 of nothing."""
        return _ratio(self.total, self.weight)


@keras.saving.register_keras_serializable(package="keras_affect")
class SignAgreement(_Mean):
    """The share of labels whose predictions lie on the same side of the scale's middle.

    Known as SAGR. A label in the middle, as neutral's 0 in [-1, 1], agrees with nothing but a
    prediction in the middle. What is left out is as in `ConcordanceCorrelation`, and so are
    `y_true`, `y_pred` and `sample_weight`. A NaN prediction agrees with no label.

    Args:
        axis: `"valence"`, `"arousal"`, or None for the labels of both.
        scale: Of targets and predictions: a name in `emotions.SCALES` ("unit" is [-1, 1], "five"
            [-5, 5]) or a pair (lowest, highest).
        name: Name of the metric. Defaults to `"sign_agreement"`, with `"_valence"` or `"_arousal"`
            behind it where an axis is chosen.
        dtype: Data type of the statistics. Defaults to `keras.backend.floatx()`.

    Raises:
        ValueError: If `axis` is none of the three, `scale` is not known, or targets or
            predictions are not `(..., 2)`.

    Reference:
        Nicolaou, Gunes and Pantic 2011, "Continuous prediction of spontaneous affect from
        multiple cues and modalities in valence-arousal space", IEEE Transactions on Affective
        Computing 2, 92-105.
    """

    def __init__(
        self,
        axis: Literal["valence", "arousal"] | None = None,
        scale: str | Sequence[float] = "unit",
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(axis, name, "sign_agreement", dtype)
        self.scale = scale
        self._middle = sum(emotions.scale_bounds(scale)) / 2
        self._direction = "up"

    def _values(self, true: Any, predicted: Any) -> Any:
        signs = (ops.sign(values - self._middle) for values in (true, predicted))
        return ops.cast(ops.equal(*signs), self.dtype)

    def get_config(self) -> dict[str, Any]:
        """The arguments, as `from_config` takes them."""
        return {**super().get_config(), "scale": self.scale}


@keras.saving.register_keras_serializable(package="keras_affect")
class RootMeanSquaredError(_Mean):
    """The root of the mean squared error of valence, arousal or both, over all labels seen.

    What is left out is as in `ConcordanceCorrelation`, and so are `y_true`, `y_pred` and
    `sample_weight`. A NaN prediction of a target that is there makes the result NaN.

    Args:
        axis: `"valence"`, `"arousal"`, or None for the labels of both in one mean.
        source: Scale of targets and predictions: a name in `emotions.SCALES` ("unit" is [-1, 1],
            "five" [-5, 5]) or a pair (lowest, highest).
        target: Scale in whose units the error is given, likewise. None for that of `source`.
        name: Name of the metric. Defaults to `"root_mean_squared_error"`, with `"_valence"` or
            `"_arousal"` behind it where an axis is chosen.
        dtype: Data type of the statistics. Defaults to `keras.backend.floatx()`.

    Raises:
        ValueError: If `axis` is none of the three, a scale is not known, or targets or
            predictions are not `(..., 2)`.

    Example:
    ```python
    # A model in [-1, 1] whose error is read in the units of a scale from -5 to +5.
    metric = keras_affect.metrics.RootMeanSquaredError("valence", target="five")
    ```
    """

    def __init__(
        self,
        axis: Literal["valence", "arousal"] | None = None,
        source: str | Sequence[float] = "unit",
        target: str | Sequence[float] | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(axis, name, "root_mean_squared_error", dtype)
        self.source = source
        self.target = target
        low, high = emotions.scale_bounds(source, "source")
        new_low, new_high = (
            (low, high) if target is None else emotions.scale_bounds(target, "target")
        )
        self._unit = (new_high - new_low) / (high - low)
        self._direction = "down"

    def _values(self, true: Any, predicted: Any) -> Any:
        return ops.square(predicted - true)

    def result(self) -> Any:
        """The root over all that was added, a scalar; 0 of nothing."""
        return self._unit * ops.sqrt(super().result())

    def get_config(self) -> dict[str, Any]:
        """The arguments, as `from_config` takes them."""
        return {**super().get_config(), "source": self.source, "target": self.target}


def _ratio(numerator: Any, denominator: Any) -> Any:
    """The quotient, 0 where the denominator is 0."""
    denominator = ops.convert_to_tensor(denominator)
    empty = ops.equal(denominator, 0)
    return ops.where(empty, 0, numerator / ops.where(empty, 1, denominator))
