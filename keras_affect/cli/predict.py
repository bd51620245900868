"""``keras-affect predict``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["HELP", "predict"]


HELP = (
    "Find the faces in photos and read emotion, valence and arousal from each.\n\n"
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
        typer.Option(
            help="A .tflite of `keras-affect export`, or a name that ships.",
            show_default="ferplus",
        ),
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
