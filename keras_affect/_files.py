"""Files written whole: beside their place first, then renamed over it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

__all__ = ["check_destination", "written_whole"]


def check_destination(path: str | Path, overwrite: bool) -> Path:
    """The path, after it was seen that a file can be put there.

    Long work asks before it begins, not when it has something to write.

    Raises:
        FileExistsError: If a file stands there and `overwrite` is False.
        FileNotFoundError: If its folder doesn't exist.
        IsADirectoryError: If a folder stands there.
    """
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"{path}: a folder; expected the name of a file to write")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path}: the folder {path.parent} does not exist")
    if path.exists() and not overwrite:
        raise FileExistsError(
            f"{path}: exists already; overwrite=True (--overwrite on the command line) replaces it"
        )
    return path


@contextlib.contextmanager
def written_whole(path: str | Path, overwrite: bool = False) -> Iterator[Path]:
    """A path beside `path` to write to, renamed to `path` when the block ends well.

    If the block raises, nothing is left behind, and what stood at `path` still stands.

    Args:
        path: Where the file shall be.
        overwrite: Whether a file that stands there may be replaced.

    Raises:
        OSError: As `check_destination`, before the block runs and again before the rename.
    """
    path = check_destination(path, overwrite)
    # In the same folder: a rename within one file system is atomic. The process's number keeps
    # two writers apart, and the suffix stays last for writers that look at it.
    beside = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        yield beside
        check_destination(path, overwrite)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
