"""Photographs in files, each read to a result that can be shown, or to the reason why not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keras_affect.runtime.interpreter import AffectInterpreter
from keras_affect.runtime.pictures import Picture, read_picture
from keras_affect.runtime.prediction import Prediction

__all__ = ["Photo", "annotated_paths", "read_photo"]

# What annotated pictures are written as.
_WRITTEN = (".png", ".jpg", ".jpeg", ".webp")


@dataclass(frozen=True)
class Photo:
    """What came of one file.

    Attributes:
        path: The file.
        picture: The decoded picture; None if there is none.
        predictions: One for each face.
        problem: Why there are no predictions, in one line that names the file; else None.
    """

    path: Path
    picture: Picture | None = field(repr=False)
    predictions: tuple[Prediction, ...]
    problem: str | None

    def as_dict(self) -> dict[str, Any]:
        """All of it but the pixels, ready for `json.dumps`."""
        return {
            "photo": str(self.path),
            "width": self.picture.size[0] if self.picture else None,
            "height": self.picture.size[1] if self.picture else None,
            "faces": [prediction.as_dict() for prediction in self.predictions],
            "problem": self.problem,
        }


def read_photo(
    interpreter: AffectInterpreter, path: Path, find_faces: bool, uncertain_below: float = 0.0
) -> Photo:
    """Read one file; what is wrong with it becomes the result's `problem`.

    Args:
        interpreter: What reads the faces.
        path: The file.
        find_faces: Whether to look for faces, or to take the whole picture as one.
        uncertain_below: As in `AffectInterpreter.predict`.
    """
    try:
        picture = read_picture(path)
    except (ValueError, OSError) as error:
        return Photo(path, None, (), " ".join(str(error).split()))
    if not find_faces:
        whole = interpreter.predict(picture, uncertain_below=uncertain_below)
        return Photo(path, picture, (whole,), None)
    predictions = tuple(interpreter.predict_faces(picture, uncertain_below=uncertain_below))
    problem = (
        None
        if predictions
        else f"{path}: no face found; with --no-faces the whole picture is taken as one"
    )
    return Photo(path, picture, predictions, problem)


def annotated_paths(photos: Sequence[Path], out: Path) -> list[Path]:
    """Where the annotated pictures go.

    Args:
        photos: The files that are read.
        out: A picture file for one photo; a folder, which may exist, for one or several.

    Returns:
        A path for each photo: `out`, or the photo's name, as a PNG, in that folder.

    Raises:
        ValueError: If two photos would go to one file, one would go onto a photo that is read,
            or `out` has a suffix of no picture.
        NotADirectoryError: If `out` is a file and there are several photos.
    """
    if len(photos) == 1 and not out.is_dir():
        if out.suffix.lower() not in _WRITTEN:
            raise ValueError(f"{out}: expected a name ending in {', '.join(_WRITTEN)}")
        targets = [out]
    elif out.exists() and not out.is_dir():
        raise NotADirectoryError(f"{out}: a file; expected a folder for several photos")
    else:
        targets = [out / f"{photo.stem}.png" for photo in photos]
    sources = {photo.resolve() for photo in photos}
    taken: dict[Path, Path] = {}
    for photo, target in zip(photos, targets, strict=True):
        if target.resolve() in sources:
            raise ValueError(f"{target}: one of the photos; --annotate needs another place")
        if target in taken:
            raise ValueError(f"{photo} and {taken[target]} would both be annotated as {target}")
        taken[target] = photo
    return targets
