"""LiteRT's start-up note, kept off the terminal."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator

__all__ = ["without_native_notes"]

_NOTE = b"INFO: "


@contextlib.contextmanager
def without_native_notes() -> Iterator[None]:
    """Drop what native code notes on standard error in the block; warnings and errors still show.

    LiteRT writes "INFO: Created TensorFlow Lite XNNPACK delegate for CPU." past Python, and has
    no switch for it. The process's standard error is redirected meanwhile: for a command line,
    which owns its process, not for a library's callers.
    """
    sys.stderr.flush()
    try:
        kept = os.dup(2)
    except OSError:  # standard error is closed: there is nothing to keep clean
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
