"""`AffectInterpreter`: emotion, valence and arousal from faces, by LiteRT alone."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, overload

import numpy as np
import numpy.typing as npt
from PIL import Image

from keras_affect.runtime import metadata, model_file
from keras_affect.runtime.crops import fit
from keras_affect.runtime.faces import find_faces
from keras_affect.runtime.model_file import EMOTION, VALENCE_AROUSAL
from keras_affect.runtime.pictures import FileLike, ImageLike, Picture, read_pictures
from keras_affect.runtime.prediction import Prediction

__all__ = ["AffectInterpreter"]


class AffectInterpreter:
    """Reads expressions from faces with a ``.tflite``, without TensorFlow or Keras.

    One interpreter may be used by several threads; they take turns.

    Args:
        model: The path of a ``.tflite``, or its bytes; None for the int8 `LightweightCNN` that
            ships. The default signature must have one input, `(1, height, width, channels)` of
            raw pixels in [0, 255], gray or RGB, float or quantized; an output "emotion",
            `(1, classes)` probabilities; and may have an output "valence_arousal", `(1, 2)`.
            A sole output of another name is taken for "emotion".
        num_threads: How many threads LiteRT computes with. One is enough for small models.
        class_names: The names of the classes, in the output's order. By default the file's own,
            which `export.to_litert` writes into it; a file without names needs them here.

    Attributes:
        name: The model's path, or "the model given".
        class_names: The names of the classes, in the output's order.
        input_shape: (height, width, channels).
        fields: What the file says of itself, from its ``keras_affect.json``: licence, limits and
            so on; empty if it says nothing.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is damaged, is no ``.tflite`` or another kind of model, names no
            classes, or nothing ships; the message names the file.

    Example:
        >>> interpreter = AffectInterpreter()
        >>> for prediction in interpreter.predict_faces("photo.jpg"):
        ...     print(prediction.face.box, prediction.emotion, prediction.valence)
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | bytes | None = None,
        num_threads: int = 1,
        class_names: Sequence[str] | None = None,
    ) -> None:
        model_file.check_threads(num_threads)
        self.name, content = model_file.read(model)
        self._lock = threading.Lock()
        self._interpreter, self._runner = model_file.load(content, num_threads, self.name)
        self._input_name, self._input = self._check_input()
        self._outputs = self._check_outputs()
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

    @overload
    def predict(  # type: ignore[overload-overlap]  # a str is an iterable too
        self, images: FileLike | Image.Image | Picture, *, uncertain_below: float = ...
    ) -> Prediction: ...

    @overload
    def predict(self, images: npt.NDArray[Any], *, uncertain_below: float = ...) -> Any: ...

    @overload
    def predict(
        self, images: Iterable[ImageLike | Picture], *, uncertain_below: float = ...
    ) -> list[Prediction]: ...

    def predict(
        self,
        images: ImageLike | Picture | Iterable[ImageLike | Picture],
        *,
        uncertain_below: float = 0.0,
    ) -> Prediction | list[Prediction]:
        """Read each picture as one face.

        A picture is brought to the model's size with its aspect kept (see `crops.fit`). The
        face should fill it, as in `Face.crop`; `predict_faces` finds faces in larger pictures.

        Args:
            images: One picture: a path, the bytes of a picture file, a Pillow image, or an array
                `(height, width)` or `(height, width, channels)` with 1, 3 or 4 channels (gray,
                RGB, RGBA) and raw pixels in [0, 255], integer or float. Or many: an iterable of
                such pictures, of any mixture, or an array `(batch, height, width)` or
                `(batch, height, width, channels)`. An array of three lengths is one picture if
                the last is 1, 3 or 4, and gray pictures otherwise.
            uncertain_below: In [0, 1]: where no class is as probable as this, the prediction's
                `emotion` is "uncertain". `keras-affect evaluate` says which share of FER+ is
                answered at which certainty, and how many of these answers are right.

        Returns:
            A `Prediction` for one picture, a list of them for many, in their order.

        Raises:
            ValueError: If a picture can't be read, or an array is not pixels in [0, 255]; floats
                in [0, 1] are refused; or if `uncertain_below` is no number in [0, 1].
            OSError: If a file is missing or can't be opened.
        """
        model_file.check_threshold(uncertain_below)
        pictures, is_one = read_pictures(images)
        predictions = [self._predict(picture, uncertain_below) for picture in pictures]
        return predictions[0] if is_one else predictions

    def predict_faces(
        self, image: ImageLike | Picture, *, uncertain_below: float = 0.0
    ) -> list[Prediction]:
        """Find the faces in one picture and read each.

        Args:
            image: One picture, as in `predict`.
            uncertain_below: As in `predict`.

        Returns:
            A `Prediction` with its `face` for each, the largest face first; empty if there is
            no face.

        Raises:
            ImportError: If OpenCV, the extra ``faces``, is not installed.
            ValueError, OSError: As `predict`.
        """
        model_file.check_threshold(uncertain_below)
        return [
            replace(
                self._predict(Picture(face.crop, face.crop.size, "a face"), uncertain_below),
                face=face,
            )
            for face in find_faces(image)
        ]

    def run(self, pixels: npt.NDArray[Any]) -> dict[str, npt.NDArray[np.float32]]:
        """The model's outputs for pixels of its own size: no resizing, no names.

        Args:
            pixels: `(batch, height, width, channels)` in [0, 255], with the lengths of
                `input_shape`.

        Returns:
            "emotion": float32 `(batch, classes)` in [0, 1], and where the model has it
            "valence_arousal": float32 `(batch, 2)` in [-1, 1]; dequantized.

        Raises:
            ValueError: If the shape is another, or the model gives what can't be probabilities.
        """
        if pixels.ndim != 4 or pixels.shape[1:] != self.input_shape:
            raise ValueError(
                "Invalid value for argument `pixels`. Expected shape "
                f"{('batch', *self.input_shape)}. Received: {pixels.shape}"
            )
        rows: dict[str, list[npt.NDArray[np.float32]]] = {name: [] for name in self._outputs}
        for image in pixels:
            given = {self._input_name: model_file.quantized(image[None], self._input)}
            with self._lock:
                found = self._runner(**given)
            for name, details in self._outputs.items():
                rows[name].append(model_file.dequantized(found[details["key"]], details)[0])
        outputs = {
            name: np.array(values, np.float32).reshape(len(values), details["shape"][1])
            for (name, details), values in zip(self._outputs.items(), rows.values(), strict=True)
        }
        if len(pixels):
            model_file.check_values(outputs, self._outputs[EMOTION], self.name)
        return outputs

    def __repr__(self) -> str:
        height, width, channels = self.input_shape
        return f"<AffectInterpreter {self.name}, {height}x{width}x{channels}>"

    def _predict(self, picture: Picture, uncertain_below: float) -> Prediction:
        outputs = self.run(fit(picture.image, *self.input_shape)[None])
        return model_file.prediction(
            {name: values[0] for name, values in outputs.items()},
            self.class_names,
            uncertain_below,
        )

    # === Checks of the file

    def _check_input(self) -> tuple[str, dict[str, Any]]:
        inputs = self._runner.get_input_details()
        name, details = next(iter(inputs.items()))
        shape = list(map(int, details["shape_signature"]))
        fits = (
            len(inputs) == 1
            and len(shape) == 4
            and shape[0] in (1, -1)
            and min(shape[1:]) > 0
            and shape[3] in (1, 3)
        )
        if not fits:
            found = {key: list(map(int, d["shape_signature"])) for key, d in inputs.items()}
            raise ValueError(
                f"{self.name}: expected a model with one input (1, height, width, 1 or 3); "
                f"it takes {found}"
            )
        return name, details

    def _check_outputs(self) -> dict[str, dict[str, Any]]:
        found = self._runner.get_output_details()
        outputs = {key: {**details, "key": key} for key, details in found.items()}
        if len(outputs) == 1:
            outputs = {EMOTION: next(iter(outputs.values()))}
        shapes = {key: list(map(int, details["shape"])) for key, details in outputs.items()}
        emotion, valence_arousal = shapes.get(EMOTION), shapes.get(VALENCE_AROUSAL, [1, 2])
        if emotion is None or len(emotion) != 2 or emotion[0] != 1 or valence_arousal != [1, 2]:
            raise ValueError(
                f"{self.name}: expected a model with an output {EMOTION!r} (1, classes) and "
                f"perhaps {VALENCE_AROUSAL!r} (1, 2); it gives {shapes}"
            )
        return {key: outputs[key] for key in (EMOTION, VALENCE_AROUSAL) if key in outputs}
