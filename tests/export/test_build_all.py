from __future__ import annotations

import dataclasses
import importlib.util
import json
import re
import shutil
from pathlib import Path
from typing import Any

import flatbuffers
import keras
import numpy as np
import pytest

from keras_affect import emotions, models
from keras_affect.datasets import ferplus
from keras_affect.export import flatbuffer, metadata
from keras_affect.models import LightweightCNN
from keras_affect.runtime import AffectInterpreter
from keras_affect.training import Recipe
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
    run = folder / "runs" / "trained"
    run.mkdir(parents=True)
    trained.save(run / "model.keras")
    Recipe(width=0.1).save(run / "recipe.json")
    out = folder / "weights"
    out.mkdir()
    other = {"model": "Other", "name": "old_v1", "kind": "keras"}
    (out / "catalog.json").write_text(json.dumps([other]))
    arguments = ["--run", str(run), "--data", str(small_ferplus(folder))]
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
        assert "FER+ train: 24 pictures of FER2013 (Goodfellow et al. 2013), without" in entry.data
    assert not flatbuffer.has_inner_names(litert.path.read_bytes())
    said = AffectInterpreter(litert.path).fields["description"]
    assert said.endswith(f"trained on {litert.data}")


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


def test_what_earlier_runs_learnt_from_is_said_too(built: Any, tmp_path: Path) -> None:
    _, arguments, _ = built
    data = arguments[arguments.index("--data") + 1]
    for name, recipe in {
        "all": Recipe(drop_duplicates=False),
        "second": Recipe(start_from="runs/all"),
        "third": Recipe(start_from="runs/second", seed=1),
        "lost": Recipe(start_from="runs/nowhere"),
        "taught": Recipe(teachers=("ferplus_v1",)),
    }.items():
        (tmp_path / name).mkdir()
        recipe.save(tmp_path / name / "recipe.json")
    said = script()._data(tmp_path / "third", data)
    assert said.count("FER+ train: 24 pictures") == 2, "once with duplicates, once without"
    assert said.count("no picture is in this package") == 1
    said = script()._data(tmp_path / "taught", data)
    shipped = catalog.find("LightweightCNN", "ferplus_v1", "keras").data
    assert "FER+ train: 24 pictures" in said
    assert shipped.split("; ")[0] in said, "what those learnt from that ship"
    assert said.count("no picture is in this package") == 1
    with pytest.raises(FileNotFoundError, match=r"nowhere/recipe\.json: no such file"):
        script()._data(tmp_path / "lost", data)


def test_what_was_fitted_for_others_says_for_whom(monkeypatch: pytest.MonkeyPatch) -> None:
    """The numbers are those that ships' entries end with."""
    own = {}
    for entry in catalog.entries():
        *_, last, _ = entry.data.split("; ")
        if "temperature" in last:
            own[entry.name] = float(re.search(r"probabilities, ([0-9.]+),", last)[1])
    assert len(own) >= 5

    def said_of(name: str) -> dict[str, float]:
        parts = list(script()._data_of_shipped(name))
        assert not [part for part in parts if " its " in part]
        said = {
            owner: float(number)
            for part in parts
            for owner, number in re.findall(r"temperature of (\w+)'s prob\w+, ([0-9.]+),", part)
        }
        assert len(said) == sum("temperature" in part for part in parts)
        return said

    for name, number in own.items():
        assert said_of(name)[name] == number
        assert said_of(name).items() <= own.items()
    # A later name that happens upon the number of an earlier one.
    later = dataclasses.replace(
        catalog.find_by_name("ferplus_tiny_v4", "keras"),
        name="ferplus_v99",
        data="FER+ train; one number, the temperature of ferplus_v3's probabilities, 0.895, from "
        "FER+ valid; a number on its logits for each rare emotion, fear +0.100, from FER+ train; "
        "one number, the temperature of its probabilities, 0.916, from FER+ valid; no picture is "
        "in this package",
    )
    entries = (*catalog.entries(), later)
    monkeypatch.setattr(catalog, "entries", lambda: entries)
    assert said_of("ferplus_v99") == {"ferplus_v3": 0.895, "ferplus_v99": 0.916}
    assert "a number on ferplus_v99's logits" in "; ".join(script()._data_of_shipped("ferplus_v99"))
    assert said_of("ferplus_tiny_v4")["ferplus_tiny_v4"] == 0.916


