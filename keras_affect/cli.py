"""The command line, ``keras-affect``. Each command reads its arguments and calls the library.

Nothing heavy is imported before the command that needs it runs: ``keras-affect predict`` loads
neither Keras nor a backend.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from keras_affect import __version__, cli_data

app = typer.Typer(
    name="keras-affect",
    help="Read the expression on a face: train, score, export and run emotion models.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


def _print_version(asked: bool) -> None:
    if asked:
        print(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", is_eager=True, callback=_print_version
        ),
    ] = False,
) -> None:
    pass


@app.command()
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
        Path | None, typer.Option(help="A recipe.json to start from; options override it.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="A class of keras_affect.models: see `keras-affect models`.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the train split.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images a step.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Peak of the one cycle.")] = None,
    width: Annotated[float | None, typer.Option(help="Factor on the channels.")] = None,
    dropout: Annotated[float | None, typer.Option(help="Rate before the heads.")] = None,
    stochastic_depth: Annotated[
        float | None, typer.Option(help="Rate of the last residual branch.")
    ] = None,
    labels: Annotated[
        str | None, typer.Option(help="distribution, majority, drawn or outlier_free.")
    ] = None,
    augmentation: Annotated[str | None, typer.Option(help="none, light, strong or camera.")] = None,
    mixup: Annotated[float | None, typer.Option(help="Mixup's alpha; 0 mixes nothing.")] = None,
    dtype: Annotated[str | None, typer.Option(help="float32 or mixed_bfloat16.")] = None,
    seed: Annotated[int | None, typer.Option(help="What all that is random starts from.")] = None,
    start_from: Annotated[
        str | None, typer.Option(help="A run, .keras file or shipped name to take weights from.")
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

    Example: keras-affect train --data ferplus --out runs/first --epochs 30

    Example: keras-affect train --from ferplus --data my_faces --out runs/mine
    """
    _need_tensorflow()
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
                "--width": width,
                "--labels": labels,
                "--mixup": mixup,
                "--dtype": dtype,
                "--start-from": start_from,
                "--resume": resume or None,
                "--tensorboard": tensorboard or None,
                "--deterministic": deterministic or None,
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
    start = Recipe.load(source) if source else Recipe()
    given: dict[str, Any] = {
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "model": model,
        "width": width,
        "dropout": dropout,
        "stochastic_depth": stochastic_depth,
        "labels": labels,
        "augmentation": augmentation,
        "mixup": mixup,
        "dtype": dtype,
        "seed": seed,
        "start_from": start_from,
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


def _need_tensorflow() -> None:
    """Load TensorFlow, or say which extra brings it.

    TensorFlow's start-up notes go to the process's standard error past every setting it has for
    them. They are held back, and shown only if it does not start.
    """
    if importlib.util.find_spec("tensorflow") is None:
        raise ImportError("this command needs TensorFlow: pip install 'keras-affect[tensorflow]'")
    sys.stderr.flush()
    shown = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            import tensorflow as tf

            tf.config.list_logical_devices()
        except BaseException:
            held.seek(0)
            os.write(shown, held.read())
            raise
        finally:
            os.dup2(shown, 2)
            os.close(shown)


@app.command()
def export(
    model: Annotated[
        str, typer.Argument(help="A run's folder, a .keras file, or a name that ships: ferplus.")
    ],
    out: Annotated[Path, typer.Argument(help="The file to write, ending in .tflite.")],
    quantization: Annotated[
        str,
        typer.Option(help="int8, float32, float16, dynamic_range, weight_only_int8 or int4."),
    ] = "int8",
    data: Annotated[
        Path | None,
        typer.Option(help="FER+: int8 is calibrated on train, and both models scored on valid."),
    ] = None,
    calibration: Annotated[
        Path | None, typer.Option(help="A folder of face pictures to calibrate int8 on instead.")
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Write the report here, as JSON.")] = None,
    input: Annotated[  # noqa: A002 - the option's name
        str | None, typer.Option(help="gray or rgb: what the file takes; else as the model.")
    ] = None,
    resize_from: Annotated[
        str | None,
        typer.Option(metavar="HEIGHTxWIDTH", help="Pictures of this size, resized in the file."),
    ] = None,
    keep_float: Annotated[
        list[str] | None, typer.Option(metavar="LAYER", help="Do not quantize it; repeatable.")
    ] = None,
    layer_errors: Annotated[
        bool, typer.Option("--layer-errors", help="Measure which layers int8 hurts most.")
    ] = False,
    mediapipe: Annotated[
        bool, typer.Option("--mediapipe", help="For MediaPipe Tasks' ImageClassifier.")
    ] = False,
    frames: Annotated[
        int | None,
        typer.Option(help="Of a model of clips: clips of so many frames, else one by one."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files that exist.")
    ] = False,
) -> None:
    """Write a model as a .tflite for phones, browsers and boards, and measure what was written.

    A TemporalAffect becomes a file that takes one frame after another, or whole clips; --data
    calibrates it, but has no clips to score it on.

    Example: keras-affect export runs/first affect.tflite --data ferplus
    """
    from keras_affect._files import check_destination
    from keras_affect.export.quantization import QuantizationConfig

    config = QuantizationConfig.from_name(quantization)
    size = None
    if resize_from is not None:
        height, cross, width = resize_from.lower().partition("x")
        if not (height.isdecimal() and cross and width.isdecimal()):
            raise ValueError(
                "Invalid value for option --resize-from. Expected HEIGHTxWIDTH, as 224x224. "
                f"Received: {resize_from!r}"
            )
        size = int(height), int(width)
    for destination in (out, report):
        if destination is not None:
            check_destination(destination, overwrite)
    if config.needs_calibration and data is None and calibration is None:
        raise ValueError(f"{config.name} needs pictures: --data or --calibration")
    _need_tensorflow()
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.table import Table

    from keras_affect import models
    from keras_affect.export import calibration as pictures
    from keras_affect.export import to_litert, to_litert_clip, to_litert_streaming
    from keras_affect.runtime.native_notes import without_native_notes

    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with (
        # The bar's own way to the terminal, past the notes that are held back.
        os.fdopen(os.dup(2), "w") as terminal,
        without_native_notes(),
        Progress(
            *columns,
            console=Console(file=terminal),
            transient=True,
            disable=not terminal.isatty(),
        ) as bar,
    ):
        task = bar.add_task("loading the model", total=None)
        loaded = models.load(model)
        is_of_clips = isinstance(loaded, models.TemporalAffect)
        if frames is not None and not is_of_clips:
            raise ValueError(f"--frames is for a model of clips; {model} is of single pictures")
        if is_of_clips and (input or resize_from or keep_float or layer_errors or mediapipe):
            raise ValueError(
                f"{model} is a model of clips: it goes without --input, --resize-from, "
                "--keep-float, --layer-errors and --mediapipe"
            )
        images = labelled = None
        if calibration is not None:
            bar.update(task, description="reading pictures")
            images = pictures.from_folder(calibration, loaded.input_shape[-3:])
        if data is not None:
            from keras_affect.datasets import ferplus

            bar.update(task, description="reading FER+")
            if images is None and config.needs_calibration:
                images = pictures.from_ferplus(data)
            if not is_of_clips:
                valid = ferplus.read(data, "valid")
                labelled = (valid.images, valid.votes)
        common: dict[str, Any] = {
            "quantization": config,
            "calibration": images,
            "overwrite": overwrite,
            "progress": lambda what, done, of: bar.update(
                task, description=what, completed=done, total=of
            ),
        }
        if is_of_clips:
            written = (
                to_litert_streaming(loaded, out, **common)
                if frames is None
                else to_litert_clip(loaded, out, frames, **common)
            )
        else:
            written = to_litert(
                loaded,
                out,
                labelled=labelled,
                input=input,  # type: ignore[arg-type]  # checked there
                resize_from=size,
                keep_float=keep_float or (),
                layer_errors=layer_errors,
                for_mediapipe=mediapipe,
                **common,
            )
    if report is not None:
        written.save(report, overwrite=overwrite)
    table = Table.grid(padding=(0, 2))
    for heading, text in written.rows():
        table.add_row(heading, text)
    Console().print(table, markup=False, highlight=False)


@app.command()
def models(
    pattern: Annotated[str, typer.Argument(help="Names to show, as '*lite*' or 'vgg*'.")] = "*",
    json_: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
) -> None:
    """List the architectures: what each costs, and what it scores where weights ship.

    Sizes are those at 48x48x1 with eight emotions; the time is one picture's on one thread.
    TemporalAffect is of clips: with its default encoder, and by the frame.

    Example: keras-affect models "*lite*"
    """
    import json

    from keras_affect.weights import architectures

    rows = architectures.matching(pattern)
    if not rows:
        names = ", ".join(row.name for row in architectures.architectures())
        raise ValueError(
            f"Invalid value for argument `pattern`. Expected one that fits any of {names}. "
            f"Received: pattern={pattern!r}"
        )
    if json_:
        print(json.dumps([row.as_dict() for row in rows], indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table()
    # Broken so that the table fits a terminal of 80 columns.
    for heading in (
        "model",
        "parameters",
        "multiply-\nadds",
        "int8\nbytes",
        "int8\ntime",
        "weights,\nFER+ valid",
    ):
        table.add_column(heading, justify="left" if heading == "model" else "right", no_wrap=True)
    for row in rows:
        milliseconds = row.int8_milliseconds
        table.add_row(
            row.name,
            f"{row.parameters:,}",
            f"{row.multiply_adds / 1e6:.1f} M",
            f"{row.int8_bytes:,}",
            "-" if milliseconds is None else f"{milliseconds:.2f} ms",
            "\n".join(f"{entry.name}\n{entry.scores['accuracy']:.2%}" for entry in row.shipped)
            or "none ship",
        )
    console = Console()
    console.print(table)
    for processor in sorted({row.measured_on for row in rows if row.measured_on}):
        console.print(f"Times on {processor}.", highlight=False, markup=False)
    if any(row.int8_milliseconds is None for row in rows):
        console.print("-: not measured.", highlight=False, markup=False)


@app.command()
def demo(
    data: Annotated[
        Path | None, typer.Option(help="FER+, to train on real faces instead of drawings.")
    ] = None,
    out: Annotated[
        Path, typer.Option(help="The folder to write; an earlier demo's is replaced.")
    ] = Path("demo"),
    web: Annotated[
        bool,
        typer.Option("--web", help="Instead, serve the page that reads your camera in a browser."),
    ] = False,
    port: Annotated[int, typer.Option(help="For --web: the port on 127.0.0.1; 0 for any.")] = 8000,
) -> None:
    """Train on drawn faces, export to int8, run it without TensorFlow, read a photograph.

    Takes under five minutes on two cores and ends with a report page. With --web nothing is
    trained: a page on 127.0.0.1 reads faces with the model that ships, inside the browser.

    Example: keras-affect demo --out demo
    """
    if web:
        if data is not None or out != Path("demo"):
            raise ValueError("--web trains and writes nothing: it goes without --data and --out")
        _serve_page(port)
        return
    from keras_affect.demo.folder import check_folder

    check_folder(out)
    from rich.console import Console

    from keras_affect.runtime.native_notes import without_native_notes

    # Being stopped from outside ends as Ctrl-C does: the half-made folder is taken away.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    console = Console()
    with console.status("loading TensorFlow"):
        _need_tensorflow()
        from keras_affect.demo.run import run
    with without_native_notes():
        made = run(out, data, console=console)
    console.print("\n".join(made.lines()), soft_wrap=True, highlight=False)


def _serve_page(port: int) -> None:
    from keras_affect.demo.web import serve

    # Being stopped is how it ends, from outside as by Ctrl-C.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    serve(
        port,
        ready=lambda address: print(f"{address}  open it in a browser; Ctrl-C ends it", flush=True),
    )


@app.command(
    help="Find the faces in photos and read emotion, valence and arousal from each.\n\n"
    "Reads an expression, not a feeling: what a face shows is not what a person feels. In the "
    "EU, Article 5(1)(f) of the AI Act, Regulation (EU) 2024/1689, prohibits inferring emotions "
    "at work and in education, except for medical or safety reasons.\n\n"
    "A photo that can't be read, or shows no face, is reported; the others are read all the same, "
    "and the exit code is 2.\n\n"
    "Example: keras-affect predict photo.jpg --annotate annotated.png"
)
def predict(
    photos: Annotated[
        list[Path], typer.Argument(metavar="PHOTO...", help="Picture files.", show_default=False)
    ],
    model: Annotated[
        Path | None,
        typer.Option(help="A .tflite of `keras-affect export`.", show_default="the one that ships"),
    ] = None,
    annotate: Annotated[
        Path | None,
        typer.Option(
            metavar="OUT",
            help="Write the picture with boxes and labels here: a file for one photo, a folder "
            "for several.",
        ),
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
    faces: Annotated[
        bool | None,
        typer.Option(
            "--faces/--no-faces",
            help="Look for faces, or take each picture as one face.",
            show_default="--faces where OpenCV is installed",
        ),
    ] = None,
    class_names: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,...", help="The classes of a .tflite that doesn't name them, in order."
        ),
    ] = None,
    uncertain_below: Annotated[
        float,
        typer.Option(
            help='Say "uncertain" where no emotion is as probable as this, from 0 to 1.',
        ),
    ] = 0.0,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace annotated pictures that exist.")
    ] = False,
) -> None:
    """Read photos, print what their faces show, and say of which photos that failed."""
    import json
    import warnings

    from rich.console import Console
    from rich.progress import track

    from keras_affect._files import check_destination, written_whole
    from keras_affect.runtime import AffectInterpreter
    from keras_affect.runtime import annotate as annotated
    from keras_affect.runtime.faces import check_available
    from keras_affect.runtime.native_notes import without_native_notes
    from keras_affect.runtime.photos import annotated_paths, read_photo

    notes = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    targets = [] if annotate is None else annotated_paths(photos, annotate)
    folder = annotate if annotate is not None and targets != [annotate] else None
    if folder is None or folder.is_dir():
        for target in targets:
            check_destination(target, overwrite)
    with without_native_notes():
        interpreter = AffectInterpreter(
            model, class_names=None if class_names is None else class_names.split(",")
        )
    if faces is not False:
        try:
            check_available()
        except ImportError as error:
            if faces:
                raise
            notes.print(f"keras-affect: {error}. Each picture is taken as one face.")
        else:
            faces = True
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    read = []
    with warnings.catch_warnings():
        # Pillow's remarks on broken EXIF and on sizes; what matters of them is a problem below.
        warnings.filterwarnings("ignore", module="PIL")
        for place, path in enumerate(
            track(photos, "reading", console=notes, transient=True, disable=not notes.is_terminal)
        ):
            photo = read_photo(interpreter, path, bool(faces), uncertain_below)
            if targets and photo.picture is not None and photo.predictions:
                with written_whole(targets[place], overwrite) as file:
                    annotated(photo.picture, photo.predictions).save(file)
            read.append(photo)
    if json_:
        document = {
            "model": interpreter.name,
            "face_detection": "opencv" if faces else None,
            "photos": [photo.as_dict() for photo in read],
        }
        print(json.dumps(document, indent=2))
    else:
        for photo in read:
            if photo.predictions:
                _print_faces(photo)
    for photo in read:
        if photo.problem is not None:
            notes.print(f"keras-affect: {photo.problem}")
    if any(photo.problem is not None for photo in read):
        raise typer.Exit(2)


def _print_faces(photo: Any) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    # A file's name is bytes, and need not be text that can be printed.
    name = os.fsencode(photo.path).decode("utf-8", "replace")
    width, height = photo.picture.size
    console.print(Text(f"{name}, {width} x {height}"), soft_wrap=True)
    table = Table()
    for heading in ("face at x, y", "size", "emotion", "probability", "valence", "arousal"):
        table.add_column(heading, justify="left" if heading == "emotion" else "right")
    for prediction in photo.predictions:
        face = prediction.face
        place = ["whole picture", f"{width} x {height}"]
        if face is not None:
            place = [f"{face.box[0]}, {face.box[1]}", f"{face.width} x {face.height}"]
        measured = [prediction.valence, prediction.arousal]
        table.add_row(
            *place,
            Text(prediction.emotion),
            f"{prediction.probability:.1%}",
            *("" if value is None else f"{value:+.2f}" for value in measured),
        )
    console.print(table)


@app.command()
def evaluate(
    model: Annotated[
        str,
        typer.Argument(
            help="A run's folder, a .keras file, a .tflite, or a name that ships: ferplus."
        ),
    ],
    data: Annotated[Path, typer.Option(help="FER+: its folders, or Kaggle's csv and FER+'s.")],
    split: Annotated[str, typer.Option(help="valid, test or train.")] = "valid",
    json_: Annotated[
        Path | None, typer.Option("--json", metavar="OUT", help="Write the scores here.")
    ] = None,
    plots: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Write confusion.png and others into this folder."),
    ] = None,
    duplicates: Annotated[
        bool,
        typer.Option(
            help="Also score without images that stand pixel for pixel in train; reads train."
        ),
    ] = True,
    corrupt: Annotated[
        bool,
        typer.Option(
            "--corrupt", help="Also score under what a camera and a face detector do to a picture."
        ),
    ] = False,
    class_names: Annotated[
        str | None,
        typer.Option(metavar="A,B,...", help="The classes of a model that doesn't name them."),
    ] = None,
    on_error: Annotated[
        str, typer.Option(help="raise or skip: what to do about bad rows and pictures.")
    ] = "raise",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files that exist.")
    ] = False,
) -> None:
    """Score a model on FER+ by the official rule, with and without duplicates of train.

    A .tflite is scored without TensorFlow.

    Example: keras-affect evaluate runs/first --data ferplus --json scores.json --plots plots
    """
    from keras_affect._files import check_destination

    if json_ is not None:
        check_destination(json_, overwrite)
    if not model.endswith(".tflite"):
        _need_tensorflow()
    from rich.console import Console

    from keras_affect import evaluation
    from keras_affect.runtime.native_notes import without_native_notes

    # The bar's own way to the terminal, past the notes that are held back.
    with os.fdopen(os.dup(2), "w") as terminal, without_native_notes():
        scores = evaluation.evaluate(
            model,
            data,
            split,
            find_duplicates=duplicates,
            corrupted=corrupt,
            class_names=None if class_names is None else class_names.split(","),
            plots=plots,
            overwrite=overwrite,
            on_error=on_error,  # type: ignore[arg-type]
            console=Console(file=terminal) if terminal.isatty() else None,
        )
    if json_ is not None:
        evaluation.save_scores(scores, json_, overwrite)
    Console().print(evaluation.format_scores(scores))


app.command()(cli_data.download)
app.command()(cli_data.inspect)
app.command()(cli_data.prepare)


def main() -> None:
    """Run the command line; bad input ends in one line on standard error and exit code 2."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        code = app(standalone_mode=False)
    except (typer.Abort, KeyboardInterrupt):
        raise SystemExit(130) from None
    except Exception as error:
        # Typer carries a click of its own: what it raises for bad usage is known by its method.
        usage = getattr(error, "format_message", None)
        if usage is None and not isinstance(error, ValueError | OSError | ImportError):
            raise
        if os.environ.get("KERAS_AFFECT_TRACEBACK"):
            raise
        message = usage() if usage is not None else str(error)
        if message:  # without any argument the help was printed, and that says it all
            print(f"keras-affect: {' '.join(message.split())}", file=sys.stderr)
        raise SystemExit(2) from None
    raise SystemExit(code if isinstance(code, int) else 0)
