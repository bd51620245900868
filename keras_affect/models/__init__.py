"""Emotion and valence-arousal models: one file a family of architectures.

The weights of a name have a card, which tells how good they are and what they cannot know:
`weights.find("LightweightCNN", "ferplus", "keras").card` is its path.
"""

from keras_affect.models.alexnet import AlexNet
from keras_affect.models.googlenet import GoogLeNet
from keras_affect.models.lightweight_cnn import LightweightCNN
from keras_affect.models.listing import list_models
from keras_affect.models.loading import load
from keras_affect.models.resnet import ResNet18, ResNet50
from keras_affect.models.temporal import TemporalAffect
from keras_affect.models.vgg import VGG13, VGG16

__all__ = [
    "AlexNet",
    "GoogLeNet",
    "LightweightCNN",
    "ResNet18",
    "ResNet50",
    "TemporalAffect",
    "VGG13",
    "VGG16",
    "list_models",
    "load",
]