def test_rare_emotions_are_matched_on_train(built: Any, tmp_path: Path) -> None:
    _, _, trained = built
    model = LightweightCNN.from_config(trained.get_config() | {"dtype": "float32"})
    model.set_weights(trained.get_weights())
    root = small_ferplus(tmp_path)
    train = ferplus.labelled(root, "train", "majority", drop_duplicates="valid")
    images, of = train.data.images.astype(np.float32), train.emotion.argmax(axis=1)
    emotion, name = 7, emotions.NAMES[7]
    wanted = int((of == emotion).sum())
    before = np.asarray(model(images)["emotion"])
    assert (before.argmax(axis=1) == emotion).sum() != wanted, "nothing to do"
    said = script()._match_frequencies(model, str(root), [name])
    after = np.asarray(model(images)["emotion"])
    assert (after.argmax(axis=1) == emotion).sum() == wanted
    shift = float(
        re.search(rf"its logits for each rare emotion, {name} ([-+0-9.]+), from", said)[1]
    )
    moved = before * np.exp(shift * (np.arange(8) == emotion))
    np.testing.assert_allclose(after, moved / moved.sum(axis=1, keepdims=True), atol=1e-3)


def test_the_temperature_is_fitted_on_valid(built: Any, tmp_path: Path) -> None:
    _, _, trained = built
    model = LightweightCNN.from_config(trained.get_config() | {"dtype": "float32"})
    model.set_weights(trained.get_weights())
    root = small_ferplus(tmp_path)
    images = ferplus.read(root, "valid").images.astype(np.float32)
    before = np.asarray(model(images)["emotion"], np.float64)
    # Right of three in four, so that there is a best temperature; one picture has no majority,
    # and does not count.
    chosen = np.argsort(before, axis=1)[np.arange(16), np.where(np.arange(16) % 4 == 0, -2, -1)]
    rows = []
    for i, emotion in enumerate(chosen):
        counts = ["0"] * 10
        counts[emotion] = "10"
        if i == 15:
            counts[emotion] = counts[(emotion + 1) % 8] = "5"
        rows.append(f'FER2013Valid{i}.png,"(0, 0, 48, 48)",{",".join(counts)}\n')
    (root / "FER2013Valid" / "label.csv").write_text("".join(rows))

    said = script()._fit_temperature(model, str(root))
    temperatures = np.geomspace(0.1, 10, 2001)
    powers = before[:15, None] ** (1 / temperatures[:, None])
    of_chosen = np.take_along_axis(
        powers / powers.sum(-1, keepdims=True), chosen[:15, None, None], -1
    )
    best = temperatures[(-np.log(of_chosen)).mean((0, 2)).argmin()]
    found = float(re.search(r"probabilities, ([0-9.]+), from FER\+ valid", said)[1])
    assert found == pytest.approx(best, rel=3e-3)
    after = np.asarray(model(images)["emotion"], np.float64)
    expected = before ** (1 / found)
    np.testing.assert_allclose(after, expected / expected.sum(1, keepdims=True), atol=1e-3)


