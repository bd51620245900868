"""``keras-affect demo``."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from keras_affect.cli._tensorflow import need_tensorflow

__all__ = ["demo"]

_PORT = 8000


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
    port: Annotated[int, typer.Option(help="For --web: the port on 127.0.0.1; 0 for any.")] = _PORT,
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
    if port != _PORT:
        raise ValueError("--port is that of the page: it goes with --web")
    from keras_affect.demo.folder import check_folder

    check_folder(out)
    from rich.console import Console

    from keras_affect.runtime.native_notes import without_native_notes

    # Being stopped from outside ends as Ctrl-C does: the half-made folder is taken away.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    console = Console()
    with console.status("loading TensorFlow"):
        need_tensorflow()
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
