"""Which steps of a sequence a Keras mask leaves out: what losses and metrics share."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

__all__ = ["steps_of"]


class _Ones(keras.losses.Loss):
    """1 for each sample or step, to which Keras applies the mask."""

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return ops.ones_like(y_pred[..., 0])


# Under TensorFlow and PyTorch a mask is an attribute of the tensor that it belongs to, under JAX
# it stands in a table of Keras's own, which no public function reads. Every loss does.
_ONES = _Ones(name="steps", reduction=None, dtype="float32")


def steps_of(predicted: Any) -> Any:
    """1 for each sample or step that counts, and 0 for what a mask leaves out.

    Args:
        predicted: A model's predictions `(batch, ..., numbers)`, as it gave them: a cast or any
            other operation on them loses their mask.

    Returns:
        float32 `(batch, ...)`.
    """
    return _ONES(predicted, predicted)
