"""The command line, ``keras-affect``. Each command reads its arguments and calls the library.

Each has a file. Nothing heavy is imported before the command that needs it runs: ``keras-affect
predict`` loads neither Keras nor a backend.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from keras_affect import __version__
from keras_affect.cli import (
    demo,
    download,
    evaluate,
    export,
    inspect,
    models,
    predict,
    prepare,
    train,
)

__all__ = ["app", "main"]

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


# In the order of the list that --help prints.
app.command()(train.train)
app.command()(export.export)
app.command()(models.models)
app.command()(demo.demo)
app.command(help=predict.HELP)(predict.predict)
app.command()(evaluate.evaluate)
app.command()(download.download)
app.command()(inspect.inspect)
app.command()(prepare.prepare)


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
