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
    rows = [row for row in anchors.ours(tmp_path) if f"`{entry.name}`" in row[0]]
    ((name, _, _, size, valid, _, time),) = rows
    assert entry.card.name in name
    assert (size, time) == (f"{entry.size:,}", "")
    assert valid.startswith(f"{100 * entry.scores['accuracy']:.2f} (")
    report = tmp_path / entry.card.stem / "report.json"
    report.parent.mkdir()
    for latency, expected in (({"milliseconds": 0.3251}, "0.33"), (None, "")):
        report.write_text(json.dumps({"reports": {"int8": {"latency": latency}}}))
        assert [row[-1] for row in anchors.ours(tmp_path) if row[0] == name] == [expected]


def test_an_older_version_of_a_name_is_left_out(monkeypatch, tmp_path):
    shipped = catalog.entries()
    later = tuple(
        dataclasses.replace(entry, name="ferplus_v10")
        for entry in shipped
        if entry.name == "ferplus_v1"
    )
    monkeypatch.setattr(catalog, "entries", lambda: (*later, *shipped))
    named = " ".join(row[0] for row in anchors.ours(tmp_path))
    assert "`ferplus_v10`" in named
    assert "`ferplus_v1`" not in named


def test_faults_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"README\.md: expected <!-- anchors:begin -->"):
        anchors.with_table("# A README\n")
    path = tmp_path / "anchors.csv"
    path.write_text("model,score\n")
    with pytest.raises(ValueError, match=r"anchors\.csv: expected the columns model, trained_from"):
        list(anchors.anchors(path))
