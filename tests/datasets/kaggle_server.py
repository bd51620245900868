"""A server on loopback that speaks as much of Kaggle's API as a download needs."""

from __future__ import annotations

import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

USER, KEY, TOKEN = "somebody", "0123456789abcdef", "KGAT_a_token"


@dataclass
class KaggleServer:
    """What the server holds and how it misbehaves.

    Attributes:
        files: By name, what it gives.
        listed: By name, the sizes it lists, where they differ from the files'.
        refuse: By the API method's name, answers to give first: (status, headers).
        cut: Bytes after which each of the next downloads breaks off.
        sent: Every download as (name, first byte asked for).
        calls: The API methods that were called.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    listed: dict[str, int] = field(default_factory=dict)
    refuse: dict[str, list[tuple[int, dict[str, str]]]] = field(default_factory=dict)
    cut: list[int] = field(default_factory=list)
    sent: list[tuple[str, int]] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    address: str = ""

    def __enter__(self) -> KaggleServer:
        state = self

        class Handler(_Handler):
            server_state = state

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_state: KaggleServer

    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        state = self.server_state
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"{}")
        method = self.path.rsplit("/", 1)[-1]
        state.calls.append(method)
        if state.refuse.get(method):
            status, headers = state.refuse[method].pop(0)
            self._json(status, {"code": status, "message": "a page of text"}, headers)
        elif method == "IntrospectToken":
            known = request.get("token") == TOKEN
            self._json(200, {"active": known, "username": USER if known else ""})
        elif self.headers.get("Authorization") not in (_basic(), f"Bearer {TOKEN}"):
            self._json(401, {"code": 401, "message": "Unauthenticated"})
        elif method in ("ListDataFiles", "ListDatasetFiles"):
            key = "files" if method == "ListDataFiles" else "datasetFiles"
            sizes = {name: len(content) for name, content in state.files.items()} | state.listed
            self._json(
                200, {key: [{"name": name, "totalBytes": size} for name, size in sizes.items()]}
            )
        elif method in ("DownloadDataFile", "DownloadDataset"):
            self._json(302, {}, {"Location": f"{state.address}/storage/{request['fileName']}?s=1"})
        else:
            self._json(404, {"code": 404, "message": "no such method"})

    def do_GET(self) -> None:
        state = self.server_state
        name = self.path.split("?")[0].removeprefix("/storage/")
        content = state.files.get(name)
        if content is None:
            self._json(404, {"code": 404, "message": "not found"})
            return
        asked = re.match(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(asked[1]) if asked else 0
        state.sent.append((name, start))
        body = content[start:]
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", f'"{name}-{len(content)}"')
        self.send_header("Last-Modified", "Tue, 02 Jan 2024 03:04:05 GMT")
        self.send_header("Content-Type", "application/octet-stream")
        self.end_headers()
        if state.cut:
            body = body[: state.cut.pop(0)]
            self.close_connection = True
        self.wfile.write(body)

    def _json(self, status: int, value: object, headers: dict[str, str] | None = None) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        for name, text in (headers or {}).items():
            self.send_header(name, text)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _basic() -> str:
    import base64

    return "Basic " + base64.b64encode(f"{USER}:{KEY}".encode()).decode()
