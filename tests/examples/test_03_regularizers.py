"""examples/03_regularizers.py: rows do what they say, runs go on, lines become a table."""

from __future__ import annotations

import csv
import dataclasses
import functools
import importlib.util
import itertools
import sys

import keras
import numpy as np
import pytest
from PIL import Image

from keras_affect import layers
from keras_affect.datasets import ferplus
from keras_affect.models.batch_normalization import BatchNormalization
from tests.conftest import REPOSITORY

PATH = REPOSITORY / "examples" / "03_regularizers.py"


@pytest.fixture(scope="module")
def example():
    if keras.backend.backend() != "tensorflow":
        pytest.skip("examples train on tf.data with TensorFlow")
    spec = importlib.util.spec_from_file_location("regularizers_example", PATH)
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture(scope="module")
def faces(example):
    return example.Faces(None)


#: Between them they train through every layer and every kind of batch.
SMOKE_ROWS = ["none", "no batch normalisation", "stochastic depth", "all together"]


@pytest.fixture(scope="module")
def smoke(example, tmp_path_factory):
    """Arguments of a run, and its folder."""
    out = tmp_path_factory.mktemp("results")
    arguments = ["--smoke", "--out", str(out), "--rows", *SMOKE_ROWS]
    assert example.main(arguments) == 0
    return arguments, out


def test_smoke_writes_a_line_for_each_row_and_a_table(example, smoke):
    _, out = smoke
    with (out / "03_regularizers.csv").open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert [line["regulariser"] for line in lines] == SMOKE_ROWS
    assert len({line["valid_cross_entropy"] for line in lines}) == len(SMOKE_ROWS)
    for line in lines:
        assert line["data"] == "drawn faces"
        assert 0 <= float(line["valid_accuracy"]) <= 1
        assert np.isfinite(float(line["train_cross_entropy"]))
    text = (out / "03_regularizers.md").read_text(encoding="utf-8")
    assert [row.split(" | ")[0] for row in text.splitlines()[4:]] == [f"| {n}" for n in SMOKE_ROWS]
    assert {path.name for path in out.iterdir()} == {"03_regularizers.csv", "03_regularizers.md"}


