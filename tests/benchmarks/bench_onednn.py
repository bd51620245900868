"""What a training step takes with TensorFlow's oneDNN kernels, which `keras-affect train` asks for,
of the same step with those that TensorFlow takes by itself.

On a processor with AVX-512 VNNI it takes them by itself: there the ratio is 1.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

SETTING = "TF_ENABLE_ONEDNN_OPTS"
# Which kernels are taken is decided when TensorFlow loads: each contender is a process, which
# makes a step whenever it reads a line.
CODE = """
import sys

import keras
import numpy as np

from keras_affect import models

width, batch = float(sys.argv[1]), int(sys.argv[2])
model = models.LightweightCNN(weights=None, width=width, valence_arousal=False, dtype="float32")
model.compile(
    keras.optimizers.SGD(0.01, momentum=0.9), "categorical_crossentropy", jit_compile=False
)
rng = np.random.default_rng(0)
x = rng.uniform(0, 255, (batch, 48, 48, 1)).astype(np.float32)
y = {"emotion": np.eye(8, dtype=np.float32)[rng.integers(0, 8, batch)]}
for line in sys.stdin:
    model.train_on_batch(x, y)
    print("done", flush=True)
"""


class Trainer:
    """A process that makes training steps, one a call."""

    def __init__(self, environment: dict[str, str], width: float, batch: int) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", CODE, str(width), str(batch)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __call__(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("step\n")
        self.process.stdin.flush()
        if self.process.stdout.readline() != "done\n":
            raise RuntimeError("the training process ended: see its standard error")

    def __enter__(self) -> Trainer:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.communicate()


def test_training_step(compare: Any, smoke: bool) -> None:
    size = (0.25, 4) if smoke else (1.0, 128)
    by_itself = {name: value for name, value in os.environ.items() if name != SETTING}
    with Trainer(by_itself | {SETTING: "1"}, *size) as ours, Trainer(by_itself, *size) as other:
        compare(
            "training step, float32, oneDNN / TensorFlow's choice",
            ours,
            other,
            rounds=15,
            warmups=3,
        )
