"""Training: a recipe, `model.fit`, and a folder with all that came of it."""

from keras_affect.training.fine_tuning import FineTuning, balanced_class_weights, fine_tune
from keras_affect.training.recipe import Recipe
from keras_affect.training.run import train
from keras_affect.training.schedules import OneCycle

__all__ = ["FineTuning", "OneCycle", "Recipe", "balanced_class_weights", "fine_tune", "train"]
