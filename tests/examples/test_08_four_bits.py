import pytest

from tests.examples.running import refused, run_example

NAME = "08_four_bits.py"


def test_rounded_trained_and_exported(tmp_path, capsys):
    out = tmp_path / "a.tflite"
    run_example(NAME, "--smoke", "--out", out)
    heading, *rows = capsys.readouterr().out.splitlines()
    assert heading.split() == ["accuracy", "valence", "arousal"]
    columns = [row.split()[-3:] for row in rows]
    exact, rounded, _, trained, by_file = columns
    assert rows[0].startswith("as it ships, float32")
    assert rounded != exact
    assert trained != rounded
    assert by_file == trained, "the file gives what training saw"
    assert out.stat().st_size < 260_000


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["--out", "a.tflite"], "say --data, or --smoke"),
        (["--smoke", "--out", "."], "is there already; name another file"),
        (["--data", "nowhere", "--out", "a.tflite"], "nowhere"),
        (["--smoke", "--out", "a.bin"], "a.bin: expected a .tflite in a folder that is there"),
        (["--smoke", "--out", "none/a.tflite"], "expected a .tflite in a folder that is there"),
        (["--smoke", "--out", "a.tflite", "--weights", "huge"], "huge does not ship"),
    ],
)
def test_refusals(tmp_path, monkeypatch, capsys, arguments, match):
    monkeypatch.chdir(tmp_path)
    assert match in refused(capsys, NAME, *arguments)
    assert not (tmp_path / "a.tflite").exists()
