import re

import pytest
from PIL import Image

from tests.examples.running import refused, run_example

NAME = "01_regression_from_scratch.py"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """What the short run prints, and the plot it writes."""
    path = tmp_path_factory.mktemp("plot") / "plot.png"
    with pytest.MonkeyPatch.context() as patch:
        lines = []
        patch.setattr("builtins.print", lambda *parts, **_: lines.append(" ".join(map(str, parts))))
        run_example(NAME, "--smoke", "--out", path)
    return lines, path


def costs_of(line):
    return [float(value) for value in re.findall(r"([\d.e+-]+|inf) at step", line)]


def test_small_right_and_too_large_rates(run):
    lines, _ = run
    small, right, large = (costs_of(line) for line in lines[1:4])
    assert small[0] == right[0] == large[0]
    # All fall at first or crawl; the right one is done where the small one is on its way.
    assert right[2] < small[2] < small[0]
    assert right[-1] <= small[-1]
    assert large[-1] > 10 * large[0]


def test_three_ways_agree(run):
    lines, _ = run
    rows = [line for line in lines if "largest difference" in line]
    assert [row[:26].strip() for row in rows] == [
        "NumPy, gradient descent",
        "closed form",
        "Keras, Dense and SGD",
    ]
    assert all(float(row.split()[-1]) < 1e-3 for row in rows)


def test_it_predicts(run):
    (line,) = (line for line in run[0] if line.startswith("held out"))
    correlations = [float(value) for value in re.findall(r"CCC ([\d.-]+)", line)]
    assert len(correlations) == 2
    assert min(correlations) > 0.1


def test_plot(run):
    lines, path = run
    assert lines[-1] == str(path)
    with Image.open(path) as picture:
        assert picture.size[0] > 800
        colours = {colour for _, colour in picture.convert("RGB").getcolors(1 << 20)}
    assert {(0, 114, 178), (0, 158, 115), (213, 94, 0)} <= colours


def test_refusals(run, capsys, tmp_path):
    _, path = run
    assert "is there already; --overwrite replaces it" in refused(capsys, NAME, "--out", path)
    out = tmp_path / "plot.png"
    assert str(tmp_path / "none") in refused(
        capsys, NAME, "--out", out, "--data", tmp_path / "none"
    )
    assert "--steps must be 1 or more" in refused(capsys, NAME, "--steps", 0)
    assert not out.exists()
