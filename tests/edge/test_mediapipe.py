"""MediaPipe Tasks' own ImageClassifier on what `to_litert(for_mediapipe=True)` writes.

MediaPipe lives in an environment of its own. The classifier is the one of Android, iOS and the
web; here its Python package runs it.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np

from keras_affect import emotions
from tests.edge.conftest import TOOLS, need
from tests.edge.outputs import outputs


def test_categories_are_those_of_keras(pictures: np.ndarray, tmp_path: Path) -> None:
    python = need(TOOLS / "mediapipe" / "bin" / "python")
    from keras_affect.export import to_litert
    from keras_affect.models import LightweightCNN

    model, path = LightweightCNN(), tmp_path / "mediapipe.tflite"
    to_litert(model, path, calibration=pictures, for_mediapipe=True)
    colour = pictures.repeat(3, axis=3)
    np.save(tmp_path / "pictures.npy", colour)
    script = Path(__file__).with_name("mediapipe_classify.py")
    done = subprocess.run(
        [python, script, path, tmp_path / "pictures.npy"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    categories = json.loads(done.stdout.splitlines()[-1])
    assert all(set(scores) == set(emotions.NAMES) for scores in categories), "labels were read"
    found = np.array([[scores[name] for name in emotions.NAMES] for scores in categories])

    # MediaPipe's scores are LiteRT's outputs to the bit.
    np.testing.assert_array_equal(found, outputs(str(path), colour)["emotion"] / 256)
    # And Keras's but for int8: drawings lie far from the photographs that the model learnt from,
    # so that its two first choices can be close.
    wanted = np.asarray(model(pictures.astype(np.float32), training=False)["emotion"])
    first, second = np.sort(wanted, axis=1)[:, :-3:-1].T
    is_clear = first - second > 0.15
    assert is_clear.sum() > 30
    assert len(np.unique(wanted[is_clear].argmax(1))) > 2, "the labels vary"
    np.testing.assert_array_equal(found.argmax(1)[is_clear], wanted.argmax(1)[is_clear])
    assert np.abs(found - wanted).mean() < 0.02
    # The negative control: another picture's scores would not pass.
    assert np.abs(np.roll(found, 1, axis=0) - wanted).mean() > 0.1
