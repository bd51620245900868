"""What `make parity` wrote: see tools/parity/write_fixtures.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).parent / "fixtures"


def arrays(name: str) -> dict[str, np.ndarray]:
    """The arrays of a file, by name; "version/tensorflow_addons" is among them."""
    with np.load(FOLDER / f"{name}.npz", allow_pickle=False) as file:
        return dict(file)


def names() -> dict[str, Any]:
    """The versions, and under "names" all public names of TensorFlow Addons."""
    return json.loads((FOLDER / "names.json").read_text(encoding="utf-8"))
