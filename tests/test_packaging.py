"""The wheel: what is in it, and that it works alone in an empty environment, elsewhere."""

from __future__ import annotations

import email
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import matplotlib
import pytest

import keras_affect
from keras_affect import emotions
from keras_affect.weights import catalog
from tests.conftest import REPOSITORY

PHOTO = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
BACKENDS = {"keras", "tensorflow", "jax", "torch"}

#: Runs a command line and then says, on the last line of standard error, what was loaded for it.
RUN_AND_LIST_MODULES = """
import json, sys
from keras_affect import cli
try:
    cli.main()
finally:
    print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""


def _run(command, cwd, **options):
    # Neither this checkout nor the user's own packages may help the environment under test.
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("PYTHON")
    }
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False, **options
    )


def _install(python: Path, *arguments: str | Path) -> None:
    command = [python, "-m", "pip", "--disable-pip-version-check", *arguments]
    run = _run(command, cwd=python.parent)
    if run.returncode and "NewConnectionError" in run.stderr and not os.environ.get("CI"):
        pytest.skip("needs a package registry to install from; none can be reached")
    assert run.returncode == 0, run.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    _install(Path(sys.executable), "wheel", "--no-deps", "--wheel-dir", folder, REPOSITORY)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def archive(wheel):
    with zipfile.ZipFile(wheel) as opened:
        yield opened


@pytest.fixture(scope="module")
def elsewhere(wheel, tmp_path_factory) -> Path:
    """A folder outside this checkout, with an environment that holds the wheel alone."""
    folder = tmp_path_factory.mktemp("else where")
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    _install(folder / "venv" / "bin" / "python", "install", wheel)
    shutil.copy(PHOTO, folder / "photo.jpg")
    return folder


def test_wheel_holds_the_package_and_nothing_else(archive):
    info = f"keras_affect-{keras_affect.__version__}.dist-info"
    names = {name for name in archive.namelist() if not name.startswith(f"{info}/")}
    package = REPOSITORY / "keras_affect"
    source = {
        path.relative_to(REPOSITORY).as_posix()
        for path in package.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    # Where the web page was built, it is in the wheel, but for its copies of the shipped models.
    page = "keras_affect/demo/web_files"
    copies = {name for name in source if name.startswith(f"{page}/models/") and "tflite" in name}
    assert names == source - copies
    assert {"keras_affect/py.typed", "keras_affect/weights/catalog.json"} <= names
    # A file of weights that the catalog doesn't list has no hash, no scores and no licence.
    listed = {f"keras_affect/weights/{entry.file}" for entry in catalog.entries()}
    # The page's face detector is MediaPipe's: its licence and its hash stand beside the page.
    own = {name for name in names if not name.startswith(f"{page}/face_detector/")}
    assert listed == {name for name in own if name.endswith((".tflite", ".h5", ".keras"))}


def test_every_shipped_file_is_what_the_catalog_says(archive):
    for entry in catalog.entries():
        content = archive.read(f"keras_affect/weights/{entry.file}")
        assert len(content) == entry.size
        assert hashlib.sha256(content).hexdigest() == entry.sha256


def test_default_model_ships():
    entry = catalog.find("LightweightCNN", "ferplus", "litert")
    assert entry.verified_path().stat().st_size < 700_000


def test_metadata(archive):
    info = f"keras_affect-{keras_affect.__version__}.dist-info"
    metadata = email.message_from_bytes(archive.read(f"{info}/METADATA"))
    assert metadata["Name"] == "keras-affect"
    assert metadata["Version"] == keras_affect.__version__
    assert metadata["License-Expression"] == "Apache-2.0"
    assert set(metadata["Requires-Python"].split(",")) == {">=3.11", "<3.14"}
    extras = {"tensorflow", "faces", "quantize", "kaggle", "dev", "test-backends"}
    assert set(metadata.get_all("Provides-Extra")) == extras
    requirements = metadata.get_all("Requires-Dist")
    base = {re.match(r"[\w-]+", line)[0] for line in requirements if "extra ==" not in line}
    assert base == {"keras", "numpy", "pillow", "ai-edge-litert", "typer", "rich"}
    assert archive.read(f"{info}/licenses/LICENSE") == (REPOSITORY / "LICENSE").read_bytes()
    entry_points = archive.read(f"{info}/entry_points.txt").decode()
    assert "keras-affect = keras_affect.cli:main" in entry_points


def test_licence_is_the_whole_apache_text():
    digest = hashlib.sha256((REPOSITORY / "LICENSE").read_bytes()).hexdigest()
    assert digest == "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"


def test_environment_holds_no_backend(elsewhere):
    """Else the tests below could not fail."""
    python = elsewhere / "venv" / "bin" / "python"
    run = _run([python, "-c", "import keras"], cwd=elsewhere)
    assert run.returncode != 0
    assert "No module named 'tensorflow'" in run.stderr
    run = _run([python, "-c", "import keras_affect; print(keras_affect.__file__)"], cwd=elsewhere)
    assert run.stdout.startswith(str(elsewhere))


def test_runtime_imports_without_keras(elsewhere):
    code = "import json, sys, keras_affect.runtime; print(json.dumps(sorted(sys.modules)))"
    run = _run([elsewhere / "venv" / "bin" / "python", "-c", code], cwd=elsewhere)
    assert run.returncode == 0, run.stderr
    assert not BACKENDS & set(json.loads(run.stdout))


def test_predict_reads_a_photograph_without_keras(elsewhere):
    python = elsewhere / "venv" / "bin" / "python"
    command = [python, "-c", RUN_AND_LIST_MODULES, "predict", "photo.jpg", "--json"]
    run = _run(command, cwd=elsewhere)
    assert run.returncode == 0, run.stderr
    *notes, modules = run.stderr.splitlines()
    assert not BACKENDS & set(json.loads(modules))
    # OpenCV comes with an extra; that it isn't there is said, in one line.
    assert len(notes) == 1
    assert "keras-affect[faces]" in notes[0]
    assert "taken as one face" in notes[0]
    (photo,) = json.loads(run.stdout)["photos"]
    (face,) = photo["faces"]
    here = keras_affect.runtime.AffectInterpreter().predict(PHOTO)
    assert set(face["probabilities"]) == set(emotions.NAMES)
    assert face["probabilities"] == pytest.approx(here.probabilities, abs=0.02)
    assert face["valence"] == pytest.approx(here.valence, abs=0.02)


def test_predict_says_in_one_line_what_is_no_picture(elsewhere):
    (elsewhere / "text.jpg").write_text("not a picture")
    run = _run([elsewhere / "venv" / "bin" / "keras-affect", "predict", "text.jpg"], cwd=elsewhere)
    assert run.returncode == 2
    assert "text.jpg" in run.stderr.splitlines()[-1]
    assert "Traceback" not in run.stderr


def test_shipped_model_scores_what_its_catalog_says_without_a_backend(elsewhere, ferplus_root):
    entry = catalog.find("LightweightCNN", "ferplus", "litert")
    (model,) = elsewhere.glob(f"venv/lib/python3.*/site-packages/keras_affect/weights/{entry.file}")
    command = [elsewhere / "venv" / "bin" / "keras-affect", "evaluate", model]
    options = ["--data", ferplus_root, "--no-duplicates", "--json", "scores.json"]
    run = _run([*command, *options], cwd=elsewhere)
    assert run.returncode == 0, run.stderr
    scores = json.loads((elsewhere / "scores.json").read_text())
    assert scores["images"] == 3199
    assert scores["accuracy"] == pytest.approx(entry.scores["accuracy"], abs=0.002)


def test_help(elsewhere):
    run = _run([elsewhere / "venv" / "bin" / "keras-affect", "--help"], cwd=elsewhere)
    assert run.returncode == 0, run.stderr
    for command in ("train", "evaluate", "export", "predict", "demo"):
        assert command in run.stdout


@pytest.mark.parametrize(
    "command",
    [
        ["train", "--data", ".", "--out", "run"],
        ["evaluate", "ferplus", "--data", "."],
        ["export", "ferplus", "affect.tflite", "--quantization", "float16"],
        ["demo"],
    ],
    ids=lambda command: command[0],
)
def test_what_needs_a_backend_names_the_extra_in_one_line(elsewhere, command):
    run = _run([elsewhere / "venv" / "bin" / "keras-affect", *command], cwd=elsewhere)
    assert run.returncode == 2
    assert run.stderr.count("\n") == 1, run.stderr
    assert "keras-affect[tensorflow]" in run.stderr
