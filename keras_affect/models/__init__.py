"""Emotion and valence-arousal models: one file an architecture."""

from keras_affect.models.lightweight_cnn import LightweightCNN
from keras_affect.models.loading import load

__all__ = ["LightweightCNN", "load"]
