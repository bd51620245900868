"""``keras-affect download``, ``inspect`` and ``prepare``, called as the command line calls them."""

import json

import numpy as np
import pytest

from keras_affect import cli
from keras_affect.datasets import records, synthetic
from tests.datasets.picture_folders import (
    save,
    write_affectnet_list,
    write_csv,
)
from tests.datasets.test_ferplus import HAPPY, SAD, SPLIT_VOTE, write_folder


def run(capfd, *arguments):
    """Exit code, standard output and standard error of a command."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["keras-affect", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            cli.main()
    out, err = capfd.readouterr()
    return caught.value.code, out, err


@pytest.fixture
def table(tmp_path):
    """Nine drawings: 1 is a copy of 0, 8 lacks its picture."""
    rows = []
    for number in range(9):
        picture, *_ = synthetic.draw(0 if number == 1 else number)
        if number != 8:
            save(tmp_path / f"{number}.png", picture[..., 0])
        rows.append([f"{number}.png", "sad" if number == 1 else "joy", 0.1, 0.2])
    return write_csv(tmp_path / "faces.csv", ["path", "emotion", "valence", "arousal"], rows)


# === inspect


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


# === prepare


def test_prepare_writes_what_load_reads(table, tmp_path, capfd):
    out = tmp_path / "prepared"
    code, _, err = run(capfd, "prepare", table, out)
    assert code == 2
    assert err.startswith(f"keras-affect: {table}, row 10: picture ")
    assert err.count("\n") == 1
    with pytest.warns(UserWarning, match="1 of 9 rows or pictures skipped"):
        code, said, _ = run(capfd, "prepare", table, out, "--on-error", "skip", "--size", 32)
    assert code == 0
    assert said == f"8 pictures of 32 x 32 x 1 in 1 shards, 1 skipped: {out}\n"
    ((images, labels),) = records.load(out, shuffle=False)
    assert images.shape == (8, 32, 32, 1)
    np.testing.assert_allclose(labels["valence_arousal"], [[0.1, 0.2]] * 8, atol=1e-6)


def test_prepare_writes_ferplus(tmp_path, capfd):
    write_folder(tmp_path / "ferplus", "train", [(0, HAPPY), (1, SAD), (2, SPLIT_VOTE)])
    code, _, err = run(capfd, "prepare", tmp_path / "ferplus", tmp_path / "out")
    assert code == 2
    assert "name one of its splits with --split" in err
    options = ("--split", "train", "--labels", "majority")
    code, *_ = run(capfd, "prepare", tmp_path / "ferplus", tmp_path / "out", *options)
    assert code == 0
    index = records.read_index(tmp_path / "out")
    assert (len(index), index.split, index.shape) == (2, "train", (48, 48, 1))


# === Bad input is one line


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (("inspect", "nowhere.csv"), "nowhere.csv: no such csv or folder"),
        (("inspect", "."), "no split of affectnet here"),
        (("inspect", "faces.csv", "--splits", "test"), "no column says which"),
        (("inspect", "faces.csv", "--encoding", "cp9999"), "argument `encoding`"),
        (("inspect", "faces.csv", "--page", "no/report.html"), "the folder no does not exist"),
        (("prepare", "faces.csv", "out", "--scale", "ten"), "argument `target`"),
        (("prepare", "faces.csv", "out", "--codes", "raf"), "argument `codes`"),
        (("download", "affectnet"), "argument `name`. Expected ferplus"),
        (("download", "ferplus", "--out", "faces.csv"), "faces.csv: a file; expected a folder"),
    ],
)
def test_bad_input(table, tmp_path, monkeypatch, capfd, arguments, match):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capfd, *arguments)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert match in err
