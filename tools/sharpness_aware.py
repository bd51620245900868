"""Train a recipe by sharpness-aware minimisation (Foret et al. 2021, arXiv:2010.01412).

    python tools/sharpness_aware.py --data PATH/TO/FERPLUS --recipe RECIPE --out runs/sharpness

Each step goes up by --radius along the gradient of the first --ascent pictures of the batch, takes
the gradient of the whole batch there, and applies it from where it stood. The recipe's teachers
must see originals. Batch normalisation's statistics are those of the second pass.
"""

from __future__ import annotations

import argparse
import types
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from rich.console import Console

from keras_affect.training import Recipe, run


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="FER+")
    parser.add_argument("--recipe", required=True, help="as keras-affect train takes it")
    parser.add_argument("--out", type=Path, required=True, help="the run's folder")
    parser.add_argument("--radius", type=float, default=0.2, help="length of the step upwards")
    parser.add_argument("--ascent", type=int, default=32, help="pictures it is taken from")
    parser.add_argument("--resume", action="store_true")
    options = parser.parse_args()
    recipe = Recipe.load(options.recipe)
    plain = run.compiled

    def compiled(recipe: Recipe, steps: int) -> Any:
        model = plain(recipe, steps)
        step = sharpness_aware_step(model, recipe, options.radius, options.ascent)
        object.__setattr__(model, "train_step", types.MethodType(step, model))
        return model

    run.compiled = compiled
    run.train(recipe, options.data, options.out, resume=options.resume, console=Console())


def sharpness_aware_step(model: Any, recipe: Recipe, radius: float, ascent: int) -> Any:
    """What takes the place of `keras.Model.train_step` under TensorFlow."""
    statistics = [
        variable.value
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization)
        for variable in (layer.moving_mean, layer.moving_variance)
    ]
    cross_entropy = keras.losses.CategoricalCrossentropy()
    distance = keras.losses.MeanSquaredError()

    def loss_of(target: Any, found: Any) -> Any:
        points = distance(target["valence_arousal"], found["valence_arousal"])
        emotion = cross_entropy(target["emotion"], found["emotion"])
        return emotion + recipe.valence_arousal_weight * points

    def train_step(self: Any, data: Any) -> Any:
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        variables = [variable.value for variable in self.trainable_variables]
        some_x, some_y = tf.nest.map_structure(lambda values: values[:ascent], (x, y))
        kept = [tf.identity(value) for value in statistics]
        with tf.GradientTape() as tape:
            loss = loss_of(some_y, self(some_x, training=True))
        gradients = tape.gradient(loss, variables)
        norm = tf.linalg.global_norm(gradients) + 1e-12
        steps = [radius * gradient / norm for gradient in gradients]
        for value, before in zip(statistics, kept, strict=True):
            value.assign(before)
        for value, step in zip(variables, steps, strict=True):
            value.assign_add(step)
        with tf.GradientTape() as tape:
            found = self(x, training=True)
            loss = self._compute_loss(
                x=x, y=y, y_pred=found, sample_weight=sample_weight, training=True
            )
            self._loss_tracker.update_state(loss, sample_weight=tf.shape(x)[0])
        gradients = tape.gradient(loss, variables)
        for value, step in zip(variables, steps, strict=True):
            value.assign_sub(step)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        return self.compute_metrics(x, y, found, sample_weight=sample_weight)

    return train_step


if __name__ == "__main__":
    main()
