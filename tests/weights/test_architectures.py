import dataclasses
import json
import re
import sys

import pytest

from keras_affect import cli, models
from keras_affect.export import flatbuffer
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


def counted(cost):
    return cost.parameters, cost.multiply_adds


def names(rows):
    return [row.name for row in rows]


def test_facts_are_those_of_the_models():
    """Counted by hand; a class that is new, or that changed, needs tools/model_table.py."""
    assert {row.name: counted(row.cost) for row in architectures()} == {
        name: count() for name, count in (COUNTS | OF_CLIPS).items()
    }
    assert {row.name for row in architectures() if row.is_of_clips} == set(OF_CLIPS)
    (lite,) = (row for row in architectures() if row.name == "LightweightCNN")
    for row in architectures():
        # A byte for a weight, four where it stays float, which is all behind the encoder of a
        # model of clips; statistics folded away; scales of channels and names on top.
        behind = row.cost.parameters - lite.cost.parameters if row.is_of_clips else 0
        weights = row.cost.parameters + 3 * behind
        assert 0.97 * weights < row.cost.int8_bytes < 1.03 * weights + 100_000
        for cost in (row.cost, *row.cost_of_weights.values()):
            assert (cost.int8_milliseconds is None) == (cost.measured_on is None)
    ships = catalog.find("LightweightCNN", "ferplus_v1", "litert")
    # That file was written before equal vectors were written once, and the fact after.
    graph = flatbuffer.compacted((catalog.FOLDER / ships.file).read_bytes())
    assert lite.cost.int8_bytes == pytest.approx(len(graph), rel=0.03)


def test_facts_of_weights_are_those_of_what_ships():
    """A name that is new needs tools/model_table.py."""
    known = {
        (row.name, name): cost
        for row in architectures()
        for name, cost in row.cost_of_weights.items()
    }
    shipped = {(e.model, e.name): e for e in catalog.entries() if e.kind == "litert"}
    assert known.keys() == shipped.keys()
    for (model, name), cost in known.items():
        entry = shipped[model, name]
        assert cost.int8_bytes == entry.size
        config = {
            key: value
            for key, value in entry.config.items()
            if key in ("width", "stem_convolutions", "mirrored")
        }
        assert counted(cost) == COUNTS[model](**config)
    twice, once = (
        known["LightweightCNN", name].multiply_adds for name in ("ferplus_v4", "ferplus_v3")
    )
    assert twice > 2 * once


def test_from_few_multiply_adds_to_many():
    sizes = [row.cost.multiply_adds for row in architectures()]
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
        cost = row.cost
        assert re.search(rf"^{row.name} .*{cost.parameters:,} .*{cost.int8_bytes:,} ", out, re.M)
        for entry in row.shipped:
            cost = row.cost_of_weights[entry.name]
            accuracy = f"{int8_scores()[entry.name]['accuracy']:.2%}"
            line = rf"^  {entry.name} .*{cost.parameters:,} .*{cost.int8_bytes:,} .*{accuracy}$"
            assert re.search(line, out, re.M)


def test_weights_without_a_count_are_named():
    (lite,) = matching("LightweightCNN")
    newer = dataclasses.replace(lite, cost_of_weights={})
    with pytest.raises(
        ValueError, match=r"architectures\.json: nothing of LightweightCNN ferplus_v1"
    ):
        newer.as_dict()


def test_table_as_json(run):
    _, out, _ = run("*lite*", "--json")
    (row,) = json.loads(out)
    assert row["name"] == "LightweightCNN"
    (fact,) = (fact for fact in json.loads(FILE.read_text()) if fact["name"] == row["name"])
    assert row == {
        "name": "LightweightCNN",
        "is_of_clips": False,
        **fact["cost"],
        "weights": {
            name: {
                "int8_accuracy": scores["accuracy"],
                **fact["cost_of_weights"][name],
            }
            for name, scores in int8_scores().items()
        },
    }


def int8_scores():
    """Those of the files whose bytes and times stand beside; float16 scores otherwise."""
    return {entry.name: entry.scores for entry in catalog.entries() if entry.kind == "litert"}


def test_pattern_that_fits_nothing_ends_with_2(run):
    code, out, err = run("inception*")
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert "argument `pattern`" in err
    assert "GoogLeNet" in err
