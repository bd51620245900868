"""Run an example as its header says, in this process: another would load TensorFlow once more."""

from __future__ import annotations

import runpy
import sys

import pytest

from tests.conftest import REPOSITORY


def run_example(name: str, *arguments: object) -> None:
    """`python examples/NAME ARGUMENTS`."""
    path = REPOSITORY / "examples" / name
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [str(path), *map(str, arguments)])
        runpy.run_path(str(path), run_name="__main__")


def refused(capsys: pytest.CaptureFixture[str], name: str, *arguments: object) -> str:
    """What an example says of bad arguments; that it ends with exit code 2."""
    with pytest.raises(SystemExit) as ended:
        run_example(name, *arguments)
    assert ended.value.code == 2
    return capsys.readouterr().err.splitlines()[-1]
