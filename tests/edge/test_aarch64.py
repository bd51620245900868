"""The shipped int8 file on 64-bit ARM: the aarch64 wheels of LiteRT and NumPy under qemu-user."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np

from tests.edge.conftest import TOOLS, assert_identical, need

# The processor that the root's /proc/cpuinfo describes: LiteRT chooses its kernels by that. On the
# default of qemu 7.2, which has every extension, the int8 kernels give one output for all pictures.
_CPU = "cortex-a76"


def test_outputs_are_those_of_x86(
    shipped: Path, pictures: np.ndarray, by_python: dict[str, np.ndarray], tmp_path: Path
) -> None:
    qemu = need("qemu-aarch64-static")
    root = TOOLS / "arm64"
    python = Path(need(root / "usr" / "bin" / "python3")).resolve()
    np.save(tmp_path / "pictures.npy", pictures)
    script = Path(__file__).with_name("outputs.py")
    files = (shipped, tmp_path / "pictures.npy", tmp_path / "outputs.npz")
    done = subprocess.run(
        [qemu, "-cpu", _CPU, "-L", root, python, script, *files],
        env={"PYTHONPATH": str(root / "site"), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "outputs.npz") as found:
        assert str(found["machine"]) == "aarch64", "it ran on the processor under test"
        assert_identical(dict(found), by_python, ("emotion", "valence_arousal"))
