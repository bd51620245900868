"""Every public layer and metric on two replicas, each in a process of its own.

In one process a second strategy fails on the first one's collectives.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.conftest import REPOSITORY
from tests.contract.specimens import LAYERS, METRICS, name_of

keras = pytest.importorskip("keras")
if keras.backend.backend() != "tensorflow":
    pytest.skip("tf.distribute is TensorFlow's", allow_module_level=True)

# Of each public name the first specimen, and those that assign variables or losses of their own
# in a step: a process takes seconds.
FIRST = {name_of(label): label for label in reversed([*LAYERS, *METRICS])}
LABELS = [*FIRST.values(), "layers.DropConnect, LSTM", "layers.StochasticDepth, branch a batch"]


@pytest.mark.parametrize("label", LABELS)
def test_two_replicas(label):
    done = subprocess.run(
        [sys.executable, "-m", "tests.contract.mirrored", label],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
