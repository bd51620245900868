"""``keras-affect train``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from keras_affect.cli._tensorflow import need_tensorflow

__all__ = ["train"]


def train(
    data: Annotated[
        Path,
        typer.Option(
            help="FER+: its folders, or Kaggle's csv and FER+'s. With --from: a folder with a "
            "folder of pictures for each class."
        ),
    ],
    out: Annotated[Path, typer.Option(help="The run's folder, as runs/first.")],
    from_: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="Fine-tune this on pictures of your own: a shipped name (ferplus), a .keras "
            "file or a run.",
        ),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            help="A recipe that ships (ferplus_lite, ferplus_tiny, ferplus_teacher, "
            "ferplus_distilled), or a .toml or .json file; options override it."
        ),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="A class of keras_affect.models: see `keras-affect models`.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the train split.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images a step.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Peak of the one cycle.")] = None,
    warmup: Annotated[
        float | None, typer.Option(help="Share of the steps that rise to the peak, in (0, 1).")
    ] = None,
    width: Annotated[float | None, typer.Option(help="Factor on the channels.")] = None,
    stem_convolutions: Annotated[
        int | None, typer.Option(help="LightweightCNN's convolutions before its first pooling.")
    ] = None,
    mirrored: Annotated[
        bool | None,
        typer.Option(
            "--mirrored/--no-mirrored",
            help="Whether the network sees each picture mirrored too, in twice the time.",
        ),
    ] = None,
    dropout: Annotated[float | None, typer.Option(help="Rate before the heads.")] = None,
    stochastic_depth: Annotated[
        float | None, typer.Option(help="Rate of the last residual branch.")
    ] = None,
    labels: Annotated[
        str | None, typer.Option(help="distribution, majority, drawn or outlier_free.")
    ] = None,
    augmentation: Annotated[
        str | None, typer.Option(help="none, light, moderate, strong or camera.")
    ] = None,
    degradation_probability: Annotated[
        float | None, typer.Option(help="Share of pictures with a camera's losses, in [0, 1].")
    ] = None,
    mixup: Annotated[float | None, typer.Option(help="Mixup's alpha; 0 mixes nothing.")] = None,
    dtype: Annotated[str | None, typer.Option(help="float32 or mixed_bfloat16.")] = None,
    seed: Annotated[int | None, typer.Option(help="What all that is random starts from.")] = None,
    start_from: Annotated[
        str | None,
        typer.Option(help="A run, .keras file or shipped name to start from, as large or smaller."),
    ] = None,
    start_share: Annotated[
        float | None, typer.Option(help="Share of its weights in those of the end, in [0, 1).")
    ] = None,
    teacher: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RUN",
            help="A run, .keras file or shipped name to learn from too; repeatable.",
        ),
    ] = None,
    teachers_see: Annotated[
        str | None, typer.Option(help="batches, or originals: each picture once.")
    ] = None,
    temperature: Annotated[
        float | None, typer.Option(help="Of the teachers' probabilities, 1 or more.")
    ] = None,
    teacher_share: Annotated[
        float | None, typer.Option(help="Share of the loss that is against the teachers.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the interrupted run in --out.")
    ] = False,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Also write logs for TensorBoard.")
    ] = False,
    deterministic: Annotated[
        bool, typer.Option("--deterministic", help="The same weights to the bit, but slower.")
    ] = False,
    on_error: Annotated[
        str, typer.Option(help="raise or skip: what to do about bad rows and pictures.")
    ] = "raise",
) -> None:
    """Train a model on FER+ and score it; or fine-tune a model on pictures of your own.

    Example: keras-affect train --recipe ferplus_lite --data ferplus --out runs/first

    Example: keras-affect train --from ferplus --data my_faces --out runs/mine
    """
    # TensorFlow leaves oneDNN's kernels off on x86 processors without instructions for neural
    # networks, where they are quicker too: see ARCHITECTURE.md. Read when TensorFlow loads.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    need_tensorflow()
    from dataclasses import replace

    import tensorflow as tf

    from keras_affect.training import Recipe, train

    if from_ is not None:
        _fine_tune(
            from_,
            data,
            out,
            refused={
                "--recipe": recipe,
                "--model": model,
                "--stochastic-depth": stochastic_depth,
                "--warmup": warmup,
                "--width": width,
                "--stem-convolutions": stem_convolutions,
                "--mirrored": mirrored,
                "--labels": labels,
                "--degradation-probability": degradation_probability,
                "--mixup": mixup,
                "--dtype": dtype,
                "--start-from": start_from,
                "--start-share": start_share,
                "--teacher": teacher,
                "--teachers-see": teachers_see,
                "--temperature": temperature,
                "--teacher-share": teacher_share,
                "--resume": resume or None,
                "--tensorboard": tensorboard or None,
                "--deterministic": deterministic or None,
                "--on-error": None if on_error == "raise" else on_error,
            },
            given={
                "epochs": epochs,
                "batch_size": batch_size,
                "learning_rate": learning_rate,
                "dropout": dropout,
                "augmentation": augmentation,
                "seed": seed,
            },
        )
        return
    source = out / "recipe.json" if resume and recipe is None else recipe
    start = Recipe() if source is None else Recipe.load(source)
    given: dict[str, Any] = {
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "warmup": warmup,
        "model": model,
        "width": width,
        "stem_convolutions": stem_convolutions,
        "mirrored": mirrored,
        "dropout": dropout,
        "stochastic_depth": stochastic_depth,
        "labels": labels,
        "augmentation": augmentation,
        "degradation_probability": degradation_probability,
        "mixup": mixup,
        "dtype": dtype,
        "seed": seed,
        "start_from": start_from,
        "start_share": start_share,
        "teachers": teacher,
        "teachers_see": teachers_see,
        "temperature": temperature,
        "teacher_share": teacher_share,
    }
    if deterministic:
        tf.config.experimental.enable_op_determinism()
    train(
        replace(start, **{name: value for name, value in given.items() if value is not None}),
        data,
        out,
        resume=resume,
        tensorboard=tensorboard,
        on_error=on_error,  # type: ignore[arg-type]
    )


def _fine_tune(
    source: str, data: Path, out: Path, refused: dict[str, Any], given: dict[str, Any]
) -> None:
    from keras_affect.training.own_pictures import fine_tune_on_folder

    wrong = [name for name, value in refused.items() if value is not None]
    if wrong:
        raise ValueError(f"--from goes with no {', '.join(wrong)}: those are of a training on FER+")
    fine_tune_on_folder(
        source, data, out, **{name: value for name, value in given.items() if value is not None}
    )
    print(out)
