"""docs/coming-from-tensorflow-addons.md: cells run, values are TFA's, no name is missing."""

from __future__ import annotations

import re
from dataclasses import dataclass

import keras
import numpy as np
import pytest

from tests.conftest import REPOSITORY
from tests.parity import addons

PAGE = (REPOSITORY / "docs" / "coming-from-tensorflow-addons.md").read_text(encoding="utf-8")
THEIRS = addons.arrays("migration")
CELL = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
NAME = re.compile(r"`(tfa\.[\w.]+)`")
TOLERANCE = {"rtol": 2e-5, "atol": 2e-5}


@dataclass(frozen=True)
class Row:
    """A heading of the third order: names of TFA, what is said of them, and the code."""

    names: list[str]
    text: str
    code: str

    @property
    def same(self) -> bool:
        """Whether the page says that values are TFA's."""
        return "Same values" in self.text


def _parts(text: str, marks: str) -> list[tuple[str, str]]:
    """Each heading with what stands below it."""
    pieces = re.split(rf"^{marks} (.*)$", text, flags=re.MULTILINE)[1:]
    return list(zip(pieces[::2], pieces[1::2], strict=True))


def _rows(section: str) -> list[Row]:
    rows = []
    for heading, body in _parts(section, "###"):
        (code,) = CELL.findall(body)
        rows.append(Row(NAME.findall(heading), CELL.sub("", body), code))
    return rows


OUT_OF_REACH = "Not on this page"
SECTIONS = {
    title.strip("`"): _rows(body) for title, body in _parts(PAGE, "##") if title != OUT_OF_REACH
}
ROWS = [row for rows in SECTIONS.values() for row in rows]
INPUTS = CELL.findall(PAGE)[0]


@pytest.fixture(scope="module")
def inputs():
    """What the page's first cell defines."""
    if keras.backend.backend() != "tensorflow":
        pytest.skip("the page is written for TensorFlow, whose users it is for")
    names: dict[str, object] = {}
    exec(compile(INPUTS, "inputs", "exec"), names)
    return names


def test_inputs_are_those_that_tfa_had(inputs):
    given = {name.removeprefix("input/"): THEIRS[name] for name in THEIRS if "input/" in name}
    assert len(given) > 10
    for name, value in given.items():
        np.testing.assert_allclose(inputs[name], value, rtol=1e-7, err_msg=name)


@pytest.mark.parametrize("section", SECTIONS)
def test_every_cell_runs_and_gives_what_it_says(section, inputs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = dict(inputs)
    for row in SECTIONS[section]:
        names.pop("result", None)
        try:
            exec(compile(row.code, f"{row.names[0]} on the page", "exec"), names)
        except Exception as error:
            error.add_note(f"in the cell of {row.names[0]}")
            raise
        if row.same:
            theirs = THEIRS[row.names[0]]
            ours = np.asarray(keras.tree.map_structure(np.asarray, names["result"]))
            assert ours.shape == theirs.shape, row.names
            np.testing.assert_allclose(ours, theirs, **TOLERANCE, err_msg=row.names[0])
            # The comparison sees an error, and values that would be equal whatever the input.
            assert not np.allclose(ours * 1.01 + 0.01, theirs, **TOLERANCE)
            assert ours.size == 1 or np.ptp(ours) > 0, row.names


def test_values_are_called_the_same_exactly_where_they_are_compared():
    said = {row.names[0] for row in ROWS if row.same}
    assert said == {name for name in THEIRS if name.startswith("tfa.")}
    assert len(said) > 70


def _missing(names: list[str], shown: list[str], left_out: list[str]) -> list[str]:
    """Names that have neither a row nor a reason, given for a name or a module."""
    return [
        name
        for name in names
        if name not in shown
        and not any(name == other or name.startswith(f"{other}.") for other in left_out)
    ]


def test_no_name_is_missing_invented_or_there_twice():
    listed = addons.names()
    assert listed["tensorflow_addons"] == "0.23.0"
    shown = [name for row in ROWS for name in row.names]
    left_out = NAME.findall(dict(_parts(PAGE, "##"))[OUT_OF_REACH])
    assert _missing(listed["names"], shown, left_out) == []
    assert sorted(set(shown)) == sorted(shown)
    assert set(shown) <= set(listed["names"])
    for name in left_out:
        assert name not in shown
        assert any(n == name or n.startswith(f"{name}.") for n in listed["names"]), name


def test_a_missing_name_is_found():
    """The negative control of the test above."""
    names = ["tfa.image.rotate", "tfa.image.rotates", "tfa.text.crf", "tfa.textual"]
    assert _missing(names, ["tfa.image.rotate"], ["tfa.text"]) == [
        "tfa.image.rotates",
        "tfa.textual",
    ]


def test_names_stand_in_the_section_of_their_module():
    for section, rows in SECTIONS.items():
        for row in rows:
            assert row.names[0].startswith(f"{section}."), row.names
