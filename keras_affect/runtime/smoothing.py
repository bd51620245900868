"""Smoothing over time, for models that read each frame by itself."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from keras_affect.runtime.prediction import Prediction

__all__ = ["ExponentialFilter", "PredictionFilter"]


class ExponentialFilter:
    """A running mean in which what was seen fades by half in each half-life.

    `y <- y + (1 - 2^(-dt / half_life)) (x - y)`, where `dt` is the time since the last value: the
    same filter at every frame rate, and where frames were dropped. The first value is taken as
    it is.

    Args:
        half_life: Seconds after which a value counts half, above 0. A value that jumps is
            followed to half of the jump in that time.
        longest_gap: Seconds without a value after which what was before is forgotten; None never
            forgets.

    Raises:
        ValueError: If an argument is not a finite number above 0.
    """

    def __init__(self, half_life: float = 0.25, longest_gap: float | None = 1.0) -> None:
        self.half_life = _check_seconds("half_life", half_life)
        self.longest_gap = (
            None if longest_gap is None else _check_seconds("longest_gap", longest_gap)
        )
        self.reset()

    def reset(self) -> None:
        """Forget what came before."""
        self._mean: npt.NDArray[np.float64] | None = None
        self._time = -math.inf

    def update(self, values: npt.ArrayLike, time: float) -> npt.NDArray[np.float64]:
        """The mean with the next values in it.

        Args:
            values: Finite numbers, of the same shape at each call.
            time: When they were seen, in seconds from whenever; it must not run back.

        Returns:
            float64, of the shape of `values`.

        Raises:
            ValueError: If values are not finite or of another shape than before, or time runs
                back. The filter is then what it was.
        """
        array = np.array(values, np.float64)
        if not np.isfinite(array).all():
            raise ValueError(
                "Invalid value for argument `values`. Expected finite numbers. "
                f"Received: {array.tolist()}"
            )
        if not math.isfinite(time) or time < self._time:
            raise ValueError(
                "Invalid value for argument `time`. Expected seconds that do not run back from "
                f"{self._time:g}; reset() begins again. Received: time={time!r}"
            )
        if self._mean is not None and array.shape != self._mean.shape:
            raise ValueError(
                "Invalid value for argument `values`. Expected the shape "
                f"{self._mean.shape} of the values before. Received: shape {array.shape}"
            )
        passed = time - self._time
        forgets = self.longest_gap is not None and passed > self.longest_gap
        if self._mean is None or forgets:
            self._mean = array
        else:
            self._mean = self._mean + (1 - 0.5 ** (passed / self.half_life)) * (array - self._mean)
        self._time = time
        return self._mean.copy()


class PredictionFilter:
    """An `ExponentialFilter` on predictions of one face: probabilities, valence and arousal.

    It is for models that know no time, as `LightweightCNN`; what `StreamingAffect` gives has
    its own memory. A mean of probabilities is one of probabilities, so they still sum to 1. A
    frame in which no face was found is left out: there is no call for it.

    Args:
        half_life: As in `ExponentialFilter`.
        longest_gap: Likewise.

    Example:
        >>> interpreter, smooth = AffectInterpreter(), PredictionFilter(half_life=0.3)
        >>> for number, frame in enumerate(frames):
        ...     prediction = smooth.update(interpreter.predict(frame), time=number / 25)
    """

    def __init__(self, half_life: float = 0.25, longest_gap: float | None = 1.0) -> None:
        self._filter = ExponentialFilter(half_life, longest_gap)
        self.reset()

    def reset(self) -> None:
        """Forget what came before."""
        self._filter.reset()
        self._names: tuple[str, ...] | None = None

    def update(self, prediction: Prediction, time: float) -> Prediction:
        """The next frame's prediction, smoothed.

        Args:
            prediction: What a model said of the frame.
            time: When it was taken, in seconds from whenever; it must not run back.

        Returns:
            A `Prediction` with the mean probabilities, the most probable class among them, mean
            valence and arousal, and this frame's face.

        Raises:
            ValueError: If the classes, or whether there is valence and arousal, are others than
                before, or as `ExponentialFilter.update`.
        """
        pair = (
            []
            if prediction.valence is None or prediction.arousal is None
            else [prediction.valence, prediction.arousal]
        )
        names = (*prediction.probabilities, *("valence", "arousal")[: len(pair)])
        if self._names not in (None, names):
            raise ValueError(
                "Invalid value for argument `prediction`. Expected the numbers of the "
                f"predictions before, {self._names}. Received: {names}"
            )
        means = self._filter.update([*prediction.probabilities.values(), *pair], time).tolist()
        self._names = names
        probabilities = dict(zip(prediction.probabilities, means, strict=False))
        valence, arousal = means[len(probabilities) :] or (None, None)
        return replace(
            prediction,
            emotion=max(probabilities, key=lambda name: probabilities[name]),
            probabilities=probabilities,
            valence=valence,
            arousal=arousal,
        )


def _check_seconds(name: str, seconds: float) -> float:
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not is_number or not 0 < seconds < math.inf:
        raise ValueError(
            f"Invalid value for argument `{name}`. Expected a finite number of seconds above 0. "
            f"Received: {name}={seconds!r}"
        )
    return seconds
