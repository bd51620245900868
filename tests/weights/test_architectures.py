import json
import re
import sys

import pytest

from keras_affect import cli, models
from keras_affect.weights import catalog
from keras_affect.weights.architectures import FILE, architectures, matching
from tests.models.counts import COUNTS, OF_CLIPS


@pytest.fixture
def run(monkeypatch, capfd):
    """Run `keras-affect models`: (exit code, standard output, standard error)."""
    monkeypatch.delenv("KERAS_AFFECT_TRACEBACK", raising=False)
    monkeypatch.setenv("COLUMNS", "80")

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["keras-affect", "models", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capfd.readouterr()
        return ended.value.code or 0, out, err

    return run


def names(rows):
    return [row.name for row in rows]


def test_facts_are_those_of_the_models():
    """Counted by hand; a class that is new, or that changed, needs tools/model_table.py."""
    assert {row.name: (row.parameters, row.multiply_adds) for row in architectures()} == {
        name: count() for name, count in (COUNTS | OF_CLIPS).items()
    }
    assert {row.name for row in architectures() if row.is_of_clips} == set(OF_CLIPS)
    (lite,) = (row for row in architectures() if row.name == "LightweightCNN")
    for row in architectures():
        # A byte for a weight, four where it stays float, which is all behind the encoder of a
        # model of clips; statistics folded away; scales of channels and names on top.
        behind = row.parameters - lite.parameters if row.is_of_clips else 0
        weights = row.parameters + 3 * behind
        assert 0.97 * weights < row.int8_bytes < 1.03 * weights + 100_000
        assert (row.int8_milliseconds is None) == (row.measured_on is None)
    ships = catalog.find("LightweightCNN", "ferplus_v1", "litert")
    assert lite.int8_bytes == pytest.approx(ships.size, rel=0.03)


def test_from_few_multiply_adds_to_many():
    sizes = [row.multiply_adds for row in architectures()]
    assert sizes == sorted(sizes)
    assert names(architectures())[0] == "LightweightCNN"


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*", [row.name for row in architectures()]),
        ("*lite*", ["LightweightCNN"]),
        ("VGG*", ["VGG16", "VGG13"]),
        ("resnet??", ["ResNet18", "ResNet50"]),
        ("*.ferplus_v1", ["LightweightCNN"]),
        ("alexnet", ["AlexNet"]),
        ("lstm", ["TemporalAffect"]),
        ("nothing", []),
        ("[", []),
    ],
)
def test_patterns(pattern, expected):
    assert names(matching(pattern)) == expected
    assert models.list_models(pattern) == expected


def test_models_with_weights():
    shipped = {entry.model for entry in catalog.entries() if entry.kind == "keras"}
    assert set(models.list_models(weights=True)) == shipped
    assert models.list_models("VGG13", weights=True) == []


def test_pattern_must_be_text():
    with pytest.raises(ValueError, match=r"argument `pattern`\. Expected text.*pattern=None"):
        models.list_models(None)


def test_table(run):
    code, out, err = run()
    assert (code, err) == (0, "")
    for row in architectures():
        assert re.search(rf"{row.name} .*{row.parameters:,} .*{row.int8_bytes:,} ", out)
    (lite,) = (row for row in architectures() if row.name == "LightweightCNN")
    for entry in lite.shipped:
        assert entry.name in out
        assert f"{entry.scores['accuracy']:.2%}" in out
    assert "none ship" in out


def test_table_as_json(run):
    _, out, _ = run("*lite*", "--json")
    (row,) = json.loads(out)
    assert row["name"] == "LightweightCNN"
    assert row["weights"]["ferplus_v1"] > 0.8
    assert set(row) - {"weights"} == set(json.loads(FILE.read_text())[0])


def test_pattern_that_fits_nothing_ends_with_2(run):
    code, out, err = run("inception*")
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert "argument `pattern`" in err
    assert "GoogLeNet" in err
