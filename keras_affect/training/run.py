"""A training run: FER+ in, a folder out, by `model.fit`."""

from __future__ import annotations

import dataclasses
import importlib.util
from pathlib import Path
from typing import Any

import keras
from rich.console import Console

from keras_affect import evaluation, models
from keras_affect._files import written_whole
from keras_affect.augmentation import face_pipeline
from keras_affect.datasets import ferplus
from keras_affect.datasets.batches import batches_of
from keras_affect.metrics import ConcordanceCorrelation
from keras_affect.training.checkpoint import Checkpoint, restore
from keras_affect.training.progress import EpochLog, ProgressBar
from keras_affect.training.recipe import Recipe
from keras_affect.training.schedules import OneCycle

__all__ = ["train"]


def train(
    recipe: Recipe,
    data: str | Path,
    out: str | Path,
    *,
    resume: bool = False,
    tensorboard: bool = False,
    on_error: ferplus.OnError = "raise",
    console: Console | None = None,
) -> Any:
    """Train a model on FER+ by a recipe.

    After each epoch a checkpoint of every variable is written; a run that was interrupted goes on
    from it with ``resume=True`` and ends with the weights that an unbroken run would have. (To
    the bit where TensorFlow's operators are deterministic:
    ``tf.config.experimental.enable_op_determinism()``.)

    Args:
        recipe: What to train, and how.
        data: FER+, as `datasets.ferplus.read` takes it; needs train and valid.
        out: The run's folder. Afterwards it holds ``recipe.json``, ``log.csv`` (a row an epoch),
            ``checkpoint.npz``, ``model.keras``, ``scores.json``, ``curves.png``,
            ``confusion.png``, ``circumplex.png``, ``reliability.png`` and ``answered.png``.
        resume: Go on with the run in `out`, whose recipe must be `recipe`.
        tensorboard: Also write logs for TensorBoard to ``out/tensorboard``.
        on_error: What to do about rows and pictures at fault, as in `datasets.ferplus.read`.
        console: Where to print progress.

    Returns:
        The trained Keras model, in float32 whatever it was trained in.

    Raises:
        FileExistsError: If `out` holds a run and `resume` is False.
        FileNotFoundError: If data, or with `resume` the checkpoint, are not there.
        ValueError: If a row or picture is at fault, or `out` was trained by another recipe.
        ImportError: If `tensorboard` is asked for and not installed.
    """
    console = console or Console()
    out = Path(out)
    _check_folder(out, recipe, resume)
    if tensorboard and importlib.util.find_spec("tensorboard") is None:
        raise ImportError("--tensorboard needs the package tensorboard: pip install tensorboard")

    keras.utils.set_random_seed(recipe.seed)
    with_points = recipe.valence_arousal_weight > 0
    with console.status("reading FER+"):
        kept = ferplus.labelled(
            data,
            "train",
            recipe.labels,
            drop_duplicates="valid" if recipe.drop_duplicates else None,
            on_error=on_error,
        )
        valid = ferplus.load(
            data,
            "valid",
            "majority",
            valence_arousal=with_points,
            batch_size=256,
            cache="memory",
            on_error=on_error,
        )
    steps = -(-len(kept.data) // recipe.batch_size)
    console.print(f"{len(kept.data)} train images, {steps} steps an epoch", highlight=False)

    model = _compiled_model(recipe, steps)
    # Not before all this: a run that can't begin leaves no folder behind.
    out.mkdir(parents=True, exist_ok=True)
    recipe.save(out / "recipe.json")
    done = restore(model, out / "checkpoint.npz") if resume else 0
    batches = batches_of(
        kept.data,
        kept.emotion,
        kept.valence_arousal if with_points else None,
        draw_labels=recipe.labels == "drawn",
        batch_size=recipe.batch_size,
        shuffle=True,
        seed=recipe.seed,
        cache="memory",
        augment=face_pipeline(recipe.augmentation, mixup=recipe.mixup),
        initial_epoch=done,
        repeat=True,
    )
    callbacks: list[Any] = [
        ProgressBar(recipe.epochs, steps, done, console),
        EpochLog(out / "log.csv", done),
        # After the log: a checkpoint vouches for the rows before it.
        Checkpoint(out / "checkpoint.npz"),
    ]
    if tensorboard:
        callbacks.append(keras.callbacks.TensorBoard(log_dir=out / "tensorboard"))
    if done < recipe.epochs:
        model.fit(
            batches,
            steps_per_epoch=steps,
            initial_epoch=done,
            epochs=recipe.epochs,
            validation_data=valid,
            shuffle=False,  # the epochs come in their own order
            callbacks=callbacks,
            verbose=0,
        )
    trained = _in_float32(model)
    with written_whole(out / "model.keras", overwrite=True) as beside:
        trained.save(beside)
    evaluation.report(trained, data, out, log=out / "log.csv", on_error=on_error, console=console)
    return trained


def _check_folder(out: Path, recipe: Recipe, resume: bool) -> None:
    written = out / "recipe.json"
    if resume:
        before = Recipe.load(written)
        differing = [
            f"{field.name}={getattr(recipe, field.name)!r}, was {getattr(before, field.name)!r}"
            for field in dataclasses.fields(Recipe)
            if getattr(recipe, field.name) != getattr(before, field.name)
        ]
        if differing:
            raise ValueError(f"{written}: the run has another recipe: {'; '.join(differing)}")
        return
    if written.exists():
        raise FileExistsError(
            f"{out}: holds a run already; resume=True (--resume) continues it, another folder "
            "starts anew"
        )


def _compiled_model(recipe: Recipe, steps: int) -> Any:
    """The model with its optimizer built, so that a checkpoint fits at once."""
    model = getattr(models, recipe.model)(
        weights=None,
        width=recipe.width,
        dropout=recipe.dropout,
        stochastic_depth=recipe.stochastic_depth,
        valence_arousal=recipe.valence_arousal_weight > 0,
        dtype=recipe.dtype,
    )
    if recipe.start_from:
        _take_weights(model, recipe.start_from)
    optimizer = keras.optimizers.SGD(
        OneCycle(recipe.learning_rate, recipe.epochs * steps, recipe.warmup),
        momentum=recipe.momentum,
        nesterov=True,
        weight_decay=recipe.weight_decay or None,
    )
    optimizer.exclude_from_weight_decay([v for v in model.trainable_variables if v.ndim == 1])
    optimizer.build(model.trainable_variables)
    losses: dict[str, Any] = {"emotion": "categorical_crossentropy"}
    weights = {"emotion": 1.0}
    metrics: dict[str, Any] = {"emotion": [keras.metrics.CategoricalAccuracy(name="accuracy")]}
    if recipe.valence_arousal_weight > 0:
        losses["valence_arousal"] = "mean_squared_error"
        metrics["valence_arousal"] = [ConcordanceCorrelation(name="concordance")]
        weights["valence_arousal"] = recipe.valence_arousal_weight
    model.compile(
        optimizer,
        loss=losses,
        loss_weights=weights,
        metrics=metrics,
        # Compiling convolutions with XLA makes them slower on processors.
        jit_compile=False,
    )
    return model


def _take_weights(model: Any, source: str) -> None:
    """Fill a model with another's weights.

    Raises:
        FileNotFoundError, ValueError: If there is no such model, or it is of another shape.
    """
    weights = models.load(source).get_weights()
    if [w.shape for w in weights] != [w.shape for w in model.get_weights()]:
        raise ValueError(
            "Invalid value for argument `start_from`. Expected a model of the recipe's "
            f"architecture, width and outputs. Received: start_from={source!r}"
        )
    model.set_weights(weights)


def _in_float32(model: Any) -> Any:
    """The model as it is used: what was trained in mixed precision need not run in it."""
    config = model.get_config() | {"dtype": "float32"}
    exact = type(model).from_config(config)
    exact.set_weights(model.get_weights())
    return exact
