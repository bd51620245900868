"""A training run: FER+ in, a folder out, by `model.fit`."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import keras
from rich.console import Console

from keras_affect import evaluation
from keras_affect._files import written_whole
from keras_affect.augmentation import face_pipeline
from keras_affect.datasets import ferplus
from keras_affect.datasets.batches import batches_of
from keras_affect.training import processor, run_record
from keras_affect.training.checkpoint import Checkpoint, restore
from keras_affect.training.network import compiled, in_dtype, student_of, teacher_of
from keras_affect.training.progress import EpochLog, ProgressBar
from keras_affect.training.recipe import Recipe
from keras_affect.training.soft_labels import with_answers
from keras_affect.training.validation import Validation

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
        out: The run's folder. Afterwards it holds ``recipe.json``, ``run.json`` (when it ran, by
            which code, on how many pictures), ``log.csv`` (a row an epoch), ``checkpoint.npz``,
            ``model.keras``, ``scores.json``, ``curves.png``, ``confusion.png``,
            ``circumplex.png``, ``reliability.png`` and ``answered.png``.
        resume: Go on with the run in `out`, whose recipe must be `recipe`.
        tensorboard: Also write logs for TensorBoard to ``out/tensorboard``.
        on_error: What to do about rows and pictures at fault, as in `datasets.ferplus.read`.
        console: Where to print progress.

    Returns:
        The trained Keras model, in float32 whatever it was trained in.

    Raises:
        FileExistsError: If `out` holds a run and `resume` is False.
        FileNotFoundError: If data, a teacher, or with `resume` the run, are not there.
        ValueError: If a row or picture is at fault, a teacher does not fit, or `out` was trained
            by another recipe or other teachers, from another start or on other pictures.
        ImportError: If matplotlib, which the report's plots need, is not installed, or
            `tensorboard` is asked for and is not.
    """
    console = console or Console()
    out = Path(out)
    _check_folder(out, recipe, resume)
    # Before the work and not after it: the report's plots need matplotlib.
    importlib.import_module("keras_affect.visualize")
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
    is_on_processor = not keras.distribution.list_devices("gpu")
    if (
        recipe.dtype == "mixed_bfloat16"
        and is_on_processor
        and processor.computes_bfloat16() is False
    ):
        console.print("No bfloat16 in this processor: --dtype float32 is quicker here.")

    model = compiled(recipe, steps)
    student = student_of(model)
    start = student.get_weights() if recipe.start_share else []
    started_from = run_record.digest(student) if recipe.start_from else None
    is_taught = student is not model
    teacher = model.teacher if is_taught else None
    if recipe.teachers and not is_taught:
        teacher = teacher_of(recipe, student)
        with console.status("asking the teachers"):
            kept = with_answers(kept, teacher, recipe.teacher_share)
    # Not before all this: a run that can't begin leaves no folder behind.
    out.mkdir(parents=True, exist_ok=True)
    recipe.save(out / "recipe.json")
    done = 0
    if resume and (out / "checkpoint.npz").is_file():
        done = restore(model, out / "checkpoint.npz")
    elif resume:
        console.print(f"{out}: no epoch was done; from the start", highlight=False, markup=False)
    run_record.begin(
        out,
        images=len(kept.data),
        epochs_done=done,
        teachers=None if teacher is None else run_record.digest(teacher),
        start=started_from,
    )
    settings: dict[str, Any] = {"mixup": recipe.mixup}
    if recipe.degradation_probability is not None:
        settings["degradation_probability"] = recipe.degradation_probability
    batches = batches_of(
        kept.data,
        kept.emotion,
        kept.valence_arousal if with_points else None,
        draw_labels=recipe.labels == "drawn",
        batch_size=recipe.batch_size,
        shuffle=True,
        seed=recipe.seed,
        cache="memory",
        augment=face_pipeline(recipe.augmentation, **settings),
        initial_epoch=done,
        repeat=True,
    )
    bar = ProgressBar(recipe.epochs, steps, done, console)
    callbacks: list[Any] = [
        *([Validation(student, valid)] if is_taught else []),
        bar,
        EpochLog(out / "log.csv", done),
        # After the log: a checkpoint vouches for the rows before it.
        Checkpoint(out / "checkpoint.npz"),
    ]
    if tensorboard:
        callbacks.append(keras.callbacks.TensorBoard(log_dir=out / "tensorboard"))
    if done < recipe.epochs:
        with bar:
            model.fit(
                batches,
                steps_per_epoch=steps,
                initial_epoch=done,
                epochs=recipe.epochs,
                validation_data=None if is_taught else valid,
                shuffle=False,  # the epochs come in their own order
                callbacks=callbacks,
                verbose=0,
            )
    if start:
        # The checkpoint stays what was trained: resumed, the run ends here again.
        student.set_weights(_mean(start, student.get_weights(), recipe.start_share))
    trained = in_dtype(student, "float32")
    with written_whole(out / "model.keras", overwrite=True) as beside:
        trained.save(beside)
    run_record.end(out)
    evaluation.report(
        trained,
        data,
        out,
        corrupted=True,
        log=out / "log.csv",
        on_error=on_error,
        console=console,
    )
    return trained


def _mean(start: list[Any], end: list[Any], share: float) -> list[Any]:
    return [share * one + (1 - share) * other for one, other in zip(start, end, strict=True)]


def _check_folder(out: Path, recipe: Recipe, resume: bool) -> None:
    written = out / "recipe.json"
    if resume:
        before = Recipe.load(written)
        differing = [
            f"{name}={value!r}, was {getattr(before, name)!r}"
            for name, value in recipe.differences(before).items()
        ]
        if differing:
            raise ValueError(f"{written}: the run has another recipe: {'; '.join(differing)}")
        return
    if written.exists():
        raise FileExistsError(
            f"{out}: holds a run already; resume=True (--resume) continues it, another folder "
            "starts anew"
        )
