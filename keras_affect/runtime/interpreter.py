"""`AffectInterpreter`: emotion, valence and arousal from faces, by LiteRT alone."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt
from ai_edge_litert.interpreter import Interpreter
from PIL import Image

from keras_affect.runtime import metadata
from keras_affect.runtime.crops import fit
from keras_affect.runtime.faces import find_faces
from keras_affect.runtime.pictures import FileLike, ImageLike, Picture, read_pictures
from keras_affect.runtime.prediction import UNCERTAIN, Prediction
from keras_affect.weights import catalog

__all__ = ["AffectInterpreter"]

_EMOTION, _VALENCE_AROUSAL = "emotion", "valence_arousal"

# What a flatbuffer of this kind has in its bytes 4 to 8.
_IDENTIFIER = b"TFL3"


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
        if isinstance(num_threads, bool) or not isinstance(num_threads, int) or num_threads < 1:
            raise ValueError(
                "Invalid value for argument `num_threads`. Expected an int of at least 1. "
                f"Received: num_threads={num_threads!r}"
            )
        self.name, content = _read_model(model)
        self._lock = threading.Lock()
        self._interpreter, self._runner = _load(content, num_threads, self.name)
        self._input_name, self._input = self._check_input()
        self._outputs = self._check_outputs()
        height, width, channels = map(int, self._input["shape"][1:])
        self.input_shape = height, width, channels
        described = metadata.read(content, self.name)
        self.fields: Mapping[str, Any] = described.fields
        self.class_names = self._check_class_names(class_names, described.class_names)

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
        _check_threshold(uncertain_below)
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
        _check_threshold(uncertain_below)
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
            given = {self._input_name: _quantized(image[None], self._input)}
            with self._lock:
                found = self._runner(**given)
            for name, details in self._outputs.items():
                rows[name].append(_dequantized(found[details["key"]], details)[0])
        outputs = {
            name: np.array(values, np.float32).reshape(len(values), details["shape"][1])
            for (name, details), values in zip(self._outputs.items(), rows.values(), strict=True)
        }
        if len(pixels):
            self._check_values(outputs)
        return outputs

    def __repr__(self) -> str:
        height, width, channels = self.input_shape
        return f"<AffectInterpreter {self.name}, {height}x{width}x{channels}>"

    def _predict(self, picture: Picture, uncertain_below: float) -> Prediction:
        outputs = self.run(fit(picture.image, *self.input_shape)[None])
        probabilities = outputs[_EMOTION][0].tolist()
        valence, arousal = (
            outputs[_VALENCE_AROUSAL][0].tolist() if _VALENCE_AROUSAL in outputs else (None, None)
        )
        is_certain = max(probabilities) >= uncertain_below
        return Prediction(
            emotion=self.class_names[int(np.argmax(probabilities))] if is_certain else UNCERTAIN,
            probabilities=dict(zip(self.class_names, probabilities, strict=True)),
            valence=valence,
            arousal=arousal,
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
            outputs = {_EMOTION: next(iter(outputs.values()))}
        shapes = {key: list(map(int, details["shape"])) for key, details in outputs.items()}
        emotion, valence_arousal = shapes.get(_EMOTION), shapes.get(_VALENCE_AROUSAL, [1, 2])
        if emotion is None or len(emotion) != 2 or emotion[0] != 1 or valence_arousal != [1, 2]:
            raise ValueError(
                f"{self.name}: expected a model with an output {_EMOTION!r} (1, classes) and "
                f"perhaps {_VALENCE_AROUSAL!r} (1, 2); it gives {shapes}"
            )
        return {key: outputs[key] for key in (_EMOTION, _VALENCE_AROUSAL) if key in outputs}

    def _check_class_names(
        self, given: Sequence[str] | None, described: tuple[str, ...] | None
    ) -> tuple[str, ...]:
        classes = int(self._outputs[_EMOTION]["shape"][1])
        if given is not None:
            names = () if isinstance(given, str) else tuple(given)
            if len(names) != classes or len(set(names)) != classes:
                raise ValueError(
                    f"Invalid value for argument `class_names`. Expected {classes} different "
                    f"names, one for each output of {self.name}. Received: class_names={given!r}"
                )
            return names
        if described is None:
            raise ValueError(
                f"{self.name}: does not name its {classes} classes; class_names= "
                "(--class-names on the command line) says them, in the output's order"
            )
        if len(described) != classes or len(set(described)) != classes:
            raise ValueError(
                f"{self.name}: names {len(described)} classes and gives {classes}; its metadata "
                "belongs to another model"
            )
        return described

    def _check_values(self, outputs: Mapping[str, npt.NDArray[np.float32]]) -> None:
        emotion = outputs[_EMOTION]
        # Quantized probabilities are each off by up to half a step.
        step = float(self._outputs[_EMOTION]["quantization"][0])
        slack = 0.01 + emotion.shape[-1] * step / 2
        sums = emotion.sum(axis=-1)
        are_probabilities = (emotion >= 0).all() and (abs(sums - 1) <= slack).all()  # not of NaN
        if not are_probabilities or not all(np.isfinite(o).all() for o in outputs.values()):
            raise ValueError(
                f"{self.name}: expected probabilities in {_EMOTION!r}, and numbers in every "
                f"output; it gave {emotion[np.argmax(abs(sums - 1))].tolist()}"
            )


def _check_threshold(uncertain_below: float) -> None:
    is_number = isinstance(uncertain_below, int | float) and not isinstance(uncertain_below, bool)
    if not is_number or not 0 <= uncertain_below <= 1:
        raise ValueError(
            "Invalid value for argument `uncertain_below`. Expected a number in [0, 1]. "
            f"Received: uncertain_below={uncertain_below!r}"
        )


def _read_model(model: str | os.PathLike[str] | bytes | None) -> tuple[str, bytes]:
    if isinstance(model, bytes | bytearray | memoryview):
        name, content = "the model given", bytes(model)
    elif model is None or isinstance(model, str | os.PathLike):
        path = (
            catalog.find("LightweightCNN", "ferplus", "litert").verified_path()
            if model is None
            else Path(model)
        )
        if path.is_dir():
            raise IsADirectoryError(f"{path}: a folder; expected a .tflite")
        try:
            name, content = str(path), path.read_bytes()
        except FileNotFoundError:
            raise FileNotFoundError(f"{path}: no such file; expected a .tflite") from None
    else:
        raise ValueError(
            "Invalid value for argument `model`. Expected a path, bytes or None. "
            f"Received: {type(model).__name__}"
        )
    if not content:
        raise ValueError(f"{name}: empty, 0 bytes; expected a .tflite")
    if content[4:8] != _IDENTIFIER:
        raise ValueError(f"{name}: not a .tflite; `keras-affect export` makes one of a Keras model")
    return name, content


def _load(content: bytes, num_threads: int, name: str) -> tuple[Interpreter, Any]:
    try:
        interpreter = Interpreter(model_content=content, num_threads=num_threads)
        interpreter.allocate_tensors()
        signatures = list(interpreter.get_signature_list())
    except (ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{name}: a damaged .tflite, or one LiteRT can't run ({reason})") from None
    default = "serving_default"
    if default not in signatures and len(signatures) != 1:
        raise ValueError(f"{name}: expected the signature {default!r}; it has {signatures}")
    return interpreter, interpreter.get_signature_runner(
        default if default in signatures else signatures[0]
    )


def _quantized(values: npt.NDArray[Any], details: Mapping[str, Any]) -> npt.NDArray[Any]:
    dtype, (scale, zero_point) = np.dtype(details["dtype"]), details["quantization"]
    if dtype.kind == "f":
        return values.astype(dtype)
    if scale == 1 and zero_point == 0 and values.dtype == dtype:
        return values
    limits = np.iinfo(dtype)
    steps = np.rint(values / np.float32(scale or 1) + zero_point)
    return np.clip(steps, limits.min, limits.max).astype(dtype)


def _dequantized(values: npt.NDArray[Any], details: Mapping[str, Any]) -> npt.NDArray[np.float32]:
    scale, zero_point = details["quantization"]
    if values.dtype.kind == "f" or not scale:
        return values.astype(np.float32)
    return (values.astype(np.float32) - np.float32(zero_point)) * np.float32(scale)
