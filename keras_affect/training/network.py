"""The network that a recipe trains: compiled, with its teachers where it has any."""

from __future__ import annotations

from typing import Any

import keras

from keras_affect import models
from keras_affect.ensembles import Ensemble
from keras_affect.metrics import ConcordanceCorrelation
from keras_affect.models.affect_model import AffectModel
from keras_affect.models.loading import adapt_residuals
from keras_affect.training.deepening import deepen
from keras_affect.training.distillation import Distiller
from keras_affect.training.recipe import Recipe
from keras_affect.training.schedules import OneCycle
from keras_affect.training.widening import widen

__all__ = ["compiled", "in_dtype", "student_of", "take_weights", "teacher_of"]


def compiled(recipe: Recipe, steps: int) -> Any:
    """What is trained, its optimizer built, so that a checkpoint fits at once.

    Args:
        recipe: What to train.
        steps: Steps an epoch.

    Returns:
        The recipe's network; with teachers that see batches a `Distiller` of it, whose student is
        compiled too, to be validated by itself.

    Raises:
        FileNotFoundError, ValueError: If `start_from` or a teacher is not there or does not fit.
    """
    own = {}
    if recipe.model == "LightweightCNN":
        own["stem_convolutions"] = recipe.stem_convolutions
    student = getattr(models, recipe.model)(
        weights=None,
        width=recipe.width,
        mirrored=recipe.mirrored,
        dropout=recipe.dropout,
        stochastic_depth=recipe.stochastic_depth,
        valence_arousal=recipe.valence_arousal_weight > 0,
        dtype=recipe.dtype,
        **own,
    )
    if recipe.start_from:
        take_weights(student, recipe.start_from)
    trained = student
    distills = bool(recipe.teachers) and recipe.teachers_see == "batches"
    if distills:
        trained = Distiller(
            student,
            teacher_of(recipe, student),
            temperature=recipe.temperature,
            weight=recipe.teacher_share,
            valence_arousal_weight=recipe.valence_arousal_weight,
        )
        student.compile(**_objective(recipe, share=1.0))
    optimizer = keras.optimizers.SGD(
        OneCycle(recipe.learning_rate, recipe.epochs * steps, recipe.warmup),
        momentum=recipe.momentum,
        nesterov=True,
        weight_decay=recipe.weight_decay or None,
    )
    optimizer.exclude_from_weight_decay([v for v in student.trainable_variables if v.ndim == 1])
    optimizer.build(student.trainable_variables)
    share = 1 - recipe.teacher_share if distills else 1.0
    trained.compile(optimizer, **_objective(recipe, share))
    return trained


def student_of(trained: Any) -> Any:
    """The recipe's network in what `compiled` gives."""
    return trained.student if isinstance(trained, Distiller) else trained


def in_dtype(model: Any, dtype: str) -> Any:
    """A copy of a network, or of an ensemble of some, that runs in another dtype.

    A network that is none of `keras_affect.models` is given back as it is: nothing says how its
    layers could be made again.
    """
    if isinstance(model, Ensemble):
        members = [in_dtype(member, dtype) for member in model.members]
        return Ensemble(members, model.member_weights, model.flips, model.name)
    if not isinstance(model, AffectModel):
        return model
    return _remade(model, dtype=dtype)


def _remade(model: AffectModel, **changes: Any) -> AffectModel:
    """A copy with the same weights, but for arguments that its weights do not depend on."""
    copy: AffectModel = type(model).from_config(model.get_config() | changes)
    copy.set_weights(model.get_weights())
    return copy


