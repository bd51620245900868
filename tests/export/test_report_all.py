"""`export/report_all.py`: which models it compares, on what, and into which folders."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from keras_affect.models import LightweightCNN
from keras_affect.weights import catalog
from tests.conftest import REPOSITORY
from tests.export.conftest import small_ferplus


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Run it with arguments: what it would have compared. Comparing has its own test."""
    file = REPOSITORY / "export" / "report_all.py"
    spec = importlib.util.spec_from_file_location("report_all", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    calls: list[tuple[Any, ...]] = []

    def compare(model: Any, folder: Path, images: Any, labelled: Any, **options: Any) -> None:
        assert folder.is_dir()
        assert (len(images), [len(part) for part in labelled]) == (24, [16, 16]), "train, valid"
        calls.append((model, folder.name, options["timed"]))

    monkeypatch.setattr(module, "compare", compare)
    data = str(small_ferplus(tmp_path))

    def run(*arguments: str) -> list[tuple[Any, ...]]:
        calls.clear()
        module.main(["--data", data, "--out", str(tmp_path / "reports"), *arguments])
        return calls

    return run


def test_all_that_ships_or_one(compared: Any, tmp_path: Path) -> None:
    shipped = [entry for entry in catalog.entries() if entry.kind == "keras"]
    found = compared()
    assert [(folder, timed) for _, folder, timed in found] == [
        (entry.file.removesuffix(".weights.h5"), False) for entry in shipped
    ]
    assert [model.width for model, _, _ in found] == [entry.config["width"] for entry in shipped]
    ((model, folder, timed),) = compared("--name", "ferplus_v1", "--time")
    assert (type(model), folder, timed) == (LightweightCNN, "lightweight_cnn_ferplus_v1", True)

    run = tmp_path / "mine"
    run.mkdir()
    LightweightCNN(weights=None, width=0.1).save(run / "model.keras")
    ((model, folder, _),) = compared("--name", str(run))
    assert (model.width, folder) == (0.1, "lightweight_cnn_mine")
