"""What the tests of devices share: the pictures, the shipped file, and the tools that run it.

`make test-edge` installs the tools into build/edge; KERAS_AFFECT_EDGE names another folder.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from keras_affect.datasets import synthetic
from keras_affect.weights import catalog
from tests.conftest import REPOSITORY
from tests.edge.outputs import outputs

TOOLS = Path(os.environ.get("KERAS_AFFECT_EDGE", REPOSITORY / "build" / "edge")).absolute()


def need(tool: str | Path) -> str:
    """The path of a tool, by its own path or by its name on PATH.

    Where it is missing the test is skipped, and with CI=true it fails: there, a test that did
    not run must not look like one that passed.
    """
    found = shutil.which(tool)
    if found is None:
        reason = f"needs {tool}: make test-edge installs it"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


def assert_identical(
    found: Mapping[str, np.ndarray], wanted: Mapping[str, np.ndarray], names: tuple[str, ...]
) -> None:
    """Equal to the bit, for pictures that give different outputs, and unlike another picture's."""
    assert set(found) >= set(names)
    for name in names:
        np.testing.assert_array_equal(found[name], wanted[name])
        rows = np.unique(wanted[name], axis=0)
        assert len(rows) > len(wanted[name]) / 2, f"{name} hardly varies: equality says nothing"
        # The negative control: another picture's outputs are other ones.
        assert (np.roll(found[name], 1, axis=0) != wanted[name]).any(axis=1).mean() > 0.9


@pytest.fixture(scope="session")
def shipped() -> Path:
    """The int8 file in the wheel."""
    return catalog.find("LightweightCNN", "ferplus", "litert").verified_path()


@pytest.fixture(scope="session")
def pictures() -> np.ndarray:
    """64 drawn faces, uint8 `(64, 48, 48, 1)`."""
    return synthetic.arrays(64)[0]


@pytest.fixture(scope="session")
def by_python(shipped: Path, pictures: np.ndarray) -> dict[str, np.ndarray]:
    """What Python's LiteRT gives on one thread: what all others are compared with."""
    return outputs(str(shipped), pictures)
