"""What the README shows can be run: its Python, its commands, its links."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import matplotlib
import pytest
import typer.main

import keras_affect
from keras_affect import cli
from tests.conftest import REPOSITORY

README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
PHOTO = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.DOTALL | re.MULTILINE)


def _commands(program: str) -> list[list[str]]:
    lines = [shlex.split(line) for block in _blocks("console") for line in block.splitlines()]
    return [line[1:] for line in lines if line[0] == program]


@pytest.fixture
def here(tmp_path, monkeypatch):
    shutil.copy(PHOTO, tmp_path / "photo.jpg")
    shutil.copy(PHOTO, tmp_path / "face.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


# The README says that it warns.
@pytest.mark.filterwarnings("ignore:LightweightCNN.* was trained for 8 classes:UserWarning")
@pytest.mark.parametrize("code", _blocks("python"), ids=lambda code: code.split("\n")[-2][:30])
def test_python_runs(code, here):
    exec(compile(code, "README.md", "exec"), {})


def test_there_is_python_and_every_command():
    assert len(_blocks("python")) >= 2
    shown = {arguments[0] for arguments in _commands("keras-affect")}
    assert shown >= {"train", "evaluate", "export", "predict"}


@pytest.mark.parametrize("arguments", _commands("keras-affect"), ids=" ".join)
def test_command_line_takes_the_arguments(arguments, here):
    name, *rest = arguments
    command = typer.main.get_command(cli.app).commands[name]
    command.make_context(name, list(rest))


def test_command_line_refuses_what_it_does_not_know(here):
    """The negative control of the test above."""
    command = typer.main.get_command(cli.app).commands["predict"]
    with pytest.raises(Exception, match="No such option"):
        command.make_context("predict", ["photo.jpg", "--annotated", "x.png"])


def test_targets_of_make_are_there():
    named = {word for line in _commands("make") for word in line}
    named |= set(re.findall(r"`make ([a-z]+)`", README))
    assert named >= {"demo", "test", "wheel", "help"}
    for target in named:
        subprocess.run(["make", "-n", target], cwd=REPOSITORY, check=True, capture_output=True)


@pytest.mark.parametrize("document", ["README.md", "ARCHITECTURE.md", "CHANGELOG.md"])
def test_links_lead_somewhere(document):
    text = (REPOSITORY / document).read_text(encoding="utf-8")
    headings = {
        re.sub(r"[^\w\s-]", "", heading).strip().lower().replace(" ", "-")
        for heading in re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    }
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if target.startswith("#"):
            assert target[1:] in headings
        elif not target.startswith("https://"):
            assert (REPOSITORY / target).exists(), target


def test_files_of_the_project_name_the_same_version():
    citation = (REPOSITORY / "CITATION.cff").read_text(encoding="utf-8")
    assert re.search(r"^version: (.+)$", citation, flags=re.MULTILINE)[1] == (
        keras_affect.__version__
    )
    changes = (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(r"^## \[(.+?)\]", changes, flags=re.MULTILINE)[1] in (
        "Unreleased",
        keras_affect.__version__,
    )


def test_files_that_the_architecture_names_are_there():
    text = (REPOSITORY / "ARCHITECTURE.md").read_text(encoding="utf-8")
    named = set(re.findall(r"[\w/.]+\.(?:py|sh|toml)\b", text))
    assert len(named) > 30
    there = [
        f"/{path.relative_to(REPOSITORY).as_posix()}"
        for folder in ("keras_affect", "tests", "tools")
        for path in (REPOSITORY / folder).rglob("*")
    ]
    # Of export not all: the page's packages may be installed below it.
    there += [f"/export/{path.name}" for path in (REPOSITORY / "export").iterdir()]
    there.append("/pyproject.toml")
    assert not {name for name in named if not any(path.endswith(f"/{name}") for path in there)}
