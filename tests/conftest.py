"""Fixtures shared by all tests."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

# Set before TensorFlow loads: its start-up notes would drown a failing test's own output.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# The same kernels on every x86 processor: TensorFlow takes oneDNN's only where there are
# instructions for neural networks, and its own compute no convolution with the channels first.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

REPOSITORY = Path(__file__).resolve().parents[1]


def _find_shared_data() -> Path | None:
    named = os.environ.get("KERAS_AFFECT_TEST_DATA")
    folder = Path(named) if named else REPOSITORY.parent / "shared" / "data"
    return folder if (folder / "unpack.py").is_file() else None


@pytest.fixture(scope="session")
def ferplus_root() -> Path:
    """FER+ train and valid in the official folders, unpacked once a machine."""
    data = _find_shared_data()
    if data is None:
        reason = (
            "needs FER+ (its pictures may not be passed on): put unpack.py and its sheets in "
            "../shared/data, or name their folder in KERAS_AFFECT_TEST_DATA"
        )
        # Where a change is judged, a test that did not run must not look like one that passed.
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    target = Path(tempfile.gettempdir()) / f"keras_affect_ferplus_{os.getuid()}"
    if not target.is_dir():
        # Unpacked beside and renamed, so that an interrupted run leaves no half of it.
        with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
            unpacked = Path(scratch) / "out"
            subprocess.run([sys.executable, data / "unpack.py", unpacked], check=True)
            try:
                unpacked.rename(target)
            except OSError:
                # Another of the processes that share the tests was first.
                if not target.is_dir():
                    raise
    return target
