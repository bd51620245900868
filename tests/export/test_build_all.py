from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from keras_affect.models import LightweightCNN
from keras_affect.weights import catalog
from keras_affect.weights.storage import load_weights
from tests.conftest import REPOSITORY
from tests.export.conftest import Read, small_ferplus, standardize_heads

WEIGHTS = "lightweight_cnn_test_v1.weights.h5"
LITERT = "lightweight_cnn_test_v1_int8.tflite"


def script() -> Any:
    spec = importlib.util.spec_from_file_location("build_all", REPOSITORY / "export/build_all.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pictures() -> np.ndarray:
    low = np.random.default_rng(0).integers(0, 256, (20, 6, 6, 1)).astype(np.float32)
    return np.asarray(keras.ops.image.resize(low, (48, 48))).round()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str], Any]:
    folder = tmp_path_factory.mktemp("built")
    keras.utils.set_random_seed(0)
    trained = LightweightCNN(weights=None, width=0.1, dtype="mixed_bfloat16")
    standardize_heads(trained, pictures(), gain=0.4)
    trained.save(folder / "trained.keras")
    out = folder / "weights"
    out.mkdir()
    other = {"model": "Other", "name": "old_v1", "kind": "keras"}
    (out / "catalog.json").write_text(json.dumps([other]))
    arguments = ["--run", str(folder / "trained.keras"), "--data", str(small_ferplus(folder))]
    arguments += ["--name", "test_v1", "--out", str(out)]
    script().main(arguments)
    return out, arguments, trained


def entries(out: Path) -> list[catalog.Entry]:
    rows = json.loads((out / "catalog.json").read_text())
    assert rows[-1] == {"model": "Other", "name": "old_v1", "kind": "keras"}, "others stay"
    return [catalog.Entry(**row) for row in rows[:-1]]


def test_entries_are_true(built: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    out, _, _ = built
    monkeypatch.setattr(catalog, "FOLDER", out)
    weights, litert = entries(out)
    assert sorted(path.name for path in out.iterdir()) == sorted(["catalog.json", WEIGHTS, LITERT])
    assert [(entry.kind, entry.file) for entry in (weights, litert)] == [
        ("keras", WEIGHTS),
        ("litert", LITERT),
    ]
    for entry in (weights, litert):
        assert entry.verified_path() == out / entry.file
        assert entry.size == entry.path.stat().st_size
        assert entry.model == "LightweightCNN"
        assert entry.config["dtype"] == "float32", "not the precision of training"
        assert 0 <= entry.scores["accuracy"] <= 1
        assert entry.licence == "Apache-2.0"


def test_the_two_files_are_one_model(built: Any) -> None:
    out, _, trained = built
    weights, _ = entries(out)
    model = LightweightCNN.from_config(dict(weights.config))
    assert load_weights(model, out / WEIGHTS) == []
    images = pictures()
    wanted = {name: np.asarray(tensor) for name, tensor in model(images).items()}
    given = Read((out / LITERT).read_bytes())(images)
    kernel = np.asarray(trained.get_layer("emotion").kernel)
    error = np.abs(np.asarray(model.get_layer("emotion").kernel) - kernel)
    assert 0 < (error / np.abs(kernel)).max() <= 2.0**-11, "rounded to half precision"
    for name, values in wanted.items():
        error = np.abs(given[name] - values).max()
        # Eight channels a stage and untrained: int8 costs it 0.08, another image's output 0.4.
        assert error < 0.15
        assert np.abs(np.roll(given[name], 1, axis=0) - values).max() > 3 * error


def test_a_second_build_gives_the_same_bytes(built: Any) -> None:
    out, arguments, _ = built
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    module = script()
    with pytest.raises(FileExistsError, match="ships test_v1 already, and a name stays"):
        module.main(arguments)
    module.main([*arguments, "--overwrite"])
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_a_failure_leaves_what_was_there(built: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    out, arguments, _ = built
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    module = script()

    def fail(*args: Any, **options: Any) -> None:
        raise ValueError("no export today")

    monkeypatch.setattr(module, "to_litert", fail)
    with pytest.raises(ValueError, match="no export today"):
        module.main([*arguments, "--overwrite"])
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_a_name_needs_a_version(built: Any) -> None:
    _, arguments, _ = built
    with pytest.raises(ValueError, match="Expected a name with a version"):
        script().main([*arguments, "--name", "ferplus"])


def test_rebuilding_compares_the_bytes(
    built: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out, arguments, _ = built
    data = arguments[arguments.index("--data") + 1]
    copy = tmp_path / "weights"
    shutil.copytree(out, copy)
    rows = json.loads((copy / "catalog.json").read_text())
    (copy / "catalog.json").write_text(json.dumps(rows[:-1]))  # without the other model
    again = ["--rebuild", "--data", data, "--out", str(copy)]
    script().main(again)
    assert f"{LITERT}: the same bytes" in capsys.readouterr().out
    content = bytearray((copy / LITERT).read_bytes())
    content[-1] ^= 1
    (copy / LITERT).write_bytes(content)
    with pytest.raises(ValueError, match=f"not the bytes that ship: {LITERT}"):
        script().main(again)
    with pytest.raises(ValueError, match="takes no --run"):
        script().main([*again, "--name", "test_v1"])
    with pytest.raises(ValueError, match="Expected --run and --name, or --rebuild"):
        script().main(["--data", data])
