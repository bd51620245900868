"""A picture's encoder, applied to each frame of a clip."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

__all__ = ["FrameEncoder"]


@keras.saving.register_keras_serializable(package="keras_affect")
class FrameEncoder(keras.layers.Wrapper):
    """Features of each frame, and the mask that says which frames are there.

    A frame all of whose pixels are negative is padding: pixels are in [0, 255], so that no
    picture can look so. The encoder sees it as black, and the mask leaves its features out.

    All frames of a batch go through the encoder at once, as one batch of pictures;
    `keras.layers.TimeDistributed` would trace the encoder once for each frame.

    Args:
        layer: A built model from `(batch, height, width, channels)` to `(batch, features)`, or
            to a map `(batch, height, width, features)`, which is averaged over its places.
        **kwargs: As of `keras.layers.Layer`.

    Call arguments:
        inputs: `(batch, time, height, width, channels)`.
        training: Whether the encoder is called in training.

    Output shape:
        `(batch, time, features)`.
    """

    def __init__(self, layer: Any, **kwargs: Any) -> None:
        super().__init__(layer, **kwargs)
        self.supports_masking = True

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Features of frames."""
        pictures = ops.reshape(ops.maximum(inputs, 0), (-1, *inputs.shape[2:]))
        features = self.encode(pictures, training)
        batch, time = ops.shape(inputs)[:2]
        return ops.reshape(features, (batch, time, features.shape[-1]))

    def encode(self, pictures: Any, training: bool = False) -> Any:
        """Features `(pictures, features)` of pictures `(pictures, height, width, channels)`."""
        features = self.layer(pictures, training=training)
        return ops.mean(features, axis=(1, 2)) if len(features.shape) == 4 else features

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """Boolean `(batch, time)`, False for padding."""
        present = ops.any(ops.greater_equal(inputs, 0), axis=(2, 3, 4))
        return present if previous_mask is None else ops.logical_and(present, previous_mask)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """`(batch, time, features)`."""
        return (*input_shape[:2], self.layer.output_shape[-1])
