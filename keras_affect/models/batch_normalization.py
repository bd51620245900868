"""Batch normalisation that TensorFlow trains in one operator."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

__all__ = ["BatchNormalization"]

# What TensorFlow's operator takes beside its float32 statistics.
_FUSED_DTYPES = ("float32", "bfloat16", "float16")


@keras.saving.register_keras_serializable(package="keras_affect")
class BatchNormalization(keras.layers.BatchNormalization):
    """Keras's layer, whose training step is TensorFlow's fused operator wherever that can be.

    Keras computes moments, normalisation and their gradients by some twenty operators, each of
    which reads and writes the whole map: in training a small convolutional network on a processor
    that is a third of a step's time (see ARCHITECTURE.md). The values are the same, up to
    rounding; so are the weights, their names, what inference computes and what export writes. On
    JAX and PyTorch, with masks, over another axis than the last and in float64 it is Keras's own
    computation.

    Args, call arguments, returns: As `keras.layers.BatchNormalization`.

    Reference:
        Ioffe and Szegedy 2015, "Batch Normalization: Accelerating Deep Network Training by
        Reducing Internal Covariate Shift" (arXiv:1502.03167).
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """As `keras.layers.BatchNormalization`."""
        if not (training and self.trainable and mask is None and self._can_be_fused(inputs)):
            return super().call(inputs, training=training, mask=mask)
        import tensorflow as tf

        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=ops.cast(self.gamma, "float32"),
            offset=ops.cast(self.beta, "float32"),
            mean=[],
            variance=[],
            epsilon=self.epsilon,
            is_training=True,
        )
        # The operator divides the squares by one less than their number, Keras by their number.
        number = ops.cast(ops.size(inputs), "float32") / inputs.shape[-1]
        variance *= (number - 1) / number
        for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving * self.momentum + batch * (1.0 - self.momentum))
        return outputs

    def _can_be_fused(self, inputs: Any) -> bool:
        return (
            keras.backend.backend() == "tensorflow"
            and len(inputs.shape) == 4
            and self.axis in (-1, 3)
            and self.center
            and self.scale
            and not self.synchronized
            and not self.renorm
            and keras.backend.standardize_dtype(inputs.dtype) in _FUSED_DTYPES
            and keras.backend.standardize_dtype(inputs.dtype) == self.compute_dtype
        )
