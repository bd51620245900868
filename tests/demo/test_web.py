"""`keras-affect demo --web`: what it serves, and what it says where it can't."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request

import pytest

from keras_affect import cli, emotions
from keras_affect.demo import web
from keras_affect.weights import catalog
from tests.conftest import REPOSITORY


@pytest.fixture
def page(tmp_path):
    """A page as small as a page can be."""
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<p>page</p>")
    (tmp_path / "assets" / "a.js").write_text("1")
    (tmp_path / "assets" / "a.wasm").write_bytes(b"\0asm")
    return tmp_path


def test_files_are_the_pages_and_the_shipped_models(page):
    files = web.page_files(page)
    shipped = {
        f"/models/{entry.file}": entry.path for entry in catalog.entries() if entry.kind == "litert"
    }
    assert shipped
    assert files == shipped | {
        "/": page / "index.html",
        "/index.html": page / "index.html",
        "/assets/a.js": page / "assets" / "a.js",
        "/assets/a.wasm": page / "assets" / "a.wasm",
    }


def test_a_page_that_was_not_built_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"{re.escape(str(tmp_path))}.*`make web`"):
        web.page_files(tmp_path)


@pytest.mark.parametrize("port", [-1, 65536, 80.0, True, "80"])
def test_a_port_that_is_none_is_refused(page, port):
    with pytest.raises(ValueError, match=f"`port`.*Received: port={re.escape(repr(port))}"):
        web.serve(port, page)


def test_a_port_that_is_taken_is_said(page):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(OSError, match=f"port {port} can't be opened"):
            web.serve(port, page)


def test_served_on_this_machine_alone_with_types_and_without_a_way_out(page):
    addresses: list[str] = []
    began = threading.Event()

    def ready(address: str) -> None:
        addresses.append(address)
        began.set()

    threading.Thread(target=web.serve, args=(0, page, ready), daemon=True).start()
    assert began.wait(30)
    (address,) = addresses
    assert address.startswith("http://127.0.0.1:")
    for path, kind, content in (
        ("", "text/html; charset=utf-8", b"<p>page</p>"),
        ("assets/a.js?v=1", "text/javascript", b"1"),
        ("assets/a.wasm", "application/wasm", b"\0asm"),
    ):
        with urllib.request.urlopen(address + path) as response:
            assert response.read() == content
            assert response.headers["Content-Type"] == kind
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            assert "frame-ancestors 'none'" in response.headers["Content-Security-Policy"]
    request = urllib.request.Request(address, method="HEAD")
    with urllib.request.urlopen(request) as response:
        assert response.headers["Content-Length"] == "11"
        assert response.read() == b""
    for path in ("assets/", "../web.py", "..%2fweb.py", "assets/../../web.py", "weights.py"):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(address + path)


@pytest.mark.parametrize("given", [["--data", "ferplus"], ["--out", "elsewhere"]])
def test_what_it_would_not_use_is_refused(given, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["keras-affect", "demo", "--web", *given])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    expected = "keras-affect: --web trains and writes nothing: it goes without --data and --out\n"
    assert capsys.readouterr().err == expected


def test_a_port_without_the_page_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["keras-affect", "demo", "--port", "9000"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert capsys.readouterr().err == (
        "keras-affect: --port is that of the page: it goes with --web\n"
    )
    assert not list(tmp_path.iterdir())


def test_module_stands_on_the_standard_library_and_the_catalog():
    code = (
        "import sys, keras_affect.demo.web\n"
        "print({n.split('.')[0] for n in sys.modules} - set(sys.stdlib_module_names))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"keras", "tensorflow", "cv2", "PIL"} & set(re.findall(r"\w+", run.stdout))


def test_page_has_the_emotions_of_the_package():
    source = (REPOSITORY / "export" / "web" / "src" / "emotions.ts").read_text(encoding="utf-8")
    found = re.findall(
        r'name: "(\w+)", color: "(#\w+)", valence: ([-\d.]+), arousal: ([-\d.]+)', source
    )
    assert [name for name, *_ in found] == list(emotions.NAMES)
    for (name, color, *point), expected in zip(found, emotions.CIRCUMPLEX, strict=True):
        assert color == emotions.COLORS[name]
        assert [float(value) for value in point] == pytest.approx(expected.tolist(), abs=1e-6)


def test_crop_of_the_page_is_the_one_that_its_tests_expect():
    source = (REPOSITORY / "export" / "web" / "src" / "crop.ts").read_text(encoding="utf-8")
    fixtures = (REPOSITORY / "tests" / "edge" / "browser_fixtures.py").read_text(encoding="utf-8")
    constants = re.findall(r"export const CROP_\w+ = ([\d.]+);", source)
    assert f"CROP_SCALE, CROP_RISE = {', '.join(constants)}" in fixtures
