"""Learning-rate schedules that Keras lacks."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

__all__ = ["OneCycle"]


@keras.saving.register_keras_serializable(package="keras_affect")
class OneCycle(keras.optimizers.schedules.LearningRateSchedule):
    """One cosine rise to the peak learning rate, one cosine fall to almost nothing.

    Args:
        peak: The highest learning rate, above 0.
        total_steps: Steps of the whole training, at least 2.
        warmup: Share of the steps that rise, in (0, 1).
        start_factor: The first rate is `peak / start_factor`.
        end_factor: The last rate is `peak / end_factor`.

    Call arguments:
        step: The step's number, from 0; beyond the last step the last rate stays.

    Raises:
        ValueError: If an argument is out of its range.

    Reference:
        Smith and Topin 2018, "Super-Convergence" (arXiv:1708.07120); with cosines for its
        straight lines.
    """

    def __init__(
        self,
        peak: float,
        total_steps: int,
        warmup: float = 0.3,
        start_factor: float = 25.0,
        end_factor: float = 10_000.0,
    ) -> None:
        super().__init__()
        for name, value, valid, expected in (
            ("peak", peak, peak > 0, "a float above 0"),
            ("total_steps", total_steps, total_steps >= 2, "an integer of 2 or more"),
            ("warmup", warmup, 0 < warmup < 1, "a float in (0, 1)"),
            ("start_factor", start_factor, start_factor >= 1, "a float of 1 or more"),
            ("end_factor", end_factor, end_factor >= 1, "a float of 1 or more"),
        ):
            if not valid:
                raise ValueError(
                    f"Invalid value for argument `{name}`. Expected {expected}. "
                    f"Received: {name}={value!r}"
                )
        self.peak = peak
        self.total_steps = total_steps
        self.warmup = warmup
        self.start_factor = start_factor
        self.end_factor = end_factor

    def __call__(self, step: Any) -> Any:
        """The learning rate at a step, a float32 scalar."""
        step = ops.cast(step, "float32")
        last = float(self.total_steps - 1)
        top = self.warmup * last
        rising = ops.minimum(step / top, 1.0)
        falling = ops.clip((step - top) / (last - top), 0.0, 1.0)
        start, end = self.peak / self.start_factor, self.peak / self.end_factor
        up = start + (self.peak - start) * 0.5 * (1 - ops.cos(math.pi * rising))
        down = end + (self.peak - end) * 0.5 * (1 + ops.cos(math.pi * falling))
        return ops.where(step < top, up, down)

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        return {
            "peak": self.peak,
            "total_steps": self.total_steps,
            "warmup": self.warmup,
            "start_factor": self.start_factor,
            "end_factor": self.end_factor,
        }
