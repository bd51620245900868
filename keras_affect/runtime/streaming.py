"""`StreamingAffect`: a face over time, frame by frame, by LiteRT alone."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from keras_affect.runtime import metadata, model_file
from keras_affect.runtime.crops import fit
from keras_affect.runtime.model_file import EMOTION, VALENCE_AROUSAL
from keras_affect.runtime.pictures import ImageLike, Picture, read_pictures
from keras_affect.runtime.prediction import Prediction

__all__ = ["StreamingAffect"]


class StreamingAffect:
    """Reads a face in a video, one frame after another, and keeps what came before in mind.

    It holds the state of one clip: of one face. Several faces, or a clip that is taken up again
    later, have a state each, to be kept by the caller and put back before their next frame; see
    `state`.

    Args:
        model: The path of a ``.tflite`` of `keras_affect.export.to_litert_streaming`, or its
            bytes. Any other does if its default signature has one input of pixels,
            `(1, height, width, channels)`, and further inputs of float32 that are also outputs,
            of the same names and shapes; an output "emotion" `(1, classes)`; and perhaps
            "valence_arousal" `(1, 2)`.
        num_threads: How many threads LiteRT computes with.
        class_names: As in `AffectInterpreter`.

    Attributes:
        name: The model's path, or "the model given".
        class_names: The names of the classes, in the output's order.
        input_shape: (height, width, channels).
        fields: What the file says of itself; empty if it says nothing.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is damaged, is no ``.tflite``, or keeps no state.

    Example:
        >>> stream = StreamingAffect("stream.tflite")
        >>> for frame in frames:
        ...     prediction = stream.step(frame)
        ...     print(prediction.valence, prediction.arousal)
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | bytes,
        num_threads: int = 1,
        class_names: Sequence[str] | None = None,
    ) -> None:
        model_file.check_threads(num_threads)
        if model is None:
            raise ValueError(
                "Invalid value for argument `model`. Expected a path or bytes: no model of clips "
                "ships. Received: model=None"
            )
        self.name, content = model_file.read(model)
        self._lock = threading.Lock()
        self._interpreter, self._runner = model_file.load(content, num_threads, self.name)
        self._outputs: dict[str, Any] = self._runner.get_output_details()
        self._input_name, self._input, self._states = self._check_inputs()
        self._check_outputs()
        height, width, channels = map(int, self._input["shape"][1:])
        self.input_shape = height, width, channels
        described = metadata.read(content, self.name)
        self.fields: Mapping[str, Any] = described.fields
        self.class_names = model_file.check_class_names(
            class_names,
            described.class_names,
            int(self._outputs[EMOTION]["shape"][1]),
            self.name,
        )
        self.reset()

    def reset(self) -> None:
        """Forget what came before: the next frame is a clip's first."""
        self._state = {name: np.zeros(shape, np.float32) for name, shape in self._states.items()}

    @property
    def state(self) -> dict[str, npt.NDArray[np.float32]]:
        """What is kept between frames, by name; a copy. Setting it goes on from there."""
        return {name: values.copy() for name, values in self._state.items()}

    @state.setter
    def state(self, state: Mapping[str, npt.ArrayLike]) -> None:
        given = {name: np.array(values, np.float32) for name, values in state.items()}
        shapes = {name: values.shape for name, values in given.items()}
        if shapes != self._states or not all(np.isfinite(v).all() for v in given.values()):
            raise ValueError(
                f"Invalid value for argument `state`. Expected finite numbers of {self._states}. "
                f"Received: {shapes}"
            )
        self._state = given

    def step(self, image: ImageLike | Picture) -> Prediction:
        """Read the clip's next frame.

        Args:
            image: One picture, as in `AffectInterpreter.predict`; the face should fill it.

        Returns:
            Valence and arousal of this frame, and the emotion of the clip as far as it was seen.

        Raises:
            ValueError: If the picture can't be read, or there are several. The state is then
                what it was.
            OSError: If a file is missing or can't be opened.
        """
        pictures, is_one = read_pictures(image)
        if not is_one:
            raise ValueError(
                "Invalid value for argument `image`. Expected one picture, the next frame; for a "
                "whole clip see `predict`. Received: several"
            )
        (picture,) = pictures
        outputs = self.run(fit(picture.image, *self.input_shape))
        return model_file.prediction(outputs, self.class_names)

    def predict(self, frames: Any) -> list[Prediction]:
        """Read a whole clip, from its first frame on; the state afterwards is that of its end.

        Args:
            frames: Pictures in their order, of the forms that `AffectInterpreter.predict` takes;
                or an array of them.

        Returns:
            A `Prediction` for each frame; the last has the clip's emotion.

        Raises:
            ValueError, OSError: As `step`. The state is then that behind the last frame that
                could be read.
        """
        pictures, _ = read_pictures(frames)
        self.reset()
        return [self.step(picture) for picture in pictures]

    def run(self, pixels: npt.NDArray[Any]) -> dict[str, npt.NDArray[np.float32]]:
        """The model's outputs for the next frame, of its own size: no resizing, no names.

        Args:
            pixels: `(height, width, channels)` in [0, 255], with the lengths of `input_shape`.

        Returns:
            "emotion": float32 `(classes,)`, and where the model has it "valence_arousal":
            float32 `(2,)`.

        Raises:
            ValueError: If the shape is another, or the model gives what can't be probabilities;
                the state is then what it was.
        """
        if pixels.shape != self.input_shape:
            raise ValueError(
                f"Invalid value for argument `pixels`. Expected shape {self.input_shape}. "
                f"Received: {pixels.shape}"
            )
        given = model_file.quantized(pixels[None], self._input)
        with self._lock:
            found = self._runner(**{self._input_name: given}, **self._state)
            outputs = {
                name: model_file.dequantized(found[name], self._outputs[name])
                for name in (EMOTION, VALENCE_AROUSAL)
                if name in found
            }
            # Copies: what LiteRT hands out may be what it writes to next.
            state = {name: np.array(found[name], np.float32) for name in self._states}
            model_file.check_values(outputs | state, self._outputs[EMOTION], self.name)
            self._state = state
        return {name: values[0] for name, values in outputs.items()}

    def __repr__(self) -> str:
        height, width, channels = self.input_shape
        return f"<StreamingAffect {self.name}, {height}x{width}x{channels}>"

    # === Checks of the file

    def _check_inputs(self) -> tuple[str, dict[str, Any], dict[str, tuple[int, ...]]]:
        inputs: dict[str, Any] = self._runner.get_input_details()
        shapes = {name: tuple(map(int, details["shape"])) for name, details in inputs.items()}
        states = {
            name: shapes[name]
            for name in inputs
            if name in self._outputs
            and tuple(map(int, self._outputs[name]["shape"])) == shapes[name]
            and inputs[name]["dtype"] == self._outputs[name]["dtype"] == np.float32
        }
        rest = [name for name in inputs if name not in states]
        fits = (
            bool(states)
            and len(rest) == 1
            and len(shapes[rest[0]]) == 4
            and shapes[rest[0]][0] == 1
            and shapes[rest[0]][3] in (1, 3)
        )
        if not fits:
            raise ValueError(
                f"{self.name}: expected a model with an input (1, height, width, 1 or 3) and "
                "states that go in and out, as export.to_litert_streaming writes; it takes "
                f"{shapes}"
            )
        return rest[0], inputs[rest[0]], states

    def _check_outputs(self) -> None:
        shapes = {name: tuple(map(int, of["shape"])) for name, of in self._outputs.items()}
        emotion, pair = shapes.get(EMOTION, ()), shapes.get(VALENCE_AROUSAL, (1, 2))
        if len(emotion) != 2 or emotion[0] != 1 or pair != (1, 2):
            raise ValueError(
                f"{self.name}: expected a model with an output {EMOTION!r} (1, classes) and "
                f"perhaps {VALENCE_AROUSAL!r} (1, 2); it gives {shapes}"
            )
