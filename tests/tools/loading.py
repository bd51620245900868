"""The scripts in tools/, which is no package, as modules."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType

from tests.conftest import REPOSITORY


def script(name: str) -> ModuleType:
    """tools/NAME.py, not run as a program."""
    folder = REPOSITORY / "tools"
    spec = importlib.util.spec_from_file_location(name, folder / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Scripts find those beside them, as Python lets a program.
    sys.path.insert(0, str(folder))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(folder))
    return module
