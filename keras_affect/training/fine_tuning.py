"""From a trained network to one's own pictures and classes: the head first, then all of it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import keras
import numpy as np
import numpy.typing as npt

from keras_affect._arguments import invalid
from keras_affect.losses import MaskedCategoricalCrossentropy, MaskedMeanSquaredError
from keras_affect.metrics import ConcordanceCorrelation

__all__ = ["FineTuning", "balanced_class_weights", "fine_tune"]


@dataclass(frozen=True)
class FineTuning:
    """What both parts of a fine-tuning logged, each as Keras's `History.history`.

    Attributes:
        head: Of the epochs in which the heads alone were trained.
        whole: Of those in which everything was.
    """

    head: dict[str, list[float]]
    whole: dict[str, list[float]]


def fine_tune(
    model: Any,
    dataset: Any,
    validation_data: Any = None,
    *,
    head_epochs: int = 5,
    epochs: int = 10,
    head_learning_rate: float = 1e-3,
    learning_rate: float = 1e-4,
    class_weights: Sequence[float] | Literal["balanced"] | None = None,
    label_smoothing: float = 0.0,
    losses: Mapping[str, Any] | None = None,
    train_normalization: bool = False,
    batch_size: int = 32,
    callbacks: Sequence[Any] = (),
    verbose: Any = "auto",
) -> FineTuning:
    """Train a network's heads on new data, then all of it at a lower rate.

    A head for other classes starts from random numbers, and its first steps would spoil what the
    backbone has learnt: so the backbone is held until the heads have settled. Both parts run with
    Adam. Labels may be missing, see `keras_affect.losses`.

    The model's weights are changed in place; it is not compiled, and what was trainable in it
    stays so. The names of its classes travel with it into ``.keras`` and ``.tflite`` files.

    Args:
        model: A functional model that returns a dict of outputs, as those of
            `keras_affect.models`; its last layers are what is trained first.
        dataset: What `fit` takes as its one argument, giving `(images, labels)` or `(images,
            labels, sample weights)`; or a pair of arrays `(images, labels)`. Labels are a dict
            by the outputs' names, and outputs without labels are not trained.
        validation_data: Likewise, or None.
        head_epochs: Passes over the data in which the heads alone are trained, 0 or more.
        epochs: Passes after those, in which everything is, 0 or more.
        head_learning_rate: Adam's, for the heads alone.
        learning_rate: Adam's, for everything.
        class_weights: A factor for each class, in the order of the model's; "balanced" for
            those of `balanced_class_weights`, which takes a pass over the data; or None.
        label_smoothing: Share of each label that is spread over all classes, in [0, 1).
        losses: Losses by the outputs' names, in place of `MaskedCategoricalCrossentropy` for
            "emotion" and `MaskedMeanSquaredError` for "valence_arousal". One for "emotion" goes
            with neither class weights nor label smoothing.
        train_normalization: Whether batch normalisation learns too. Its statistics are of what
            the network was trained on; on few pictures they are better left as they are.
        batch_size: For arrays.
        callbacks: Keras callbacks, for both parts, whose epochs are counted on. They see a model of
            the same layers with the outputs that have labels.
        verbose: As in `fit`.

    Returns:
        What both parts logged.

    Raises:
        ValueError: If an argument is not of the form above, or the labels don't fit the outputs.

    Example:
        >>> model = keras_affect.models.LightweightCNN(classes=["calm", "tense"])
        >>> fine_tune(model, (images, {"emotion": one_hot}), class_weights="balanced")
        >>> model.save("mine.keras")
    """
    for name, value in (("head_epochs", head_epochs), ("epochs", epochs)):
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise invalid(name, "an integer of 0 or more", value)
    for name, rate in (
        ("head_learning_rate", head_learning_rate),
        ("learning_rate", learning_rate),
    ):
        if not isinstance(rate, int | float) or isinstance(rate, bool) or not 0 < rate < math.inf:
            raise invalid(name, "a finite number above 0", rate)
    heads = _heads_of(model)
    chosen = _labels_of(dataset, model)
    trained_heads = {id(part) for name in chosen for part in heads[name]._flatten_layers()}
    if (
        losses is not None
        and "emotion" in losses
        and (class_weights is not None or label_smoothing)
    ):
        raise ValueError(
            "Invalid value for argument `losses`. Expected none for 'emotion' beside "
            "`class_weights` or `label_smoothing`, which are of the default loss. "
            f"Received: losses={dict(losses)!r}"
        )
    if isinstance(class_weights, str):
        if class_weights != "balanced":
            raise invalid("class_weights", 'factors, "balanced" or None', class_weights)
        class_weights = balanced_class_weights(dataset)
    by_output = {
        "emotion": MaskedCategoricalCrossentropy(label_smoothing, class_weights),
        "valence_arousal": MaskedMeanSquaredError(),
        **(losses or {}),
    }
    unknown = chosen - by_output.keys()
    if unknown:
        raise ValueError(
            "Invalid value for argument `losses`. Expected one for each output that has labels. "
            f"Received: none for {', '.join(sorted(unknown))}"
        )

    # The same layers with the outputs that have labels. What is compiled here knows weights as
    # they were held, and an optimizer of those could not be saved and loaded with the model.
    trained = keras.Model(model.input, {name: model.output[name] for name in chosen})

    def fit(rate: float, first: int, last: int) -> dict[str, list[float]]:
        trained.compile(
            keras.optimizers.Adam(rate),
            loss={name: by_output[name] for name in chosen},
            metrics={name: _metrics(name) for name in chosen},
            # Compiling convolutions with XLA makes them slower on processors.
            jit_compile=False if keras.backend.backend() == "tensorflow" else "auto",
        )
        pair = _pair(dataset)
        # A data set has an order of its own.
        given: dict[str, Any] = {"x": dataset, "shuffle": False}
        if pair is not None:
            given = {"x": pair[0], "y": pair[1], "batch_size": batch_size}
        history = trained.fit(
            **given,
            validation_data=validation_data,
            initial_epoch=first,
            epochs=last,
            callbacks=list(callbacks),
            verbose=verbose,
        )
        return {name: list(values) for name, values in history.history.items()}

    head: dict[str, list[float]] = {}
    whole: dict[str, list[float]] = {}
    if head_epochs:
        with _held(model, lambda layer: id(layer) not in trained_heads):
            head = fit(head_learning_rate, 0, head_epochs)

    if epochs:
        with _held(model, lambda layer: _is_normalization(layer) and not train_normalization):
            whole = fit(learning_rate, head_epochs, head_epochs + epochs)
    return FineTuning(head, whole)


def balanced_class_weights(dataset: Any) -> list[float]:
    """Factors by which rare classes count for as much as frequent ones.

    `samples / (classes * samples of the class)`: their mean over samples is 1. Soft labels count
    by their shares.

    Args:
        dataset: As in `fine_tune`; read once.

    Returns:
        A factor for each class.

    Raises:
        ValueError: If the data set has no end, no emotions, or none of a class.
    """
    total: npt.NDArray[np.float64] | float = 0.0
    for labels in _all_labels(dataset):
        emotion = np.nan_to_num(np.asarray(keras.ops.convert_to_numpy(labels["emotion"])))
        total = total + emotion.astype(np.float64).sum(axis=0)
    counts = np.atleast_1d(np.asarray(total))
    if not (counts > 0).all():
        raise ValueError(
            "Invalid value for argument `dataset`. Expected samples of every class, to balance "
            f"them. Received: {', '.join(f'{count:g}' for count in counts)}"
        )
    return [float(weight) for weight in counts.sum() / (len(counts) * counts)]


def _all_labels(dataset: Any) -> Iterator[Any]:
    pair = _pair(dataset)
    if pair is not None:
        yield pair[1]
        return
    cardinality = getattr(dataset, "cardinality", None)
    if cardinality is not None and int(cardinality()) == -1:  # tf.data's mark of no end
        raise ValueError(
            "Invalid value for argument `dataset`. Expected one that ends, to balance its "
            "classes. Received: one that repeats for ever"
        )
    for batch in dataset:
        yield batch[1]


def _pair(dataset: Any) -> tuple[Any, Any] | None:
    """Images and labels, where the data set is a pair of arrays."""
    if isinstance(dataset, tuple | list) and len(dataset) == 2:
        return dataset[0], dataset[1]
    return None


def _labels_of(dataset: Any, model: Any) -> set[str]:
    """The names of the outputs that have labels."""
    pair = _pair(dataset)
    labels = pair[1] if pair is not None else next(iter(dataset))[1]
    outputs = set(model.output)
    names = set(labels) if isinstance(labels, Mapping) else set()
    if not names or not names <= outputs:
        received = ", ".join(sorted(names)) if names else f"labels of {type(labels).__name__}"
        raise ValueError(
            "Invalid value for argument `dataset`. Expected labels as a dict by the model's "
            f"outputs {', '.join(sorted(outputs))}. Received: {received}"
        )
    return names


def _heads_of(model: Any) -> dict[str, Any]:
    """The layers that give the outputs, by the outputs' names."""
    try:
        if not isinstance(model, keras.Model) or not isinstance(model.output, dict):
            raise ValueError
        return {name: tensor._keras_history.operation for name, tensor in model.output.items()}
    except (AttributeError, ValueError):
        raise invalid("model", "a functional Keras model that returns a dict", model) from None


def _metrics(name: str) -> list[Any]:
    if name == "emotion":
        return [keras.metrics.CategoricalAccuracy(name="accuracy")]
    return [ConcordanceCorrelation(name="concordance")] if name == "valence_arousal" else []


def _is_normalization(layer: Any) -> bool:
    return isinstance(layer, keras.layers.BatchNormalization)


@contextmanager
def _held(model: Any, is_held: Any) -> Iterator[None]:
    """Layers of a model untrainable for a while; everything comes back as it was."""
    # Not public, but the only list that reaches layers inside wrappers and nested models.
    layers = [(layer, layer.trainable) for layer in model._flatten_layers(include_self=False)]
    variables = [(variable, variable.trainable) for variable in model.variables]
    try:
        for layer, _ in layers:
            if is_held(layer):
                layer.trainable = False
        yield
    finally:
        # Outer layers first, whose flag is handed to those within; variables last, likewise.
        for layer, flag in layers:
            layer.trainable = flag
        for variable, flag in variables:
            variable.trainable = flag