def test_a_second_name_of_another_width(
    built: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, convert_here: None
) -> None:
    """Built beside the first, it is found by all that reads the catalog."""
    first, arguments, trained = built
    out = tmp_path / "weights"
    shutil.copytree(first, out)
    run = tmp_path / "runs" / "wider"
    run.mkdir(parents=True)
    keras.utils.set_random_seed(1)
    wider = LightweightCNN(weights=None, width=0.5)
    standardize_heads(wider, pictures(), gain=0.4)
    wider.save(run / "model.keras")
    Recipe(width=0.5).save(run / "recipe.json")
    named = ["--run", str(run), "--name", "test_wide_v1", "--out", str(out)]
    script().main([*named, "--data", arguments[arguments.index("--data") + 1]])

    monkeypatch.setattr(catalog, "FOLDER", out)
    monkeypatch.setattr(catalog, "entries", lambda: tuple(entries(out)))
    assert [(entry.name, entry.kind) for entry in entries(out)] == [
        ("test_v1", "keras"),
        ("test_v1", "litert"),
        ("test_wide_v1", "keras"),
        ("test_wide_v1", "litert"),
    ]
    for name, model in {"test": trained, "test_wide": wider, "test_wide_v1": wider}.items():
        found = LightweightCNN(weights=name)
        assert found.width == models.load(name).width == model.width
        np.testing.assert_allclose(
            found.get_layer("emotion").kernel, model.get_layer("emotion").kernel, rtol=2e-3
        )
        by_name = AffectInterpreter(name)
        version = name if name.endswith("_v1") else f"{name}_v1"
        assert by_name.name == str(out / f"lightweight_cnn_{version}_int8.tflite")
    assert models.list_models("*.test_wide_v1", weights=True) == ["LightweightCNN"]
    with pytest.raises(ValueError, match=r"stem_conv/kernel has shape"):
        LightweightCNN(weights="test_wide", width=0.25)
    with pytest.raises(FileNotFoundError, match=r"nowhere: no such file.*test_v1, test_wide_v1"):
        AffectInterpreter("nowhere")

    # Its weights once more, of which contempt alone is mended.
    named = ["--run", "test_wide", "--name", "test_wide_v2", "--match-frequencies", "contempt"]
    script().main([*named, "--data", arguments[arguments.index("--data") + 1], "--out", str(out)])
    before, after = (LightweightCNN(weights=f"test_wide_v{version}") for version in (1, 2))
    for old, new in zip(before.weights, after.weights, strict=True):
        if new is not after.get_layer("emotion").bias:
            np.testing.assert_array_equal(old, new)
    moved = np.subtract(after.get_layer("emotion").bias, before.get_layer("emotion").bias)
    assert np.flatnonzero(moved).tolist() == [7]
    *_, last = entries(out)
    assert (last.name, last.kind) == ("test_wide_v2", "litert")
    said = re.search(r"its logits for each rare emotion, contempt ([-+0-9.]+), from FER", last.data)
    assert float(said[1]) == pytest.approx(moved[7], abs=0.01), "in half precision"
    assert last.data.count("FER+ train: 24 pictures") == 1


def test_a_name_needs_a_version(built: Any) -> None:
    _, arguments, _ = built
    with pytest.raises(ValueError, match="Expected a name with a version"):
        script().main([*arguments, "--name", "ferplus"])


def test_rebuilding_compares_the_bytes(
    built: Any,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
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
    assert f"{LITERT}: 1 of {len(content):,} bytes differ" in capsys.readouterr().out
    # As earlier versions wrote it.
    with monkeypatch.context() as patch:
        patch.setattr(flatbuffer, "_Builder", flatbuffers.Builder)
        graph = flatbuffer.packed(flatbuffer.unpacked((out / LITERT).read_bytes()))
    fields = AffectInterpreter(out / LITERT).fields
    (copy / LITERT).write_bytes(metadata.append(graph, fields))
    assert (copy / LITERT).stat().st_size > len(content)
    script().main(again)
    assert f"{LITERT}: the same bytes, but for equal vectors" in capsys.readouterr().out
    with pytest.raises(ValueError, match="takes no --run"):
        script().main([*again, "--name", "test_v1"])
    with pytest.raises(ValueError, match="takes no --run, --name, --match-frequencies or"):
        script().main([*again, "--match-frequencies", "fear"])
    with pytest.raises(ValueError, match="Expected --run and --name, or --rebuild"):
        script().main(["--data", data])
