"""LiteRT's start-up note, kept off the terminal."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

__all__ = ["standard_error", "without_native_notes"]

_NOTE = b"INFO: "


@contextlib.contextmanager
def without_native_notes() -> Iterator[None]:
    """Drop what native code notes on standard error in the block; warnings and errors still show.

    LiteRT writes "INFO: Created TensorFlow Lite XNNPACK delegate for CPU." past Python, and has
    no switch for it. The process's standard error is redirected meanwhile: for a command line,
    which owns its process, not for a library's callers.
    """
    kept = None
    if sys.stderr is not None:  # closed before Python began, file 2 may be any other
        sys.stderr.flush()
        with contextlib.suppress(OSError):
            kept = os.dup(2)
    if kept is None:  # standard error is closed: there is nothing to keep clean
        yield
        return
    with tempfile.TemporaryFile() as notes:
        os.dup2(notes.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
            notes.seek(0)
            for line in notes:
                if not line.startswith(_NOTE):
                    os.write(2, line)


def standard_error() -> TextIO:
    """A way of its own to standard error, which shows in such a block too; it is to be closed.

    Where standard error is closed it leads nowhere.
    """
    if sys.stderr is not None:
        with contextlib.suppress(OSError):
            return os.fdopen(os.dup(2), "w")
    return Path(os.devnull).open("w", encoding="utf-8")
