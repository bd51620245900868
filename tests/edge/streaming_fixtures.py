"""Write streaming models, frames for them, and what Python says at each: the browser's reference.

python -m tests.edge.streaming_fixtures build/edge/browser

stream_int8.tflite stream_float32.tflite   an LSTM over the encoder that ships
stream_frames.bin                          64 frames of a drawn clip, (64, 48, 48, 1) bytes
stream.json                                by file and output, the numbers at each frame
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from keras_affect import export, models
from keras_affect.runtime import StreamingAffect
from tests.export.trained_clips import drawn_clips

QUANTIZATIONS = ("int8", "float32")
UNITS = 32


def model() -> models.TemporalAffect:
    """Weights that nobody trained, but as large as after training: their state moves outputs."""
    made = models.TemporalAffect(units=UNITS)
    rng = np.random.default_rng(0)
    for layer in made.layers:
        if layer.name != "encoder":
            layer.set_weights([rng.normal(0, 0.25, of.shape) for of in layer.get_weights()])
    return made


def outputs(path: Path, frames: np.ndarray) -> dict[str, list[list[float]]]:
    """The file's outputs and states behind each frame of a clip."""
    stream = StreamingAffect(path)
    found: dict[str, list[list[float]]] = {}
    for frame in frames:
        given = stream.run(frame)
        given |= {name: values[0] for name, values in stream.state.items()}
        for name, values in given.items():
            found.setdefault(name, []).append(values.tolist())
    return found


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    (frames,), _ = drawn_clips(1, seed=3)
    seen, _ = drawn_clips(2, seed=4)
    made = model()
    reference = {}
    for quantization in QUANTIZATIONS:
        path = target / f"stream_{quantization}.tflite"
        export.to_litert_streaming(made, path, quantization, seen, overwrite=True)
        reference[path.name] = outputs(path, frames)
    (target / "stream_frames.bin").write_bytes(frames.tobytes())
    (target / "stream.json").write_text(json.dumps(reference), encoding="utf-8")


if __name__ == "__main__":
    main()
