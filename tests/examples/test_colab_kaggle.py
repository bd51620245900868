"""The notebook, executed whole with its download replaced by drawings in the same files."""

import csv
import json

import nbclient
import nbformat
import numpy as np

from keras_affect.datasets import synthetic
from keras_affect.datasets.votes import COLUMNS
from tests.conftest import REPOSITORY

PATH = REPOSITORY / "examples" / "notebooks" / "colab_kaggle.ipynb"
USAGES = ["Training"] * 48 + ["PublicTest"] * 24


def cells():
    return json.loads(PATH.read_text(encoding="utf-8"))["cells"]


def test_outputs_are_cleared():
    for cell in cells():
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            assert cell["execution_count"] is None


def test_cells_that_are_replaced_below_are_there():
    tags = [tag for cell in cells() for tag in cell["metadata"].get("tags", [])]
    assert tags == ["install", "parameters", "credentials", "download"]


def write_drawings(folder):
    """Kaggle's csv and FER+'s, with drawn faces and eight of ten votes for what they show."""
    folder.mkdir()
    pixels, votes = [["emotion", "pixels", "Usage"]], [["Usage", "Image name", *COLUMNS]]
    for number, usage in enumerate(USAGES):
        image, emotion, _ = synthetic.draw(number)
        counts = np.zeros(10, int)
        counts[[emotion, 8]] = 8, 2
        pixels.append([0, " ".join(map(str, image.ravel())), usage])
        votes.append([usage, f"fer{number:07d}.png", *counts])
    for name, rows in (("fer2013.csv", pixels), ("fer2013new.csv", votes)):
        with (folder / name).open("w", newline="") as file:
            csv.writer(file).writerows(rows)


def test_runs_from_top_to_bottom(tmp_path, monkeypatch):
    notebook = nbformat.read(PATH, as_version=4)
    nbformat.validate(notebook)
    write_drawings(tmp_path / "ferplus")
    replaced = {
        "install": "",
        "parameters": f"from pathlib import Path\nEPOCHS, WIDTH, SEED = 2, 0.1, 0\n"
        f"ON_KAGGLE, WORK = False, Path({str(tmp_path)!r})",
        "download": "import keras_affect as ka",
    }
    for cell in notebook.cells:
        for tag in cell.metadata.get("tags", []):
            cell.source = replaced.get(tag, cell.source)
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "2")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    nbclient.NotebookClient(notebook, timeout=500, kernel_name="python3").execute(cwd=str(tmp_path))
    said = "".join(
        output.get("text", "") + output.get("data", {}).get("text/plain", "")
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
    )
    assert "neither Colab nor Kaggle" in said
    assert "balanced accuracy" in said
    assert "quantization: int8" in said
    assert "%" in said.splitlines()[-1]
    assert (tmp_path / "affect.tflite").is_file()