def test_what_is_done_is_not_done_again(example, smoke, monkeypatch, capsys):
    arguments, out = smoke
    before = (out / "03_regularizers.csv").read_bytes()
    asked = []

    def stop(name, seed, *_):
        asked.append((name, seed))
        raise KeyboardInterrupt

    monkeypatch.setattr(example, "train", stop)
    assert example.main(arguments) == 0
    assert "4 trainings, 0 of them new" in capsys.readouterr().out
    with pytest.raises(KeyboardInterrupt):
        example.main([*arguments, "cutout"])
    assert asked == [("cutout", 0)]
    assert (out / "03_regularizers.csv").read_bytes() == before


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("drawn faces,1,", "drawn faces,7,", "trained with epochs=7, where this run has epochs=1"),
        ("drawn faces", "FER+", "trained with data='FER+', where this run has data='drawn faces'"),
        ("stochastic_depth=0.2,", "stochastic_depth=0.3,", "with setting='stochastic_depth=0.3'"),
        ("stochastic depth,0", "stochastic depths,0", "line 4: KeyError('stochastic depths')"),
        ("none,0,", "none,zero,", "line 2: ValueError"),
        ("regulariser,seed", "row,seed", "not a table of this example"),
    ],
)
def test_lines_of_another_run_are_refused(example, smoke, tmp_path, capsys, old, new, message):
    _, out = smoke
    text = (out / "03_regularizers.csv").read_text(encoding="utf-8")
    assert old in text
    damaged = tmp_path / "03_regularizers.csv"
    damaged.write_text(text.replace(old, new, 1), encoding="utf-8")
    assert example.main(["--smoke", "--out", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert str(damaged) in error
    assert error.count("\n") == 1


def test_missing_data_ends_with_one_line(example, tmp_path, capsys):
    assert example.main(["--data", str(tmp_path / "nowhere"), "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert "nowhere" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--smoke", "--seeds", "0"],
        ["--smoke", "--rows", "L3"],
        ["--smoke", "--every", "4"],
        ["--smoke", "--every", "0"],
    ],
)
def test_bad_arguments_end_with_exit_code_2(example, arguments):
    with pytest.raises(SystemExit) as stopped:
        example.main(arguments)
    assert stopped.value.code == 2


def test_every_nth_picture_of_train_and_all_of_valid(example, tmp_path):
    for split, count in (("train", 10), ("valid", 5)):
        folder = tmp_path / ferplus.SPLITS[split][0]
        folder.mkdir()
        rows = []
        for number in range(count):
            gray = 10 * number + (200 if split == "valid" else 1)
            Image.new("L", (48, 48), gray).save(folder / f"fer{number:07d}.png")
            rows.append(f'fer{number:07d}.png,"(0, 0, 48, 48)",9,1,0,0,0,0,0,0,0,0')
        (folder / "label.csv").write_text("\n".join(rows) + "\n")
    faces = example.Faces(tmp_path, every=4)
    images, labels = next(iter(faces.train(example.Setting(), seed=0)))
    assert sorted(np.asarray(images)[:, 0, 0, 0]) == [1, 41, 81]
    np.testing.assert_allclose(np.asarray(labels)[:, 0], 1)
    seen = np.asarray(next(iter(faces.seen))[0])[:, 0, 0, 0]
    assert list(seen) == [1, 41, 81]
    assert list(np.asarray(next(iter(faces.valid))[0])[:, 0, 0, 0]) == [200, 210, 220, 230, 240]
    assert example.Faces.name(tmp_path, 4) == "FER+ (1 of 4 train pictures)"
    assert example.Faces.name(tmp_path) == "FER+"


# === Each row does what it says


def _layers(model):
    return list(model._flatten_layers())


@functools.cache
def _kinds(example, name):
    """The model of a row, and the types of its layers."""
    model = example.Network(example.ROWS[name], example.STAGES).model()
    assert model.output_shape == (None, 8)
    return model, {type(layer) for layer in _layers(model)}


def test_every_row_differs_from_the_first_by_its_own_setting_alone(example):
    changes = {name: row.changed() for name, row in example.ROWS.items()}
    assert changes.pop("none") == {}
    together = changes.pop("all together")
    single = [set(change) for change in changes.values()]
    assert (
        sum(map(len, single))
        == len(set().union(*single))
        == len(dataclasses.fields(example.Setting))
    )
    assert set(together) == set().union(*single) - {"batch_normalization"}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("dropout", keras.layers.Dropout),
        ("DropConnect", layers.DropConnect),
        ("fractional pooling", layers.FractionalMaxPooling2D),
        ("no batch normalisation", layers.ScalarAffine),
    ],
)
def test_layers_are_there_where_a_row_names_them_and_nowhere_else(example, name, kind):
    model, kinds = _kinds(example, name)
    assert kind in kinds
    assert kind not in _kinds(example, "none")[1]
    assert kind in _kinds(example, "all together")[1] or name == "no batch normalisation"
    assert (BatchNormalization in kinds) == (name != "no batch normalisation")
    if name == "fractional pooling":
        assert keras.layers.MaxPooling2D not in kinds
        strides = [v.strides for v in _layers(model) if isinstance(v, keras.layers.Conv2D)]
        assert set(strides) == {(1, 1)}


@pytest.mark.parametrize(("name", "final"), [("none", 0.0), ("stochastic depth", 0.2)])
def test_depth_decays_linearly(example, name, final):
    model, _ = _kinds(example, name)
    rates = [v.rate for v in _layers(model) if isinstance(v, layers.StochasticDepth)]
    # Layers are listed last in, first out.
    assert sorted(rates) == pytest.approx([final * (block + 1) / 6 for block in range(6)])


def test_penalties_are_on_every_kernel(example):
    losses = {name: _kinds(example, name)[0].losses for name in ("none", "L1", "L2")}
    kernels = sum(len(w.shape) > 1 for w in _kinds(example, "none")[0].trainable_weights)
    assert [len(losses[name]) for name in ("none", "L1", "L2")] == [0, kernels, kernels]
    assert kernels == 16


@pytest.fixture(scope="module")
def plain_batch(example, faces):
    return next(iter(faces.train(example.ROWS["none"], 0)))


