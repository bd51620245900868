"""A Keras model and a ``.tflite`` run alike: pixels in, the eight emotions' probabilities out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from keras_affect import emotions
from keras_affect.datasets.pictures import SIDE

__all__ = ["Outputs", "ScoredModel", "open_model"]

Pixels = npt.NDArray[np.uint8]
Values = npt.NDArray[np.float32]

_PIXELS = (SIDE, SIDE, 1)


@dataclass(frozen=True)
class Outputs:
    """What a model gave for images.

    Attributes:
        probabilities: float32 `(images, 8)`, in the order of `emotions.NAMES`.
        valence_arousal: float32 `(images, 2)`, None if the model has no such output.
    """

    probabilities: Values
    valence_arousal: Values | None


@dataclass(frozen=True)
class ScoredModel:
    """A model that can be scored on FER+.

    Attributes:
        facts: What it is: "model", "kind" ("keras" or "litert"), and "parameters" or "bytes".
    """

    facts: Mapping[str, Any]
    _run: Callable[[Pixels], Mapping[str, Any]]
    _class_names: tuple[str, ...] | None

    def run(
        self,
        images: Pixels,
        batch_size: int = 256,
        progress: Callable[[int], None] | None = None,
    ) -> Outputs:
        """The model's outputs at inference.

        Args:
            images: uint8 `(images, 48, 48, 1)`.
            batch_size: Images at a time.
            progress: Called with the number of images done, after each batch.

        Raises:
            ValueError: If the classes are not the eight emotions, or an output has another shape.
        """
        emotion: list[Values] = []
        points: list[Values] = []
        for start in range(0, len(images), batch_size):
            batch = images[start : start + batch_size]
            outputs = self._run(batch)
            emotion.append(np.asarray(outputs["emotion"], np.float32)[:, self._columns(outputs)])
            if "valence_arousal" in outputs:
                points.append(np.asarray(outputs["valence_arousal"], np.float32))
            if progress is not None:
                progress(min(start + batch_size, len(images)))
        return Outputs(np.concatenate(emotion), np.concatenate(points) if points else None)

    def _columns(self, outputs: Mapping[str, Any]) -> list[int]:
        """The output's columns in the order of `emotions.NAMES`."""
        shape = np.shape(outputs["emotion"])
        names = self._class_names or (emotions.NAMES if shape[1:] == (8,) else None)
        try:
            found = [emotions.canonical(name) for name in names or ()]
            if len(found) != len(emotions.NAMES) or shape[1:] != (len(found),):
                raise ValueError
            return [found.index(name) for name in emotions.NAMES]
        except ValueError:
            said = ", ".join(names) if names else "unnamed"
            raise ValueError(
                "Invalid value for argument `model`. Expected a model of the eight emotions "
                f"{', '.join(emotions.NAMES)}. Received: {self.facts['model']}, output of shape "
                f"{shape}, classes {said}"
            ) from None


def open_model(model: Any, class_names: Sequence[str] | None = None) -> ScoredModel:
    """Make a model ready to be scored.

    Args:
        model: A Keras model; the path of a ``.tflite``; or what `models.load` takes. A Keras
            model may return one tensor, which is taken for "emotion".
        class_names: The classes in the output's order, where the model does not name them.
            A Keras model of eight classes without names is taken to follow `emotions.NAMES`.

    Raises:
        FileNotFoundError: If the path leads nowhere.
        ValueError: If it is no model, or does not take FER+'s pictures, or gives no "emotion".
    """
    if isinstance(model, str | Path) and Path(model).suffix == ".tflite":
        return _open_litert(Path(model), class_names)
    if isinstance(model, str | Path):
        from keras_affect import models

        model = models.load(model)
    return _open_keras(model, class_names)


def _open_litert(path: Path, class_names: Sequence[str] | None) -> ScoredModel:
    # The very reader that applications use, so that its scores are theirs.
    from keras_affect.runtime import AffectInterpreter

    interpreter = AffectInterpreter(path, class_names=class_names)
    _check_pixels(path.name, interpreter.input_shape)
    facts = {"model": path.name, "kind": "litert", "bytes": path.stat().st_size}
    return ScoredModel(facts, interpreter.run, tuple(interpreter.class_names))


def _open_keras(model: Any, class_names: Sequence[str] | None) -> ScoredModel:
    import keras

    if not isinstance(model, keras.Model):
        raise ValueError(
            "Invalid value for argument `model`. Expected a Keras model, the path of a .tflite or "
            f"of a .keras file, or a name that ships. Received: {model!r}"
        )
    shape = getattr(model, "input_shape", None)
    if shape is not None:
        _check_pixels(model.name, shape[1:])
    if class_names is None:
        class_names = getattr(model, "class_names", None)

    def run(images: Pixels) -> Mapping[str, Any]:
        outputs = model(images.astype(np.float32), training=False)
        if not isinstance(outputs, dict):
            outputs = {"emotion": outputs}
        if "emotion" not in outputs:
            raise ValueError(
                'Invalid value for argument `model`. Expected an output "emotion". '
                f"Received: {model.name}, which returns {', '.join(outputs)}"
            )
        return {
            name: keras.ops.convert_to_numpy(keras.ops.cast(values, "float32"))
            for name, values in outputs.items()
        }

    # Keras's own classes say nothing ("Functional"); their instances' names may.
    kind = type(model)
    name = model.name if kind.__module__.startswith("keras.") else kind.__name__
    facts = {"model": name, "kind": "keras", "parameters": model.count_params()}
    return ScoredModel(facts, run, tuple(class_names) if class_names is not None else None)


def _check_pixels(name: str, shape: Sequence[int | None]) -> None:
    # None fits any length, as a convolution's input of open height and width.
    fits = len(shape) == 3 and all(a in (None, b) for a, b in zip(shape, _PIXELS, strict=True))
    if not fits:
        raise ValueError(
            f"Invalid value for argument `model`. Expected a model of FER+'s pictures, {_PIXELS} "
            f"(height, width, channels). Received: {name}, which takes {tuple(shape)}"
        )
