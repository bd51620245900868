"""What an exported file gives for clips, beside what the Keras model gives at each frame."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert.interpreter import Interpreter

from keras_affect.export.recurrent import Parts

__all__ = ["Clips", "clip_file", "keras_clips", "streaming_file", "windows"]

#: float32 `(clips, time, ...)`.
Clips = npt.NDArray[np.float32]

Progress = Callable[[int, int], None]


def windows(frames: npt.NDArray[np.float32], time: int) -> Clips:
    """Frames cut into clips of `time`; the last goes on with the first frames if need be.

    Args:
        frames: `(frames, height, width, channels)`.
        time: Frames of a clip.

    Returns:
        `(clips, time, height, width, channels)`.
    """
    clips = -(-len(frames) // time)
    places = np.arange(clips * time) % len(frames)
    return frames[places].reshape(clips, time, *frames.shape[1:])


def keras_clips(model: Any, parts: Parts, clips: Clips) -> dict[str, Clips]:
    """The model's outputs at each frame, each `(clips, time, numbers)`.

    The emotion too, which the model itself gives of the last frame alone.
    """
    import keras
    from keras import ops

    recurrent = model.get_layer("lstm" if parts.lstm in model.layers else "lstm_drop_connect")
    # A model of the layer's output, and the heads called on its numbers: calling them on its
    # symbols would leave a second place of theirs in the caller's model.
    sequence = keras.Model(model.input, recurrent.output[0])
    found: dict[str, list[Clips]] = {name: [] for name in parts.heads}
    for clip in clips:  # one at a time: memory is that of one clip's frames
        for name, values in parts.outputs(sequence(clip[np.newaxis], training=False)).items():
            found[name].append(ops.convert_to_numpy(values))
    return {name: np.concatenate(values) for name, values in found.items()}


def streaming_file(
    content: bytes, clips: Clips, states: Sequence[str], progress: Progress | None = None
) -> dict[str, Clips]:
    """A streaming file's outputs at each frame, each clip begun from a state of 0."""
    runner = Interpreter(model_content=content).get_signature_runner("serving_default")
    inputs = runner.get_input_details()
    (image,) = (name for name in inputs if name not in states)
    found: dict[str, list[list[Any]]] = {}
    for place, clip in enumerate(clips):
        state = {name: np.zeros(inputs[name]["shape"], np.float32) for name in states}
        for frame in clip.astype(inputs[image]["dtype"]):
            outputs = runner(**{image: frame[np.newaxis]}, **state)
            # Copies: the interpreter may give views of what it writes to next.
            state = {name: outputs.pop(name).copy() for name in states}
            for name, values in outputs.items():
                found.setdefault(name, [[] for _ in clips])[place].append(values[0].copy())
        if progress is not None:
            progress(place + 1, len(clips))
    return {name: np.array(values, np.float32) for name, values in found.items()}


def clip_file(
    content: bytes, clips: Clips, input_name: str, progress: Progress | None = None
) -> dict[str, Clips]:
    """A clip file's outputs: the emotion `(clips, 1, classes)`, all others at each frame."""
    runner = Interpreter(model_content=content).get_signature_runner("serving_default")
    dtype = runner.get_input_details()[input_name]["dtype"]
    found: dict[str, list[Any]] = {}
    for place, clip in enumerate(clips):
        outputs = runner(**{input_name: clip[np.newaxis].astype(dtype)})
        for name, values in outputs.items():
            found.setdefault(name, []).append(values.reshape(-1, values.shape[-1]).copy())
        if progress is not None:
            progress(place + 1, len(clips))
    return {name: np.array(values, np.float32) for name, values in found.items()}
