"""The shipped int8 file by export/c/classify.c, on the libLiteRt.so of the Python wheel."""

from __future__ import annotations

import subprocess
from pathlib import Path

import ai_edge_litert
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from tests.conftest import REPOSITORY
from tests.edge.conftest import assert_identical, need

SOURCE = REPOSITORY / "export" / "c" / "classify.c"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = need("cc")
    library = Path(ai_edge_litert.__file__).parent
    built = tmp_path_factory.mktemp("c") / "classify"
    strict = ("-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror")
    linked = ("-L", library, f"-Wl,-rpath,{library}", "-l:libLiteRt.so")
    subprocess.run([compiler, *strict, SOURCE, "-o", built, *linked], check=True)
    return built


def read(line: str) -> dict[str, np.ndarray]:
    """A printed line, "emotion 0.5 ... valence_arousal 0.1 ...", in whichever order."""
    parts: dict[str, list[float]] = {}
    for word in line.split():
        if word[0].isalpha():
            values = parts.setdefault(word, [])
        else:
            values.append(float(word))
    return {name: np.asarray(values, np.float32) for name, values in parts.items()}


def test_outputs_are_those_of_python(
    program: Path, shipped: Path, pictures: np.ndarray, by_python: dict[str, np.ndarray]
) -> None:
    raw = program.with_name("pictures.raw")
    pictures.tofile(raw)
    done = subprocess.run([program, shipped, raw], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = [read(line) for line in done.stdout.splitlines()]
    assert len(lines) == len(pictures)
    found = {name: np.stack([line[name] for line in lines]) for name in lines[0]}
    runner = Interpreter(model_path=str(shipped)).get_signature_runner("serving_default")
    wanted = {}
    for name, details in runner.get_output_details().items():
        scale, zero = details["quantization"]
        wanted[name] = (by_python[name].astype(np.float32) - zero) * np.float32(scale)
    assert_identical(found, wanted, ("emotion", "valence_arousal"))


def test_failures_are_told(program: Path, shipped: Path, tmp_path: Path) -> None:
    def run(*arguments: object) -> tuple[int, str]:
        done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
        return done.returncode, done.stderr

    assert run() == (2, f"usage: {program} MODEL.tflite PICTURES.raw\n")
    code, said = run(shipped, tmp_path / "none.raw")
    assert code == 2
    assert "none.raw: No such file or directory" in said
    code, said = run(tmp_path / "none.tflite", tmp_path / "none.raw")
    assert code == 1
    assert "LiteRtCreateModelFromFile" in said
