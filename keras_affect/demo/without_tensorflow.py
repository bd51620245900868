"""What the demo's other process runs: an exported file on many faces, and no TensorFlow.

``python -m keras_affect.demo.without_tensorflow MODEL.tflite IMAGES.npy OUT.json`` writes the
predictions, and which of TensorFlow, Keras, JAX and PyTorch the process had loaded by its end.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np

from keras_affect.runtime import AffectInterpreter

__all__ = ["read_faces"]

_FRAMEWORKS = ("jax", "keras", "tensorflow", "torch")


def read_faces(model: str | Path, images: str | Path, out: str | Path) -> None:
    """Predict every image and write what came out as JSON.

    Args:
        model: A ``.tflite``.
        images: A ``.npy`` file of uint8 `(count, 48, 48, 1)` in [0, 255].
        out: Where to write {"emotion": count rows of probabilities in the order of
            `emotions.NAMES`, "valence_arousal": count rows of (valence, arousal), "milliseconds":
            the time for one face, "loaded": the frameworks among the loaded modules}.
    """
    interpreter = AffectInterpreter(model)
    faces = np.load(images)
    started = time.perf_counter()
    outputs = interpreter.run(faces)
    seconds = time.perf_counter() - started
    found = {
        **{name: rows.tolist() for name, rows in outputs.items()},
        "milliseconds": 1000 * seconds / len(faces),
        "loaded": [name for name in _FRAMEWORKS if name in sys.modules],
    }
    Path(out).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    read_faces(*sys.argv[1:])
