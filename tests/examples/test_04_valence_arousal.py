import csv
import re

import numpy as np
import pytest
from PIL import Image

from tests.examples.running import refused, run_example

NAME = "04_valence_arousal.py"


def test_smoke_prints_both_directions_and_draws(tmp_path, capsys):
    out = tmp_path / "circumplex.png"
    run_example(NAME, "--smoke", "--weights", "ferplus_tiny_v3", "--out", out)
    lines = capsys.readouterr().out.splitlines()
    found = re.fullmatch(r"96 rated pictures, (\d+) and (\d+) in the halves", lines[0])
    assert found
    assert sum(map(int, found.groups())) == 96
    figures = [[float(n) for n in re.findall(r"-?\d\.\d{3}", line)] for line in lines[1:]]
    before, *halves, after = figures
    assert len(halves) == 2
    assert len(after) == 4
    np.testing.assert_allclose(np.mean(halves, axis=0), after[::2], atol=2e-3)
    assert before != after[::2]
    with Image.open(out) as picture:
        assert picture.width > 1000


def write_ratings(folder, count=4):
    rows = []
    for number in range(count):
        name = f"face_{number}.png"
        Image.fromarray(np.full((48, 48), number * 20, np.uint8)).save(folder / name)
        rows.append([name, 0.1 * number, 0.0])
    with (folder / "ratings.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["path", "valence", "arousal"], *rows])


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["--out", "new.png"], "name a csv, or say --smoke"),
        (["ratings.csv", "--out", "ratings.csv"], "is there already; name another file"),
        (["ratings.csv", "--out", "none/new.png"], "none is no folder"),
        (["ratings.csv", "--out", "new.png", "--seeds", "0"], "--seeds must be at least 1"),
        (["none.csv", "--out", "new.png"], "No such file or directory: 'none.csv'"),
        # All of one series: they stay together, and leave one half empty.
        (["ratings.csv", "--out", "new.png"], "rated pictures in its halves; expected 8 in each"),
    ],
)
def test_refusals(tmp_path, monkeypatch, capsys, arguments, match):
    monkeypatch.chdir(tmp_path)
    write_ratings(tmp_path)
    assert match in refused(capsys, NAME, *arguments)
    assert not (tmp_path / "new.png").exists()