@pytest.mark.parametrize(
    "name", ["cutout", "mixup", "shift and scale", "contrast and brightness", "dropout"]
)
def test_batches_are_changed_where_a_row_says_so(example, faces, plain_batch, name):
    plain, plain_labels = plain_batch
    images, labels = next(iter(faces.train(example.ROWS[name], 0)))
    differ = (np.abs(np.asarray(images - plain)) > 1e-3).any(axis=(1, 2, 3)).mean()
    assert differ > 0.4 if name != "dropout" else differ == 0
    assert np.array_equal(labels, plain_labels) == (name != "mixup")
    np.testing.assert_allclose(np.sum(labels, axis=1), 1, rtol=1e-5)


# === The table


def _result(example, name, seed, accuracy):
    setting = str(example.ROWS[name])
    return example.Result(
        name, seed, setting, "FER+", 15, "float32", 9, accuracy, 0.5, 0.9, 0.4, 60
    )


def test_table_has_means_and_changes_seed_by_seed(example):
    results = [
        _result(example, "cutout", 0, 0.82),
        _result(example, "none", 1, 0.84),
        _result(example, "none", 0, 0.80),
        _result(example, "mixup", 2, 0.7),
    ]
    lines = example.table(results).splitlines()
    assert "--data PATH/TO/FERPLUS --epochs 15" in lines[0]
    assert lines[4:] == [
        "| none |  | 2 | 82.00 ± 2.83 |  | 90.00 ± 0.00 | 0.500 |",
        # Against the same seed: 82 - 80, and not 82 - 82.
        "| cutout | cutout=14 | 1 | 82.00 | +2.00 | 90.00 | 0.500 |",
        "| mixup | mixup=0.2 | 1 | 70.00 |  | 90.00 | 0.500 |",
    ]


def test_table_names_the_command_that_wrote_it(example):
    few = dataclasses.replace(
        _result(example, "none", 0, 0.8),
        data="FER+ (1 of 4 train pictures)",
        dtype="mixed_bfloat16",
    )
    command = "--data PATH/TO/FERPLUS --every 4 --epochs 15 --dtype mixed_bfloat16`"
    assert command in example.table([few]).splitlines()[0]
    drawn = dataclasses.replace(few, data="drawn faces")
    assert "03_regularizers.py --smoke`" in example.table([drawn]).splitlines()[0]


def test_the_table_that_is_kept_is_what_its_lines_say(example):
    """And the command that it names goes on with it."""
    path = example.RESULTS / "03_regularizers.csv"
    text = path.with_suffix(".md").read_text(encoding="utf-8")
    assert "--every 4 --epochs 12`" in text.splitlines()[0]
    data = example.Faces.name(path, every=4)
    results = example.read(path, dtype="float32", seeds=3, data=data, epochs=12)
    done = sorted((result.regulariser, result.seed) for result in results)
    assert done == sorted(itertools.product(example.ROWS, range(3)))
    assert text == example.table(results)


def test_lines_are_read_as_they_were_written(example, tmp_path):
    path = tmp_path / "03_regularizers.csv"
    results = [_result(example, name, 0, 0.8) for name in example.ROWS]
    example.write(path, results)
    same = {"dtype": "float32", "seeds": 3, "data": "FER+", "epochs": 15}
    assert example.read(path, **same) == results
    assert example.read(tmp_path / "none.csv", **same) == []


def test_a_seed_is_of_one_dtype(example, tmp_path):
    """Changes are against the first row of the same seed: both must have been computed alike."""
    path = tmp_path / "03_regularizers.csv"
    whole = [
        dataclasses.replace(_result(example, name, 0, 0.8), dtype="mixed_bfloat16")
        for name in example.ROWS
    ]
    example.write(path, [*whole, _result(example, "none", 1, 0.8)])
    same = {"data": "FER+", "epochs": 15}
    assert len(example.read(path, dtype="float32", seeds=2, **same)) == len(whole) + 1
    head = path.with_suffix(".md").read_text(encoding="utf-8").splitlines()[0]
    assert "--epochs 15` wrote this table" in head
    assert "mixed_bfloat16 with seed 0, float32 with seed 1." in head
    with pytest.raises(ValueError, match=r"seed 1 has trainings in float32 and lacks others"):
        example.read(path, dtype="mixed_bfloat16", seeds=2, **same)
    assert example.read(path, dtype="mixed_bfloat16", seeds=1, **same)
