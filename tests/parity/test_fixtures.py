"""The files that `make parity` wrote are of the versions that it installs, and all are there."""

from __future__ import annotations

import re

import pytest

from tests.conftest import REPOSITORY
from tests.parity import addons

REQUIREMENTS = (REPOSITORY / "tools" / "parity" / "requirements.txt").read_text(encoding="utf-8")
PINNED = {
    name.replace("-cpu", "").replace("-", "_"): version
    for name, version in re.findall(r"^([\w-]+)==([\w.]+)$", REQUIREMENTS, re.MULTILINE)
}


@pytest.mark.parametrize(
    "name", ["cutout", "fractional_pooling", "migration", "names", "stochastic_depth"]
)
def test_versions_are_those_that_are_pinned(name):
    assert PINNED.keys() == {"tensorflow", "tensorflow_addons"}
    if name == "names":
        versions = {package: addons.names()[package] for package in PINNED}
    else:
        arrays = addons.arrays(name)
        versions = {package: str(arrays[f"version/{package}"]) for package in PINNED}
    assert versions == PINNED


def test_no_other_file_lies_there():
    names = {path.stem for path in addons.FOLDER.iterdir()}
    assert names == {"cutout", "fractional_pooling", "migration", "names", "stochastic_depth"}
