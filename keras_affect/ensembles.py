"""Randomness in training, averaged at test: several networks, or one network many times.

`Ensemble` averages networks that were trained from different seeds. `MonteCarlo` averages what
one network gives while the layers that drop something at random go on dropping.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

from keras_affect._arguments import check_flag, invalid
from keras_affect.models.mirroring import mean_of_both, mirror_images, with_mirror_images

__all__ = ["Ensemble", "MonteCarlo"]


@dataclass(frozen=True)
class _Held:
    """Models that Keras must not track: the graph has their layers already."""

    models: tuple[Any, ...]


@keras.saving.register_keras_serializable(package="keras_affect")
class Ensemble(keras.Model):
    """The mean of several networks' outputs, as one network.

    It saves, evaluates and exports as any other. The members' weights are shared, not copied:
    what changes a member changes the ensemble. Probabilities are averaged, not their logarithms,
    and so are valence and arousal.

    Args:
        members: Functional models with one input each, which take pictures of one shape and
            return outputs of the same names and shapes.
        weights: A positive number for each member; they are divided by their sum. None: all
            count alike.
        flips: Whether each member also sees the picture mirrored left to right, and both count
            alike. Takes twice the time, and in a ``.tflite`` hardly more bytes: both are one
            batch, over which batch normalisation has its statistics too if it is trained so.
        name: The model's name.

    Input shape:
        That of the members: `(batch, height, width, channels)`, raw pixels in [0, 255].

    Output shape:
        That of the members: "emotion" `(batch, classes)` and "valence_arousal" `(batch, 2)`.

    Raises:
        ValueError: If there are no members, they do not fit each other, or a weight is no
            positive number.

    Reference:
        Hansen and Salamon 1990, "Neural network ensembles", IEEE Transactions on Pattern Analysis
        and Machine Intelligence 12, 993-1001.

    Example:
        >>> members = [keras.saving.load_model(f"seed{i}.keras") for i in range(5)]
        >>> ensemble = keras_affect.ensembles.Ensemble(members)
        >>> keras_affect.evaluation.evaluate(ensemble, "PATH/TO/FERPLUS")
    """

    def __init__(
        self,
        members: Sequence[Any],
        weights: Sequence[float] | None = None,
        flips: bool = False,
        name: str = "ensemble",
    ) -> None:
        members = _check_members(members)
        shares = _check_weights(weights, len(members))
        check_flag("flips", flips)

        # === Functional model ===
        inputs = keras.Input(members[0].input_shape[1:], name="image")
        seen = with_mirror_images(inputs) if flips else inputs
        parts = []
        for place, member in enumerate(members, 1):
            # In a model with a name of its own: members of one class are named alike.
            image = keras.Input(inputs.shape[1:])
            named = keras.Model(image, member(image), name=f"member_{place}")
            parts.append(named(seen))
        outputs = _weighted_sum(parts, shares)
        if flips:
            outputs = keras.tree.map_structure(mean_of_both, outputs)
        super().__init__(inputs, outputs, name=name)

        # === Config ===
        self._held = _Held(members)
        self.member_weights = None if weights is None else list(weights)
        self.flips = flips
        self.class_names = getattr(members[0], "class_names", None)

    @property
    def members(self) -> tuple[Any, ...]:
        """The models that are averaged."""
        return self._held.models

    def get_config(self) -> dict[str, Any]:
        """The arguments, as `from_config` takes them."""
        return {
            "members": [keras.saving.serialize_keras_object(member) for member in self.members],
            "weights": self.member_weights,
            "flips": self.flips,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Ensemble:
        """The ensemble that `get_config` describes, its members with random weights."""
        members = [
            keras.saving.deserialize_keras_object(member, custom_objects=custom_objects)
            for member in config["members"]
        ]
        return cls(**{**config, "members": members})


@keras.saving.register_keras_serializable(package="keras_affect")
class MonteCarlo(keras.Model):
    """The mean over passes in which dropping layers go on dropping, and how far passes differ.

    Dropout, `DropConnect`, `StochasticDepth`, fractional pooling and whatever else is random in
    training draw anew in each pass. Batch normalisation stays at inference, with the statistics of
    the training, so that a picture's result does not depend on those beside it; `training=True`
    would not give that.

    Args:
        model: A Keras model that returns one tensor or a dict of them.
        samples: Number of passes, 2 or more. They take as long as so many calls.
        flips: Whether every second pass sees the picture mirrored left to right.
        name: The model's name.

    Input shape:
        That of the model.

    Output shape:
        A dict: the model's outputs, means over passes, and beside each, under its name with
        "_spread" behind it, the standard deviation over passes (of `samples - 1`), of the same
        shape. A model's one tensor is called "emotion".

    Raises:
        ValueError: If an argument is not of the form above.

    Reference:
        Gal and Ghahramani 2016, "Dropout as a Bayesian approximation", ICML (arXiv:1506.02142).

    Example:
        >>> outputs = keras_affect.ensembles.MonteCarlo(model, samples=16).predict(images)
        >>> outputs["emotion"], outputs["emotion_spread"]
    """

    #: By which export refuses it.
    draws_at_inference = True

    def __init__(
        self, model: Any, samples: int = 16, flips: bool = False, name: str = "monte_carlo"
    ) -> None:
        if not isinstance(model, keras.Model):
            raise invalid("model", "a Keras model", model)
        if not isinstance(samples, int) or isinstance(samples, bool) or samples < 2:
            raise invalid("samples", "an integer of 2 or more", samples)
        check_flag("flips", flips)
        super().__init__(name=name)
        self.model = model
        self.samples = samples
        self.flips = flips
        self.class_names = getattr(model, "class_names", None)

    @property
    def input_shape(self) -> Any:
        """That of the model."""
        return self.model.input_shape

    def call(self, inputs: Any, training: bool = False) -> dict[str, Any]:
        """Means and spreads; in training as at inference."""
        mean: dict[str, Any] = {}
        squares: dict[str, Any] = {}
        # One after the other: layers that draw once for a batch would draw once for all passes.
        for count in range(1, self.samples + 1):
            mirrored = self.flips and count % 2 == 0
            outputs = self._one_pass(mirror_images(inputs) if mirrored else inputs)
            for name, values in outputs.items():
                if count == 1:
                    mean[name], squares[name] = values, ops.zeros_like(values)
                    continue
                # Welford's sums: those of squares would lose small spreads to rounding.
                step = values - mean[name]
                mean[name] = mean[name] + step / count
                squares[name] = squares[name] + step * (values - mean[name])
        spread = {
            f"{name}_spread": ops.sqrt(ops.maximum(values, 0) / (self.samples - 1))
            for name, values in squares.items()
        }
        return {**mean, **spread}

    def _one_pass(self, inputs: Any) -> dict[str, Any]:
        with _normalizing_by_moving_statistics(self.model):
            outputs = self.model(inputs, training=True)
        return dict(outputs) if isinstance(outputs, dict) else {"emotion": outputs}

    def get_config(self) -> dict[str, Any]:
        """The arguments, as `from_config` takes them."""
        return {
            "model": keras.saving.serialize_keras_object(self.model),
            "samples": self.samples,
            "flips": self.flips,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> MonteCarlo:
        """The object that `get_config` describes, its model with random weights."""
        model = keras.saving.deserialize_keras_object(
            config["model"], custom_objects=custom_objects
        )
        return cls(**{**config, "model": model})


@contextmanager
def _normalizing_by_moving_statistics(model: Any) -> Iterator[None]:
    """Batch normalisation at inference, wherever it is in the model, within `training=True`.

    Keras runs the layer so while it is not trainable, in nested models and wrappers too, where an
    argument of a call does not reach it.
    """
    layers = [
        layer
        # Not public, but the only list that reaches layers inside wrappers and nested models.
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable
    ]
    # Some of a layer's weights may be frozen by themselves.
    flags = [(variable, variable.trainable) for layer in layers for variable in layer.variables]
    try:
        for layer in layers:
            layer.trainable = False
        yield
    finally:
        for layer in layers:
            layer.trainable = True
        for variable, flag in flags:
            variable.trainable = flag


def _weighted_sum(parts: Sequence[Any], factors: Sequence[float]) -> Any:
    def total(*values: Any) -> Any:
        terms = [value * factor for value, factor in zip(values, factors, strict=True)]
        result = terms[0]
        for term in terms[1:]:
            result = result + term
        return result

    return keras.tree.map_structure(total, *parts)


def _check_members(members: Sequence[Any]) -> tuple[Any, ...]:
    if isinstance(members, str) or not isinstance(members, Sequence) or not members:
        raise invalid("members", "a sequence of one or more models", members)
    found = []
    for member in members:
        try:
            if not isinstance(member, keras.Model) or len(member.inputs) != 1:
                raise ValueError
            outputs = member(keras.Input(member.input_shape[1:]))
        except (AttributeError, ValueError, TypeError):
            received = getattr(member, "name", None) or repr(member)
            raise ValueError(
                "Invalid value for argument `members`. Expected functional models with one input. "
                f"Received: {received}"
            ) from None
        shapes = keras.tree.map_structure(lambda tensor: tuple(tensor.shape), outputs)
        names = getattr(member, "class_names", None)
        found.append((tuple(member.input_shape), shapes, tuple(names) if names else None))
    for place, (member, facts) in enumerate(zip(members, found, strict=True)):
        if facts != found[0]:
            raise ValueError(
                "Invalid value for argument `members`. Expected models with one input shape, the "
                f"same outputs and the same class names. Received: {members[0].name} with "
                f"{found[0]}, and at place {place} {member.name} with {facts}"
            )
    return tuple(members)


def _check_weights(weights: Sequence[float] | None, members: int) -> tuple[float, ...]:
    if weights is None:
        return (1 / members,) * members
    numbers = list(weights) if isinstance(weights, Sequence) else []
    are_positive = all(
        isinstance(number, int | float) and not isinstance(number, bool) and 0 < number < math.inf
        for number in numbers
    )
    if len(numbers) != members or not are_positive:
        raise invalid("weights", f"a positive number for each of {members} members", weights)
    return tuple(number / sum(numbers) for number in numbers)
