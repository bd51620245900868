import pytest
from PIL import Image

from tests.examples.running import refused, run_example

NAME = "02_activations_and_initializers.py"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """What the short run prints, and the plot it writes."""
    path = tmp_path_factory.mktemp("plot") / "plot.png"
    with pytest.MonkeyPatch.context() as patch:
        lines = []
        patch.setattr("builtins.print", lambda *parts, **_: lines.append(" ".join(map(str, parts))))
        run_example(NAME, "--smoke", "--out", path)
    return lines, path


def test_table(run):
    lines, path = run
    assert lines[-1] == str(path)
    rows = {line[:28].strip(): line[28:].split() for line in lines[2:-1]}
    assert [" ".join(name.split()) for name in rows] == [
        f"{activation} {rule}"
        for activation in ("sigmoid", "relu")
        for rule in ("Xavier", "MSRA", "zero", "MSRA then zero")
    ]
    first, last, start, end, _ = zip(*rows.values(), strict=True)
    first, last = ([float(value) for value in values] for values in (first, last))
    sigmoid, relu = slice(0, 4), slice(4, 8)
    for part in (sigmoid, relu):
        pairs = zip(first[part], last[part], strict=True)
        xavier, msra, zero, residual = (
            after / before if before else after for before, after in pairs
        )
        # Through two pairs already: what zeros behind a shortcut keep, and the others lose.
        assert xavier < msra < residual == pytest.approx(1, rel=1e-2)
        assert zero == 0
    assert last[0] < 1e-3 < last[4]
    assert all(0 < float(value) < 4 for value in (*start, *end))


def test_plot(run):
    _, path = run
    with Image.open(path) as picture:
        assert picture.size[0] > 800
        colours = {colour for _, colour in picture.convert("RGB").getcolors(1 << 20)}
    # A line for each rule.
    assert {(0, 114, 178), (213, 94, 0), (102, 102, 102), (0, 158, 115)} <= colours


def test_refusals(run, capsys, tmp_path):
    _, path = run
    assert "is there already; --overwrite replaces it" in refused(capsys, NAME, "--out", path)
    out = tmp_path / "plot.png"
    assert str(tmp_path / "none") in refused(
        capsys, NAME, "--out", out, "--data", tmp_path / "none"
    )
    assert "--epochs must be 1 or more" in refused(capsys, NAME, "--epochs", 0)
    assert "is no folder" in refused(capsys, NAME, "--out", tmp_path / "none" / "plot.png")
    assert not out.exists()
