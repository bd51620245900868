"""``keras-affect download``; what it fetches is tested in tests/datasets/test_kaggle.py."""

import pytest

from tests.cli.running import run


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (("download", "affectnet"), "argument `name`. Expected ferplus"),
        (("download", "ferplus", "--out", "faces.csv"), "faces.csv: a file; expected a folder"),
    ],
)
def test_bad_input(tmp_path, monkeypatch, capfd, arguments, match):
    (tmp_path / "faces.csv").write_text("path,emotion\n")
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capfd, *arguments)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert match in err
