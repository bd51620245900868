"""The graphs of a recurrent model as a device runs them, and their conversion."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from keras_affect.export.conversion import INPUT_NAME, _run_child
from keras_affect.export.quantization import QuantizationConfig

__all__ = ["FRAMES_NAME", "STATES", "Graph", "Parts", "clip_graph", "convert", "streaming_graph"]

#: The name of a whole clip's input in the file's signature.
FRAMES_NAME = "frames"
#: The names of the LSTM's output and cell, as inputs and as outputs.
STATES = ("hidden_state", "cell_state")

_CHILD = Path(__file__).with_name("_convert_temporal.py")
# Operators in this name scope, and those behind them, stay float32 in an int8 file.
_SCOPE = "recurrent_part"


@dataclass(frozen=True)
class Parts:
    """The layers that a `TemporalAffect` is made of, found by name: a copy has them too.

    Attributes:
        encoder: The `FrameEncoder`.
        lstm: The LSTM, without DropConnect around it.
        heads: The dense layers, by the name of their output.
        frame_shape: (height, width, channels).
    """

    encoder: Any
    lstm: Any
    heads: dict[str, Any]
    frame_shape: tuple[int, int, int]

    @classmethod
    def of(cls, model: Any) -> Parts:
        """The parts of a model, or of a copy of it in another precision."""
        layers = {layer.name: layer for layer in model.layers}
        lstm = layers["lstm"] if "lstm" in layers else layers["lstm_drop_connect"].layer
        heads = {name: layers[name] for name in ("emotion", "valence_arousal") if name in layers}
        return cls(layers["encoder"], lstm, heads, tuple(model.input_shape[2:]))

    def outputs(self, hidden: Any) -> dict[str, Any]:
        """What the heads make of the LSTM's output, `(batch, units)` or `(batch, time, units)`."""
        return {name: head(hidden) for name, head in self.heads.items()}


@dataclass(frozen=True)
class Graph:
    """What is traced: a function, and what goes into it.

    Attributes:
        serve: From inputs to outputs by name.
        input: The name of the input that takes pixels.
        input_shape: Its shape, with a batch of one.
        states: Shapes of the inputs that are states, by name; float32.
    """

    serve: Callable[..., dict[str, Any]]
    input: str
    input_shape: tuple[int, ...]
    states: dict[str, tuple[int, ...]]


def streaming_graph(parts: Parts) -> Graph:
    """One frame and the state before it in; outputs and the state behind it out."""
    import tensorflow as tf

    def serve(image: Any, hidden_state: Any, cell_state: Any) -> dict[str, Any]:
        features = parts.encoder.encode(tf.cast(image, tf.float32))
        with tf.name_scope(_SCOPE):
            hidden, (_, cell) = parts.lstm.cell(features, [hidden_state, cell_state])
            return {**parts.outputs(hidden), STATES[0]: hidden, STATES[1]: cell}

    return Graph(
        serve,
        INPUT_NAME,
        (1, *parts.frame_shape),
        dict.fromkeys(STATES, (1, parts.lstm.units)),
    )


def clip_graph(parts: Parts, time: int) -> Graph:
    """A whole clip in, its outputs out: each step of the LSTM written out, with no loop."""
    import tensorflow as tf

    def serve(frames: Any) -> dict[str, Any]:
        features = parts.encoder.encode(tf.cast(frames[0], tf.float32))
        with tf.name_scope(_SCOPE):
            states = [tf.zeros((1, parts.lstm.units)) for _ in STATES]
            steps = []
            for place in range(time):
                hidden, states = parts.lstm.cell(features[place : place + 1], states)
                steps.append(hidden)
            outputs = {"emotion": parts.heads["emotion"](steps[-1])}
            if "valence_arousal" in parts.heads:
                sequence = tf.concat(steps, axis=0)[tf.newaxis]
                outputs["valence_arousal"] = parts.heads["valence_arousal"](sequence)
            return outputs

    return Graph(serve, FRAMES_NAME, (1, time, *parts.frame_shape), {})


def convert(
    model: Any,
    graph: Graph,
    config: QuantizationConfig,
    calibration: npt.NDArray[np.float32] | None,
) -> bytes:
    """The flatbuffer of a graph.

    Args:
        model: The Keras model whose layers the graph calls; it computes in float32.
        graph: What to trace.
        config: How numbers are stored and computed.
        calibration: Pixels with the lengths of the graph's input behind the first, for int8.

    Raises:
        ConversionError: If the converter refuses the graph, or crashes.
    """
    import keras

    pixels = config.border
    with tempfile.TemporaryDirectory(prefix="keras_affect_") as scratch:
        folder = Path(scratch)
        request: dict[str, Any] = {
            "saved_model": str(folder / "saved_model"),
            "input": graph.input,
            "states": graph.states,
            "scope": _SCOPE,
            "calibration": None,
            "config": dataclasses.asdict(config),
            "output": str(folder / "model.tflite"),
            "failure": str(folder / "failure.txt"),
        }
        archive = keras.export.ExportArchive()
        archive.track(model)
        archive.add_endpoint(
            "serving_default",
            graph.serve,
            input_signature=[
                # Bytes as bytes: the other inputs stay float32, which the converter's own
                # setting for its inputs, one for all, could not do.
                keras.InputSpec(shape=graph.input_shape, dtype=pixels, name=graph.input),
                *(
                    keras.InputSpec(shape=shape, dtype="float32", name=name)
                    for name, shape in graph.states.items()
                ),
            ],
        )
        archive.write_out(request["saved_model"], verbose=False)
        if calibration is not None and config.needs_calibration:
            request["calibration"] = str(folder / "calibration.npy")
            np.save(request["calibration"], np.rint(calibration).astype(pixels))
        _run_child(folder, request, model, _CHILD)
        return Path(request["output"]).read_bytes()
