"""The command line, ``keras-affect``. Each command reads its arguments and calls the library.

Nothing heavy is imported before the command that needs it runs: ``keras-affect predict`` loads
neither Keras nor a backend.
"""

from __future__ import annotations

import os
import sys

import typer

app = typer.Typer(
    name="keras-affect",
    help="Read the expression on a face: train, score, export and run emotion models.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


def main() -> None:
    """Run the command line; bad input ends in one line on standard error and exit code 2."""
    # TensorFlow's start-up notes would stand above every table; errors still show.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        app()
    except (ValueError, OSError, ImportError) as error:
        if os.environ.get("KERAS_AFFECT_TRACEBACK"):
            raise
        print(f"keras-affect: {' '.join(str(error).split())}", file=sys.stderr)
        raise SystemExit(2) from None
