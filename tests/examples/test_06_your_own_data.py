import pytest

from tests.examples.running import refused, run_example

NAME = "06_your_own_data.py"


def test_from_a_folder_and_a_csv_to_a_file_that_runs(tmp_path, capsys):
    run_example(NAME, "--smoke", "--out", tmp_path / "mine")
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
    assert match in refused(capsys, NAME, *arguments)
    assert not (tmp_path / "new").exists()