def _objective(recipe: Recipe, share: float) -> dict[str, Any]:
    """Losses against the labels, which have a share of the whole, and metrics."""
    losses: dict[str, Any] = {"emotion": "categorical_crossentropy"}
    weights = {"emotion": share}
    metrics: dict[str, Any] = {"emotion": [keras.metrics.CategoricalAccuracy(name="accuracy")]}
    if recipe.valence_arousal_weight > 0:
        losses["valence_arousal"] = "mean_squared_error"
        metrics["valence_arousal"] = [ConcordanceCorrelation(name="concordance")]
        weights["valence_arousal"] = share * recipe.valence_arousal_weight
    return {
        "loss": losses,
        "loss_weights": weights,
        "metrics": metrics,
        # Compiling convolutions with XLA makes them slower on processors.
        "jit_compile": False,
    }


def take_weights(model: Any, source: str) -> None:
    """Start from a model of the same architecture, or a smaller one whose answers are kept.

    Args:
        model: A model of `keras_affect.models`; its weights are changed in place.
        source: What `models.load` takes.

    Raises:
        FileNotFoundError, ValueError: If the source is not there, is of another architecture or
            other classes, or larger; nothing is changed then.
    """
    trained = models.load(source)
    try:
        class_names = tuple(getattr(trained, "class_names", None) or model.class_names)
        if class_names != tuple(model.class_names):
            # The shapes may be equal all the same.
            raise ValueError(f"Received: one of the classes {', '.join(class_names)}")
        if isinstance(trained, AffectModel) and trained.mirrored != model.mirrored:
            # The same weights serve with mirror images and without.
            trained = _remade(trained, mirrored=model.mirrored)
        is_alike = isinstance(trained, AffectModel) and type(trained) is type(model)
        if is_alike and trained.stochastic_depth != model.stochastic_depth:
            # At inference a residual counts for one minus its rate.
            rate = trained.stochastic_depth
            trained = _remade(trained, stochastic_depth=model.stochastic_depth, dtype="float32")
            adapt_residuals(trained, rate)
        if _is_shallower(trained, model):
            stem = {"stem_convolutions": model.stem_convolutions, "dtype": "float32"}
            deeper = type(model).from_config(trained.get_config() | stem)
            deepen(trained, deeper)
            trained = deeper
        weights = trained.get_weights()
        if [w.shape for w in weights] == [w.shape for w in model.get_weights()]:
            model.set_weights(weights)
            return
        widen(trained, model)
    except ValueError as error:
        # Without the names of arguments of `widen` and `deepen`, which nobody gave here.
        received = str(error).rpartition("Received: ")[2]
        raise ValueError(
            "Invalid value for argument `start_from`. Expected a model of the recipe's "
            f"architecture and outputs, as large or smaller. Received: start_from={source!r}, "
            f"{received}"
        ) from None


def _is_shallower(trained: Any, model: Any) -> bool:
    if type(trained) is not type(model) or not hasattr(model, "stem_convolutions"):
        return False
    return bool(trained.stem_convolutions < model.stem_convolutions)


def teacher_of(recipe: Recipe, student: Any) -> Any:
    """The recipe's teachers as one network, in the recipe's dtype.

    Raises:
        FileNotFoundError, ValueError: If one is not there or does not fit the student.
    """
    members = []
    for source in recipe.teachers:
        member = in_dtype(models.load(source), recipe.dtype)
        answers = {name: tuple(tensor.shape) for name, tensor in _outputs(member).items()}
        expected = {name: tuple(tensor.shape) for name, tensor in _outputs(student).items()}
        fits = (
            tuple(member.input_shape) == tuple(student.input_shape)
            and tuple(getattr(member, "class_names", None) or ()) == tuple(student.class_names)
            and expected.items() <= answers.items()
        )
        if not fits:
            raise ValueError(
                "Invalid value for argument `teachers`. Expected models that take pictures of "
                f"{student.input_shape[1:]} and give {', '.join(expected)} of the classes "
                f"{', '.join(student.class_names)}. Received: {source!r}"
            )
        members.append(member)
    return members[0] if len(members) == 1 else Ensemble(members, name="teachers")


def _outputs(model: Any) -> dict[str, Any]:
    """The named outputs of a functional model; none of any other."""
    output = getattr(model, "output", None)
    return output if isinstance(output, dict) else {}
