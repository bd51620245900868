"""A folder of results that is there whole or not at all."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

__all__ = ["MARK", "check_folder", "whole_folder"]

#: The file by which a folder is known to be a demo's, and may be replaced by the next one.
MARK = "demo.json"


def check_folder(path: str | Path) -> Path:
    """The path, after it was seen that a demo may put its folder there.

    Raises:
        FileExistsError: If a file stands there, a folder that is neither empty nor a demo's, or
            the working directory or one above it.
    """
    path = Path(path)
    if path.resolve() in (Path.cwd(), *Path.cwd().parents):
        # A whole folder takes its place in one rename, which no program can do to its own.
        raise FileExistsError(f"{path}: the folder that this runs in, or one above; name another")
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        raise FileExistsError(f"{path}: not a folder; name another one with --out")
    if path.is_dir() and any(path.iterdir()) and not (path / MARK).is_file():
        raise FileExistsError(
            f"{path}: holds files that no demo wrote (there is no {MARK}); "
            "name another folder with --out"
        )
    return path


@contextlib.contextmanager
def whole_folder(path: str | Path) -> Iterator[Path]:
    """A new folder beside `path` to write to, renamed to `path` when the block ends well.

    If the block raises, nothing is left behind, and what stood at `path` still stands. An
    earlier demo's folder there is replaced, with all that is in it.

    Raises:
        OSError: As `check_folder`, before the block runs and again before the rename.
    """
    path = check_folder(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # In the same folder: a rename within one file system cannot leave half of it.
    scratch = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    made, earlier = scratch / "made", scratch / "earlier"
    try:
        made.mkdir()
        yield made
        check_folder(path)
        if path.exists():
            path.rename(earlier)
        try:
            made.rename(path)
        except OSError:
            if earlier.exists():
                earlier.rename(path)
            raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
