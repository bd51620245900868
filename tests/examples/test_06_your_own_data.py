import runpy
import sys

import pytest

from tests.conftest import REPOSITORY


def run(*arguments):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["06_your_own_data.py", *map(str, arguments)])
        runpy.run_path(str(REPOSITORY / "examples" / "06_your_own_data.py"), run_name="__main__")


def test_from_a_folder_and_a_csv_to_a_file_that_runs(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        run("--smoke", "--out", tmp_path / "mine")
    assert not ended.value.code
    lines = capsys.readouterr().out.splitlines()
    learnt, held_out = (int(word) for word in lines[0].split() if word.isdigit())
    assert learnt + held_out == 96
    assert lines[1].startswith("before: accuracy ")
    after = next(line for line in lines if line.startswith("after:"))
    assert "valence CCC 0." in after
    assert "nan" not in "".join(lines)
    assert any(line.startswith("quantization   int8") for line in lines)
    assert lines[-1].split(".png: ")[1].endswith("%")
    assert (tmp_path / "mine" / "model.keras").is_file()


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["--out", "new"], "name a csv, or say --smoke"),
        (["faces.csv", "--smoke", "--out", "new"], "name a csv, or say --smoke"),
        (["faces.csv", "--out", "."], "is there already; name another folder"),
        (["faces.csv", "--out", "new"], "No such file or directory: 'faces.csv'"),
        (
            ["bad.csv", "--out", "new"],
            "bad.csv, row 1: expected a header with a column for picture",
        ),
    ],
)
def test_refusals(tmp_path, monkeypatch, capsys, arguments, match):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.csv").write_text("name,mood\na.png,joy\n")
    with pytest.raises(SystemExit) as ended:
        run(*arguments)
    assert ended.value.code == 2
    assert match in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
