"""Augmentation of face crops, as pure functions of (seed, epoch, index)."""

from keras_affect.augmentation.pipelines import FacePipeline, face_pipeline

__all__ = ["FacePipeline", "face_pipeline"]
