"""``keras-affect inspect``."""

import json

import pytest

from tests.cli.running import run
from tests.datasets.picture_folders import write_affectnet_folders, write_affectnet_list
from tests.datasets.test_ferplus import HAPPY, SAD, SPLIT_VOTE, write_folder


def test_inspect_reports_a_csv(table, tmp_path, capfd):
    page, report = tmp_path / "report.html", tmp_path / "report.json"
    code, out, err = run(capfd, "inspect", table, "--page", page, "--json", report)
    assert (code, err) == (0, "")
    lines = [line.split() for line in out.splitlines()]
    assert lines[:2] == [["all"], ["pictures", "9"]]
    assert ["happiness", "8"] in lines
    assert ["valence,", "mean", "+0.10"] in lines
    assert "equal pictures, other emotion  2 in 1 groups" in out
    assert f"{table}, row 10: picture {tmp_path}/8.png is missing" in out.replace("\n", "")
    values = json.loads(report.read_text())
    assert values["splits"]["all"]["classes"]["happiness"] == 8
    assert values["conflicting"] == [[{"split": "all", "index": 0}, {"split": "all", "index": 1}]]
    assert len(values["unreadable"]) == 1
    text = page.read_text()
    assert text.count("data:image/png;base64,") >= 10
    assert "8.png is missing" in text
    # Nothing is loaded from elsewhere.
    assert "http" not in text
    code, _, err = run(capfd, "inspect", table, "--page", page)
    assert code == 2
    assert "report.html: exists already" in err


def test_inspect_reports_ferplus(tmp_path, capfd):
    write_folder(tmp_path, "train", [(0, HAPPY), (1, SAD), (2, SPLIT_VOTE)])
    write_folder(tmp_path, "valid", [(1, SAD), (3, HAPPY)])
    report = tmp_path / "report.json"
    code, out, err = run(capfd, "inspect", tmp_path, "--json", report)
    assert (code, err) == (0, "")
    values = json.loads(report.read_text())
    assert list(values["splits"]) == ["train", "valid"]
    train = values["splits"]["train"]
    assert train["classes"]["happiness"] == train["classes"]["sadness"] == 1
    assert train["agreement"] == pytest.approx((0.8 + 0.6 + 0.5) / 3)
    assert values["across"] == [[{"split": "train", "index": 1}, {"split": "valid", "index": 0}]]
    assert values["conflicting"] == values["within"] == []
    assert out.splitlines()[0].split() == ["train", "valid"]
    assert ["strongest", "emotion,", "mean", "share", "63.3%", "70.0%"] in [
        line.split() for line in out.splitlines()
    ]


def test_inspect_reports_affectnet(tmp_path, capfd):
    write_affectnet_list(tmp_path, [(1, 0.5, 0.5), (8, -0.5, 0.5), (10, -2, -2)])
    code, out, _ = run(capfd, "inspect", tmp_path)
    assert code == 0
    assert [line.split() for line in out.splitlines()][:2] == [["train"], ["pictures", "2"]]
    assert ["without", "an", "emotion", "1"] in [line.split() for line in out.splitlines()]


@pytest.mark.parametrize(
    ("folder", "split"), [("train_set", "train"), ("val_set", "valid"), ("faces", "train")]
)
def test_inspect_counts_a_splits_own_folder_once(tmp_path, capfd, folder, split):
    write_affectnet_folders(tmp_path, [(0, 0, 0), (1, 0.5, 0.5)], split=folder)
    code, out, _ = run(capfd, "inspect", tmp_path / folder)
    assert code == 0
    assert [line.split() for line in out.splitlines()][:2] == [[split], ["pictures", "2"]]


def test_inspect_names_the_file_that_every_split_needs(tmp_path, capfd):
    (tmp_path / "fer2013.csv").write_text("emotion,pixels,Usage\n")
    code, _, err = run(capfd, "inspect", tmp_path)
    assert code == 2
    assert err.count("\n") == 1
    assert "fer2013new.csv: missing; FER+'s votes come from" in err


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (("inspect", "nowhere.csv"), "nowhere.csv: no such csv or folder"),
        (("inspect", "."), "no split of affectnet here"),
        (("inspect", "faces.csv", "--splits", "test"), "no column says which"),
        (("inspect", "faces.csv", "--encoding", "cp9999"), "argument `encoding`"),
        (("inspect", "faces.csv", "--crop", "box"), "faces.csv: a csv goes without --crop"),
        (("inspect", "faces.csv", "--page", "no/report.html"), "the folder no does not exist"),
    ],
)
def test_bad_input(table, tmp_path, monkeypatch, capfd, arguments, match):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capfd, *arguments)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert match in err
