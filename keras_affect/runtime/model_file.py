"""A ``.tflite`` opened by LiteRT: read, loaded, its numbers turned to real ones and checked."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert.interpreter import Interpreter

from keras_affect.runtime.prediction import UNCERTAIN, Prediction
from keras_affect.weights import catalog

__all__ = [
    "EMOTION",
    "VALENCE_AROUSAL",
    "check_class_names",
    "check_threads",
    "check_threshold",
    "check_values",
    "dequantized",
    "load",
    "prediction",
    "quantized",
    "read",
]

#: The names of outputs.
EMOTION, VALENCE_AROUSAL = "emotion", "valence_arousal"

# What a flatbuffer of this kind has in its bytes 4 to 8.
_IDENTIFIER = b"TFL3"


def check_threads(num_threads: int) -> None:
    """Raise ValueError unless it is a number of threads."""
    if isinstance(num_threads, bool) or not isinstance(num_threads, int) or num_threads < 1:
        raise ValueError(
            "Invalid value for argument `num_threads`. Expected an int of at least 1. "
            f"Received: num_threads={num_threads!r}"
        )


def read(model: str | os.PathLike[str] | bytes | None) -> tuple[str, bytes]:
    """What to call a model in messages, and its bytes.

    Args:
        model: The path of a ``.tflite``, its bytes, or a name that ships, as "ferplus_v1"; None
            for "ferplus". A file of such a name goes before; a folder, as of FER+'s data, does not.

    Raises:
        FileNotFoundError: If there is no such file, and no such name.
        ValueError: If it is no ``.tflite``, or nothing ships.
    """
    if isinstance(model, bytes | bytearray | memoryview):
        name, content = "the model given", bytes(model)
    elif model is None or isinstance(model, str | os.PathLike):
        path = _shipped("ferplus") if model is None else Path(model)
        is_name = path.name == os.fspath(path) and not path.suffix
        if is_name and (not path.exists() or (path.is_dir() and path.name in _names())):
            path = _shipped(path.name)
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


def _shipped(name: str) -> Path:
    """The file that ships under a name.

    Raises:
        FileNotFoundError: If none does.
        ValueError: If it is damaged.
    """
    if name not in _names():
        names = sorted({entry.name for entry in catalog.entries() if entry.kind == "litert"})
        raise FileNotFoundError(
            f"{name}: no such file; expected a .tflite, or a name that ships ({', '.join(names)})"
        )
    return catalog.find_by_name(name, "litert").verified_path()


def _names() -> set[str]:
    """Those under which a file ships, with and without versions."""
    full = {entry.name for entry in catalog.entries() if entry.kind == "litert"}
    return full | {catalog.version(name)[0] for name in full}


def load(content: bytes, num_threads: int, name: str) -> tuple[Interpreter, Any]:
    """An interpreter, and the runner of its default signature.

    Raises:
        ValueError: If LiteRT can't run the model, or it has several signatures and none of them
            is the default one.
    """
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


def quantized(values: npt.NDArray[Any], details: Mapping[str, Any]) -> npt.NDArray[Any]:
    """Real numbers as an input of these details holds them."""
    dtype, (scale, zero_point) = np.dtype(details["dtype"]), details["quantization"]
    if dtype.kind == "f":
        return values.astype(dtype)
    if scale == 1 and zero_point == 0 and values.dtype == dtype:
        return values
    limits = np.iinfo(dtype)
    steps = np.rint(values / np.float32(scale or 1) + zero_point)
    return np.clip(steps, limits.min, limits.max).astype(dtype)


def dequantized(values: npt.NDArray[Any], details: Mapping[str, Any]) -> npt.NDArray[np.float32]:
    """What an output of these details holds, as real numbers."""
    scale, zero_point = details["quantization"]
    if values.dtype.kind == "f" or not scale:
        return values.astype(np.float32)
    return (values.astype(np.float32) - np.float32(zero_point)) * np.float32(scale)


def check_class_names(
    given: Sequence[str] | None, described: tuple[str, ...] | None, classes: int, name: str
) -> tuple[str, ...]:
    """The names of the classes: those given, or those that a file has of itself.

    Args:
        given: What the caller says, or None.
        described: What the file says, or None.
        classes: How many numbers the emotion's output holds.
        name: What to call the file in messages.

    Raises:
        ValueError: If they are not as many different names, or nobody says any.
    """
    if given is not None:
        names = () if isinstance(given, str) else tuple(given)
        if len(names) != classes or len(set(names)) != classes:
            raise ValueError(
                f"Invalid value for argument `class_names`. Expected {classes} different "
                f"names, one for each output of {name}. Received: class_names={given!r}"
            )
        return names
    if described is None:
        raise ValueError(
            f"{name}: does not name its {classes} classes; class_names= "
            "(--class-names on the command line) says them, in the output's order"
        )
    if len(described) != classes or len(set(described)) != classes:
        raise ValueError(
            f"{name}: names {len(described)} classes and gives {classes}; its metadata "
            "belongs to another model"
        )
    return described


def check_values(
    outputs: Mapping[str, npt.NDArray[np.float32]], emotion_details: Mapping[str, Any], name: str
) -> None:
    """Raise ValueError unless the emotion is probabilities and all outputs are finite."""
    emotion = outputs[EMOTION]
    # Quantized probabilities are each off by up to half a step.
    step = float(emotion_details["quantization"][0])
    slack = 0.01 + emotion.shape[-1] * step / 2
    sums = emotion.sum(axis=-1)
    are_probabilities = (emotion >= 0).all() and (abs(sums - 1) <= slack).all()  # not of NaN
    if not are_probabilities or not all(np.isfinite(o).all() for o in outputs.values()):
        raise ValueError(
            f"{name}: expected probabilities in {EMOTION!r}, and numbers in every "
            f"output; it gave {emotion[np.argmax(abs(sums - 1))].tolist()}"
        )


def check_threshold(uncertain_below: float) -> None:
    """Raise ValueError unless it is a number in [0, 1]."""
    is_number = isinstance(uncertain_below, int | float) and not isinstance(uncertain_below, bool)
    if not is_number or not 0 <= uncertain_below <= 1:
        raise ValueError(
            "Invalid value for argument `uncertain_below`. Expected a number in [0, 1]. "
            f"Received: uncertain_below={uncertain_below!r}"
        )


def prediction(
    outputs: Mapping[str, npt.NDArray[np.float32]],
    class_names: Sequence[str],
    uncertain_below: float = 0.0,
) -> Prediction:
    """One face's outputs, each `(numbers,)`, as a `Prediction`.

    Where no class is as probable as `uncertain_below` its emotion is `UNCERTAIN`.
    """
    probabilities = outputs[EMOTION].tolist()
    is_certain = max(probabilities) >= uncertain_below
    valence, arousal = (
        outputs[VALENCE_AROUSAL].tolist() if VALENCE_AROUSAL in outputs else (None, None)
    )
    return Prediction(
        emotion=class_names[int(np.argmax(probabilities))] if is_certain else UNCERTAIN,
        probabilities=dict(zip(class_names, probabilities, strict=True)),
        valence=valence,
        arousal=arousal,
    )
