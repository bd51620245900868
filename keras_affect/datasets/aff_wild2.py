"""Aff-Wild2: videos of faces, annotated a frame for valence and arousal, and for expression.

Its annotations are a text file a video, ``.../VA_Estimation_Challenge/Train_Set/NAME.txt``, with a
header and a line for each frame; its pictures are faces cut and aligned,
``cropped_aligned/NAME/00001.jpg``, the number being the frame's line behind the header. Frames in
which no face was found have a line and no picture. It is for research alone; ask its authors for
it.

Reference: Kollias and Zafeiriou 2019, "Expression, Affect, Action Unit Recognition: Aff-Wild2,
Multi-Task Learning and ArcFace", BMVC (arXiv:1910.04855).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from keras_affect import emotions
from keras_affect.datasets.clips import Clip

__all__ = ["EXPRESSIONS", "read"]

#: The codes of its expressions: names in `emotions.NAMES`, None for "Other".
EXPRESSIONS: tuple[str | None, ...] = (
    "neutral",
    "anger",
    "disgust",
    "fear",
    "happiness",
    "sadness",
    "surprise",
    None,
)

_HEADERS = {
    "valence,arousal": "valence_arousal",
    "neutral,anger,disgust,fear,happiness,sadness,surprise,other": "expression",
    # As the first challenges had it.
    "neutral,anger,disgust,fear,happiness,sadness,surprise": "expression",
}

#: What stands for a frame without a valence or an arousal.
_NO_RATING = -5.0
_NO_EXPRESSION = -1

Labels = dict[str, tuple[Path, npt.NDArray[np.float32]]]


def read(annotations: str | Path | Iterable[str | Path], pictures: str | Path) -> list[Clip]:
    """The videos of one or several folders of annotations, in the order of their names.

    A folder's own header says what it holds. Where folders of both kinds have a video of the
    same name, its frames get both labels; otherwise the other kind is missing. Frames without a
    picture are left out, and so are those that no kind labels. Pictures are not opened yet.

    Args:
        annotations: A folder of text files, as ``VA_Estimation_Challenge/Train_Set``, or several.
        pictures: The folder ``cropped_aligned``.

    Returns:
        A clip for each video that has a frame left.

    Raises:
        NotADirectoryError: If a folder is not there.
        ValueError: If a folder holds no text files, a line is not what the header says, or no
            frame is left; names file and line.

    Example:
        >>> folder = "annotations/VA_Estimation_Challenge/Train_Set"
        >>> clips = keras_affect.datasets.aff_wild2.read(folder, "cropped_aligned")
    """
    given = [annotations] if isinstance(annotations, str | Path) else list(annotations)
    folders = [Path(folder) for folder in given]
    pictures = Path(pictures)
    for folder in (*folders, pictures):
        if not folder.is_dir():
            raise NotADirectoryError(f"{folder}: no such folder")
    videos: dict[str, Labels] = {}
    for folder in folders:
        files = sorted(folder.glob("*.txt"))
        if not files:
            raise ValueError(f"{folder}: holds no annotations, as NAME.txt")
        for file in files:
            kind, labels = _read_file(file)
            of_video = videos.setdefault(file.stem, {})
            if kind in of_video:
                raise ValueError(
                    f"{file}: {of_video[kind][0]} annotates the same video in the same way"
                )
            of_video[kind] = file, labels
    clips = [_clip(name, videos[name], pictures / name) for name in sorted(videos)]
    left = [clip for clip in clips if len(clip)]
    if not left:
        raise ValueError(
            f"{pictures}: holds no picture of the {len(videos)} videos that "
            f"{', '.join(map(str, folders))} annotates, as {next(iter(videos))}/00001.jpg"
        )
    return left


def _clip(name: str, labels: Labels, folder: Path) -> Clip:
    length = max(len(rows) for _, rows in labels.values())
    points = np.full((length, 2), np.nan, np.float32)
    emotion = np.zeros((length, len(emotions.NAMES)), np.float32)
    for kind, (_, rows) in labels.items():
        (points if kind == "valence_arousal" else emotion)[: len(rows)] = rows
    files = {file.stem: str(file) for file in folder.glob("*.jpg")} if folder.is_dir() else {}
    kept = [
        frame
        for frame in range(length)
        if f"{frame + 1:05}" in files and (np.isfinite(points[frame]).any() or emotion[frame].any())
    ]
    return Clip(
        name=name,
        source=" and ".join(str(file) for file, _ in labels.values()),
        frames=tuple(files[f"{frame + 1:05}"] for frame in kept),
        valence_arousal=points[kept],
        emotion=emotion[kept],
        boxes=(None,) * len(kept),
    )


def _read_file(file: Path) -> tuple[str, npt.NDArray[np.float32]]:
    """What a file annotates, and a row for each frame."""
    try:
        header, *lines = file.read_text(encoding="utf-8-sig").splitlines() or [""]
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{file}: can't be read as text ({error})") from None
    kind = _HEADERS.get("".join(header.lower().split()))
    if kind is None:
        raise ValueError(
            f"{file}, line 1: expected a header as 'valence,arousal' or 'Neutral,Anger,...'; "
            f"found {header[:80]!r}"
        )
    while lines and not lines[-1].strip():
        lines.pop()
    parse = _point if kind == "valence_arousal" else _expression
    rows = [parse(line, f"{file}, line {number}") for number, line in enumerate(lines, 2)]
    width = 2 if kind == "valence_arousal" else len(emotions.NAMES)
    return kind, np.array(rows, np.float32).reshape(len(rows), width)


def _point(line: str, where: str) -> list[float]:
    try:
        values = [float(field) for field in line.split(",")]
        if len(values) != 2 or not all(-1 <= v <= 1 or v == _NO_RATING for v in values):
            raise ValueError
    except ValueError:
        raise ValueError(
            f"{where}: expected valence and arousal in [-1, 1], or -5 where there is none; "
            f"found {line[:80]!r}"
        ) from None
    return [np.nan if value == _NO_RATING else value for value in values]


def _expression(line: str, where: str) -> list[float]:
    try:
        code = int(line)
        if not _NO_EXPRESSION <= code < len(EXPRESSIONS):
            raise ValueError
    except ValueError:
        raise ValueError(
            f"{where}: expected an expression from 0 to {len(EXPRESSIONS) - 1}, or -1 where "
            f"there is none; found {line[:80]!r}"
        ) from None
    row = [0.0] * len(emotions.NAMES)
    name = None if code == _NO_EXPRESSION else EXPRESSIONS[code]
    if name is not None:
        row[emotions.index(name)] = 1.0
    return row
