"""`serve`: the page that reads a camera's faces in a browser, on this machine alone.

The page's files are built from ``export/web`` by ``make web``; a wheel holds them. The models come
from `keras_affect.weights`, so that a wheel holds each once. Standard library alone.
"""

from __future__ import annotations

import contextlib
import http.server
import mimetypes
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from urllib.parse import unquote, urlsplit

from keras_affect.weights import catalog

__all__ = ["FOLDER", "page_files", "serve"]

#: Where the built page lies, in a checkout and in an installation.
FOLDER = Path(__file__).parent / "web_files"

_ADDRESS = "127.0.0.1"
_INDEX = "index.html"

# Not left to the machine's registry of types: a browser runs neither a module of another type nor
# WebAssembly as it streams in.
_TYPES = {
    ".css": "text/css",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".tflite": "application/octet-stream",
    ".txt": "text/plain; charset=utf-8",
    ".wasm": "application/wasm",
}


def page_files(folder: str | Path = FOLDER) -> dict[str, Path]:
    """What is served: each path of the page with the file behind it, and nothing else.

    Args:
        folder: The built page.

    Raises:
        FileNotFoundError: If the page was not built, or a model of it is missing.
        ValueError: If a model is damaged.
    """
    folder = Path(folder)
    if not (folder / _INDEX).is_file():
        raise FileNotFoundError(
            f"{folder}: the page is not in this installation. In a clone `make web` builds it, "
            "with Node 20.19 or later; `make wheel` then puts it into the wheel."
        )
    files = {
        f"/{path.relative_to(folder).as_posix()}": path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    for entry in catalog.entries():
        if entry.kind == "litert":
            files[f"/models/{entry.file}"] = entry.verified_path()
    files["/"] = files[f"/{_INDEX}"]
    return files


def serve(
    port: int = 8000,
    folder: str | Path = FOLDER,
    ready: Callable[[str], None] = lambda address: None,
) -> None:
    """Serve the page on 127.0.0.1 until the process is stopped.

    A browser counts that address as a safe place, and gives a page there the camera. From another
    machine it can't be reached.

    Args:
        port: The port, 0 for any that is free.
        folder: The built page.
        ready: Called once with the page's address when it can be opened.

    Raises:
        ValueError: If the port is none, or a model is damaged.
        OSError: If the port is taken, or the page was not built.
    """
    if isinstance(port, bool) or not isinstance(port, int) or not 0 <= port <= 65535:
        raise ValueError(
            "Invalid value for argument `port`. Expected an int from 0 to 65535. "
            f"Received: port={port!r}"
        )
    handler = type("Handler", (_Handler,), {"files": page_files(folder)})
    try:
        server = http.server.ThreadingHTTPServer((_ADDRESS, port), handler)
    except OSError as error:
        raise OSError(
            f"port {port} can't be opened ({error.strerror}); --port 0 takes a free one"
        ) from None
    with server:
        ready(f"http://{_ADDRESS}:{server.server_port}/")
        server.serve_forever()


class _Handler(http.server.BaseHTTPRequestHandler):
    """Answers with the files that were listed before, so that no path leads elsewhere."""

    files: dict[str, Path]
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Send a file."""
        content = self._head()
        if content is not None:
            # A browser that leaves the page hangs up in the middle of a file.
            with contextlib.suppress(ConnectionError):
                self.wfile.write(content)

    def do_HEAD(self) -> None:
        """Send what stands before a file."""
        self._head()

    def log_message(self, *_: object) -> None:
        """Say nothing: a line for each file of the page would bury its address."""

    def _head(self) -> bytes | None:
        path = self.files.get(unquote(urlsplit(self.path).path))
        if path is None:
            self.send_error(HTTPStatus.NOT_FOUND)
            return None
        content = path.read_bytes()
        self.send_response(HTTPStatus.OK)
        kind = _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0]
        self.send_header("Content-Type", kind or "application/octet-stream")
        self.send_header("Content-Length", str(len(content)))
        # A newer version of the package has other files under the same address.
        self.send_header("Cache-Control", "no-cache")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        # No other page may frame this one and have its reader allow the camera.
        self.send_header("Content-Security-Policy", "frame-ancestors 'none'")
        self.end_headers()
        return content
