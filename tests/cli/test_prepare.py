"""``keras-affect prepare``."""

import numpy as np
import pytest

from keras_affect.datasets import records
from tests.cli.running import run
from tests.datasets.test_ferplus import HAPPY, SAD, SPLIT_VOTE, write_folder


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
    code, _, err = run(
        capfd, "prepare", tmp_path / "ferplus", tmp_path / "out", *options, "--crop", "box"
    )
    assert code == 2
    assert "FER+ goes without --crop" in err
    code, *_ = run(capfd, "prepare", tmp_path / "ferplus", tmp_path / "out", *options)
    assert code == 0
    index = records.read_index(tmp_path / "out")
    assert (len(index), index.split, index.shape) == (2, "train", (48, 48, 1))


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (("prepare", "faces.csv", "out", "--scale", "ten"), "argument `target`"),
        (("prepare", "faces.csv", "out", "--codes", "raf"), "argument `codes`"),
        (
            ("prepare", "nowhere", "out", "--split", "train", "--labels", "majority"),
            "nowhere: no such csv or folder",
        ),
        (("prepare", "faces.csv", "out", "--crop", "box"), "faces.csv: a csv goes without --crop"),
        (("prepare", "faces.csv", "out", "--labels", "majority"), "a csv goes without --labels"),
        (
            ("prepare", ".", "out", "--root", "faces", "--scale", "five", "--encoding", "cp949"),
            ".: a folder of AffectNet goes without --root, --scale, --encoding",
        ),
    ],
)
def test_bad_input(table, tmp_path, monkeypatch, capfd, arguments, match):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capfd, *arguments)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert match in err
