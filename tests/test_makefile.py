"""The Makefile and tools/make_venv.sh, with small stand-ins for Python and pip.

That the real thing works from a fresh clone is seen in each run of .ci/run, which starts in one.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

MAKE_VENV = REPOSITORY / "tools" / "make_venv.sh"
BASE_PYTHON = shlex.quote(getattr(sys, "_base_executable", sys.executable))
#: This Python, seen as one of version 3.9, or as one without the module that a bare Debian lacks.
TOO_OLD = "sys.version_info = (3, 9, 2, 'final', 0)"
NO_VENV = "sys.modules['ensurepip'] = None"


def _script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def _python(path: Path, changed: str = "") -> Path:
    """An executable that runs this Python, after `changed` where it is given code by -c.

    The environments it makes hold a stand-in for pip, whose real installation takes seconds.
    """
    code = shlex.quote(f"import sys; {changed or 'pass'}; code = sys.argv.pop(1); exec(code)")
    site = f"lib/python3.{sys.version_info.minor}/site-packages"
    return _script(
        path,
        f"""
if [ "$1" = -c ]; then shift; exec {BASE_PYTHON} -c {code} "$@"; fi
[ "$1 $2 $3" = "-m venv --clear" ] || exit 1
{BASE_PYTHON} -m venv --clear --without-pip "$4" && : > "$4/{site}/pip.py"
""",
    )


def _make_venv(folder: Path, python: str = "", on_path: Path | None = None):
    environment = os.environ | ({"PATH": str(on_path)} if on_path else {})
    return subprocess.run(
        [MAKE_VENV, folder, python], env=environment, capture_output=True, text=True, check=False
    )


def _in_venv(folder: Path, code: str) -> str:
    command = [folder / "bin" / "python", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_newest_python_that_starts_makes_the_environment_once(tmp_path):
    names = tmp_path / "names"
    _script(names / "python3.13", "echo 'pyenv: python3.13: command not found' >&2; exit 127")
    _python(names / "python3.12", NO_VENV)
    _python(names / "python3.11", TOO_OLD)
    _python(names / "python3")
    venv = tmp_path / "with a space" / ".venv"

    first = _make_venv(venv, on_path=names)
    assert first.returncode == 0, first.stderr
    assert first.stderr.count("\n") == 1
    assert "is made with" in first.stderr
    assert _in_venv(venv, "import pip, sys; print(sys.prefix)") == str(venv)

    mark = venv / "mark"
    mark.touch()
    again = _make_venv(venv, on_path=names)
    assert (again.returncode, again.stderr) == (0, "")
    assert mark.exists()


def test_environment_is_made_anew_without_pip_or_for_another_python(tmp_path):
    python = str(_python(tmp_path / "python"))
    venv = tmp_path / ".venv"
    assert _make_venv(venv, python).returncode == 0
    mark = venv / "mark"

    mark.touch()
    same = _make_venv(venv, python)
    assert (same.returncode, same.stderr) == (0, "")
    assert mark.exists()

    for pip in venv.rglob("pip.py"):
        pip.unlink()
    assert _make_venv(venv, python).returncode == 0
    assert not mark.exists()

    mark.touch()
    other = _python(tmp_path / "other", "sys.version = 'another build'")
    assert _make_venv(venv, str(other)).returncode == 0
    assert not mark.exists()


def test_one_line_says_that_no_python_fits(tmp_path):
    names = tmp_path / "names"
    _script(names / "python3.13", "exit 127")
    _python(names / "python3.12", NO_VENV)
    _python(names / "python3", TOO_OLD)
    run = _make_venv(tmp_path / ".venv", on_path=names)
    assert run.returncode == 2
    assert run.stderr.count("\n") == 1
    for part in (
        "needs Python 3.11 to 3.13",
        "python3.13 does not start",
        f"python3.12 has no venv module (on Debian and Ubuntu: apt install python3."
        f"{sys.version_info.minor}-venv)",
        "python3.11 is not there",
        "python3 is Python 3.9",
        "make PYTHON=/path/to/python3",
    ):
        assert part in run.stderr
    assert not (tmp_path / ".venv").exists()


@pytest.mark.parametrize(
    ("changed", "expected"),
    [(TOO_OLD, "is Python 3.9"), (NO_VENV, "has no venv module"), (None, "is not there")],
)
def test_one_line_says_that_the_named_python_does_not_fit(tmp_path, changed, expected):
    python = tmp_path / "some python"
    if changed:
        _python(python, changed)
    run = _make_venv(tmp_path / ".venv", python=str(python))
    assert run.returncode == 2
    assert run.stderr.count("\n") == 1
    assert f"PYTHON={python} {expected}" in run.stderr
    assert not (tmp_path / ".venv").exists()


@pytest.fixture
def clone(tmp_path):
    """A folder with the Makefile and an environment whose pip and commands write down their calls.

    pip fails as long as a file `broken` lies there.
    """
    folder = tmp_path / "a clone"
    shutil.copytree(REPOSITORY / "tools", folder / "tools")
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(REPOSITORY / name, folder)
    real = shlex.quote(sys.executable)
    for environment in (".venv", ".venv-backends"):
        _script(
            folder / environment / "bin" / "python",
            f'if [ "$1" = -c ]; then exec {real} "$@"; fi\n'
            'printf \'<%s>\' "$KERAS_BACKEND""$@" >> calls; echo >> calls; [ ! -e broken ]',
        )
    for name in ("keras-affect", "ruff", "mypy"):
        _script(
            folder / ".venv" / "bin" / name,
            f"printf '<%s>' {name} \"$@\" >> calls; echo >> calls",
        )
    return folder


def _make(clone: Path, *arguments: str) -> tuple[int, list[str]]:
    """The exit code, and the calls that the targets made."""
    (clone / "calls").unlink(missing_ok=True)
    # The outer make's variables, such as ARGS of `make test ARGS=...`, are not meant for this one.
    made = {"MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MFLAGS", "ARGS", "DATA", "PYTHON"}
    environment = {name: value for name, value in os.environ.items() if name not in made}
    run = subprocess.run(
        ["make", *arguments],
        cwd=clone,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    calls = clone / "calls"
    return run.returncode, calls.read_text().splitlines() if calls.exists() else []


def _installs(calls: list[str]) -> list[str]:
    return [call for call in calls if "<pip>" in call]


def test_install_happens_once_and_again_when_pyproject_changes(clone):
    code, calls = _make(clone, "install")
    assert code == 0
    assert len(calls) == 1
    assert calls[0].endswith("<install><--editable><.[tensorflow,faces]>")

    assert _make(clone, "install") == (0, [])

    later = (clone / ".venv" / ".stamp-runs").stat().st_mtime + 10
    os.utime(clone / "pyproject.toml", (later, later))
    assert len(_installs(_make(clone, "install")[1])) == 1


def test_install_that_failed_is_tried_again(clone):
    (clone / "broken").touch()
    code, calls = _make(clone, "test")
    assert code != 0
    assert len(calls) == 1, "pytest must not run after an install that failed"
    (clone / "broken").unlink()
    code, calls = _make(clone, "test")
    assert code == 0
    assert calls[0].endswith("<install><--editable><.[dev]>")
    assert calls[1:] == ["<-m><pytest><-n><auto><--maxprocesses><4><--dist><loadfile>"]


def test_demo_after_test_installs_nothing_more(clone):
    _make(clone, "test")
    assert _make(clone, "demo") == (0, ["<keras-affect><demo>"])


def test_demo_takes_a_folder_with_spaces_and_a_dollar(clone):
    code, calls = _make(clone, "demo", "DATA=/data/FER plus $$1")
    assert code == 0
    assert calls[-1] == "<keras-affect><demo><--data></data/FER plus $1>"


def test_other_backends_are_tested_in_an_environment_of_their_own(clone):
    code, calls = _make(clone, "test-backends", "ARGS=-k cutout")
    assert code == 0
    assert calls[0].endswith("<install><--editable><.[test-backends]>")
    assert [call.partition("<")[2].partition(">")[0] for call in calls[1:]] == ["jax-m", "torch-m"]
    for call in calls[1:]:
        assert call.endswith("<-k><cutout>")
        named = re.findall(r"<(tests/[^>]*)>", call)
        assert "tests/contract" in named
        assert all((REPOSITORY / name).exists() for name in named)
    assert not (clone / ".venv" / ".stamp-runs").exists()


def test_lint_stops_at_the_first_complaint_and_changes_nothing(clone):
    code, calls = _make(clone, "lint")
    assert code == 0
    assert calls[1:] == ["<ruff><check><.>", "<ruff><format><--check><.>", "<mypy>"]
    _script(clone / ".venv" / "bin" / "ruff", "exit 1")
    assert _make(clone, "lint")[0] != 0


def test_help_lists_every_target_that_is_meant_for_hands(clone):
    # Under `make test` this make is one within another, which would name the folders it enters.
    command = ["make", "--no-print-directory"]
    shown = subprocess.run(command, cwd=clone, capture_output=True, text=True, check=True).stdout
    listed = {line.split()[1] for line in shown.splitlines()}
    assert {"install", "demo", "test", "lint", "wheel", "clean", "help"} <= listed
    phony = next(
        line for line in (clone / "Makefile").read_text().splitlines() if line.startswith(".PHONY")
    )
    assert listed == set(phony.split()[1:]) - {"FORCE"}


def test_asking_what_make_wheel_does_removes_no_page(clone):
    """`make -n` runs lines that hold $(MAKE), and tests ask it what targets do."""
    page = clone / "keras_affect" / "demo" / "web_files" / "index.html"
    page.parent.mkdir(parents=True)
    page.touch()
    without_node = os.environ | {"PATH": "/usr/bin:/bin", "HOME": str(clone)}
    _script(clone / "tools" / "with_node.sh", "exit 1")
    run = subprocess.run(
        ["make", "-n", "wheel"],
        cwd=clone, env=without_node, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert page.exists()
    assert "rm -rf" in run.stdout
