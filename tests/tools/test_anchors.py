"""tools/anchors.py: the README's table is what ships, beside what others have."""

from __future__ import annotations

import dataclasses
import json

import pytest

from keras_affect.weights import catalog
from tests.conftest import REPOSITORY
from tests.tools.loading import script

anchors = script("anchors")


def test_the_readmes_table_is_not_stale():
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    assert readme == anchors.with_table(readme), "write it anew: python tools/anchors.py"
    assert readme.count("| FER+ valid |") == 1


def test_ours_are_the_newest_of_each_name_with_their_time(tmp_path):
    entry = catalog.find("LightweightCNN", "ferplus", "litert")
    measured = tmp_path / "latency.json"
    rows = [row for row in anchors.ours(measured) if f"`{entry.name}`" in row[0]]
    ((name, _, _, size, valid, _, time),) = rows
    assert entry.card.name in name
    assert (size, time) == (f"{entry.size:,}", "")
    assert valid.startswith(f"{100 * entry.scores['accuracy']:.2f} (")
    for ratios, expected in (({entry.name: 1.449}, "1.4"), ({}, "")):
        measured.write_text(json.dumps({"ratio_to_mini_xception": ratios}))
        assert [row[-1] for row in anchors.ours(measured) if row[0] == name] == [expected]


def test_times_come_from_the_benchmarks(tmp_path):
    file = tmp_path / "bench.json"

    def wrote(*comparisons, smoke=False):
        benchmarks = [
            {"extra_info": {"comparison": name, "ratio": ratio, "smoke": smoke}}
            for name, ratio in comparisons
        ]
        told = {"machine_info": {"cpu": {"brand_raw": "A CPU"}}, "benchmarks": benchmarks}
        file.write_text(json.dumps(told))
        return file

    asked, other = "int8 / mini-XCEPTION dynamic_range", "int8 / mini-XCEPTION float32"
    given = wrote((f"ferplus_v3 {asked}", 0.61234), (f"ferplus_v3 {other}", 9), ("DropConnect", 9))
    assert anchors.latency(given) == {
        "processor": "A CPU",
        "ratio_to_mini_xception": {"ferplus_v3": 0.612},
    }
    with pytest.raises(ValueError, match=r"bench\.json: expected times, and not those of --smoke"):
        anchors.latency(wrote((f"ferplus_v3 {asked}", 1), smoke=True))
    with pytest.raises(ValueError, match=r"bench\.json: no comparison with mini-XCEPTION"):
        anchors.latency(wrote((f"ferplus_v3 {other}", 1)))
    for text in ("{", "{}", "[]"):
        file.write_text(text)
        with pytest.raises(ValueError, match=r"bench\.json: expected what pytest --benchmark-json"):
            anchors.latency(file)


def test_the_command_writes_times_and_table(monkeypatch, tmp_path):
    readme = tmp_path / "README.md"
    monkeypatch.setattr(anchors, "README", readme)
    monkeypatch.setattr(anchors, "LATENCY", tmp_path / "latency.json")
    readme.write_text((REPOSITORY / "README.md").read_text(encoding="utf-8"), encoding="utf-8")
    name = catalog.find("LightweightCNN", "ferplus", "litert").name
    extra = {"comparison": f"{name} int8 / mini-XCEPTION dynamic_range", "ratio": 7.77}
    told = {
        "machine_info": {"cpu": {"brand_raw": "A CPU"}},
        "benchmarks": [{"extra_info": {**extra, "smoke": False}}],
    }
    (tmp_path / "bench.json").write_text(json.dumps(told))
    anchors.main(["--benchmark", str(tmp_path / "bench.json")])
    ratios = {"ratio_to_mini_xception": {name: 7.77}}
    assert json.loads(anchors.LATENCY.read_text()) == {"processor": "A CPU", **ratios}
    (row,) = (line for line in readme.read_text(encoding="utf-8").splitlines() if "| 7.8 |" in line)
    assert f"`{name}`" in row
    # Without times the table is written from those that were kept.
    before = readme.read_text(encoding="utf-8")
    anchors.main([])
    assert readme.read_text(encoding="utf-8") == before


def test_an_older_version_of_a_name_is_left_out(monkeypatch, tmp_path):
    shipped = catalog.entries()
    later = tuple(
        dataclasses.replace(entry, name="ferplus_v10")
        for entry in shipped
        if entry.name == "ferplus_v1"
    )
    monkeypatch.setattr(catalog, "entries", lambda: (*later, *shipped))
    named = " ".join(row[0] for row in anchors.ours(tmp_path / "none.json"))
    assert "`ferplus_v10`" in named
    assert "`ferplus_v1`" not in named


def test_faults_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"README\.md: expected <!-- anchors:begin -->"):
        anchors.with_table("# A README\n")
    path = tmp_path / "anchors.csv"
    path.write_text("model,score\n")
    with pytest.raises(ValueError, match=r"anchors\.csv: expected the columns model, trained_from"):
        list(anchors.anchors(path))
