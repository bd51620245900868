"""The wheel with the web page in it: installed elsewhere, it serves the whole page."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

import pytest

from keras_affect.weights import catalog
from tests.conftest import REPOSITORY

PAGE = REPOSITORY / "keras_affect" / "demo" / "web_files"


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """A folder with the unpacked wheel, away from this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q", "wheel"]
    subprocess.run([*command, "--no-deps", "--wheel-dir", folder, REPOSITORY], check=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


@pytest.fixture(scope="module")
def address(installed):
    command = [sys.executable, "-m", "keras_affect", "demo", "--web", "--port", "0"]
    environment = os.environ | {"PYTHONPATH": str(installed)}
    with subprocess.Popen(
        command, cwd=installed, env=environment, stdout=subprocess.PIPE, text=True
    ) as server:
        yield server.stdout.readline().split()[0]
        server.terminate()


def _get(url: str) -> tuple[bytes, str]:
    with urllib.request.urlopen(url) as response:
        return response.read(), response.headers["Content-Type"]


def test_models_are_in_the_wheel_once(installed):
    for entry in catalog.entries():
        found = list(installed.rglob(entry.file))
        assert found == [installed / "keras_affect" / "weights" / entry.file]


def test_every_file_of_the_page_is_served_as_it_was_built(address):
    built = [path for path in PAGE.rglob("*") if path.is_file()]
    assert len(built) > 10
    for path in built:
        content, kind = _get(address + path.relative_to(PAGE).as_posix())
        assert content == path.read_bytes(), path
        if path.suffix in (".js", ".wasm"):
            expected = {".js": "text/javascript", ".wasm": "application/wasm"}[path.suffix]
            assert kind == expected
    assert _get(address)[0] == (PAGE / "index.html").read_bytes()


def test_models_are_the_catalogs(address):
    models = json.loads(_get(f"{address}models/models.json")[0])
    shipped = [entry for entry in catalog.entries() if entry.kind == "litert"]
    assert [model["file"] for model in models] == [entry.file for entry in shipped]
    for model, entry in zip(models, shipped, strict=True):
        content, _ = _get(f"{address}models/{model['file']}")
        assert hashlib.sha256(content).hexdigest() == model["sha256"] == entry.sha256
        assert model["classes"] == list(entry.config["classes"])
        assert model["accuracy"] == entry.scores["accuracy"]


def test_licences_are_beside_what_they_cover(address):
    index = _get(f"{address}licences/index.txt")[0].decode()
    for name in ("@litertjs/core 2.5.3", "@litertjs/wasm-utils 2.5.3", "MediaPipe 0.10.21"):
        assert name in index
    for file in ("apache-2.0.txt", "mediapipe.txt"):
        assert file in index
        assert b"Apache License" in _get(f"{address}licences/{file}")[0]


def test_no_path_leads_out_of_the_page(address):
    for path in ("web.py", "../web.py", "%2e%2e/web.py", "..%2fweb.py", "models/", "/etc/passwd"):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            _get(address + path)
