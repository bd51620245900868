"""`to_litert`: a Keras model as a ``.tflite`` for a phone, a browser or a board."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from keras_affect import emotions
from keras_affect._files import check_destination, written_whole
from keras_affect.export import calibration as pictures
from keras_affect.export import flatbuffer, measure, metadata, precision, verification
from keras_affect.export import signature as signatures
from keras_affect.export.conversion import convert
from keras_affect.export.quantization import QuantizationConfig
from keras_affect.export.report import ExportReport

__all__ = ["Progress", "to_litert"]

#: Called with (what is being done, steps done, steps in all).
Progress = Callable[[str, int, int], None]


def to_litert(
    model: Any,
    path: str | Path,
    quantization: str | QuantizationConfig = "int8",
    calibration: npt.ArrayLike | None = None,
    labelled: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
    overwrite: bool = False,
    class_names: Sequence[str] | None = None,
    *,
    description: str | None = None,
    licence: str = "not stated",
    limits: Sequence[str] = metadata.LIMITS,
    progress: Progress | None = None,
) -> ExportReport:
    """Write a Keras model as a ``.tflite``, and measure what was written.

    The file takes one image at a time, uses LiteRT's builtin operators alone, and names its
    outputs as the model does ("emotion" where the model returns one tensor). With "int8" input
    and outputs are uint8, and the input's bytes are the picture's (scale 1, zero point 0).
    Behind the graph stand class names, licence and limits: see `keras_affect.export.metadata`.

    Models that were trained in mixed precision are exported in float32. TensorFlow's converter
    runs in a process of its own, so that its crash is an error message.

    Args:
        model: A built Keras model that takes `(batch, height, width, channels)`, raw pixels in
            [0, 255], and returns a dict with "emotion" `(batch, classes)` and, if it has that,
            "valence_arousal" `(batch, 2)`; or one tensor, the emotion's probabilities.
        path: The file to write, ending in ``.tflite``.
        quantization: "int8", "float32", "float16", "dynamic_range", or a `QuantizationConfig`.
        calibration: Raw pixels `(images, height, width, channels)` like those that the model
            will see, at least 8, better some hundred. "int8" needs them; an all-0 and an
            all-255 picture join them. Errors are measured on them under every quantization.
        labelled: Raw pixels likewise, with FER+ votes `(images, 10)`: the model and the file are
            both scored on them. Images that calibration did not see tell more.
        overwrite: Whether a file that stands at `path` may be replaced.
        class_names: Names of the emotions in the order of the output. Defaults to the model's
            own `class_names`; without those, eight classes are `keras_affect.emotions.NAMES`.
        description: What the model is, in a sentence, for the file's metadata.
        licence: The model's licence, likewise.
        limits: What the model cannot know or must not be used for, likewise. The default is
            true of a model trained on FER+; `metadata.LIMITS_OF_USE` holds for any.
        progress: Called with what is being done, steps done and steps in all.

    Returns:
        Size, operators, what stayed float, largest errors, and scores. Where no images are
        given, errors are measured on 16 pictures of noise.

    Raises:
        ValueError: If an argument is not as above.
        ConversionError: If the model can't be converted, or the written file does not give its
            outputs. A ValueError too.
        OSError: If the file exists and `overwrite` is False, or can't be written.
        ImportError: If TensorFlow is not installed, or is not Keras's backend.

    Example:
        >>> report = to_litert(model, "affect.tflite", calibration=images)
        >>> print(report)
    """
    path = _check_path(path, overwrite)
    config = QuantizationConfig.from_name(quantization)
    _check_backend()
    signature = signatures.read(model)
    verification.check_deterministic(model)
    names = signatures.check_class_names(model, signature, class_names)
    shape = signature.input_shape
    calibrating = votes = scored = None
    if calibration is not None:
        calibrating = pictures.check_images(calibration, "calibration", shape, pictures.MINIMUM)
    elif config.needs_calibration:
        raise ValueError(
            f"Invalid value for argument `calibration`. Expected raw pixels of at least "
            f"{pictures.MINIMUM} images, which {config.name} learns its ranges from. "
            "Received: calibration=None"
        )
    if labelled is not None:
        scored, votes = _check_labelled(labelled, shape, names)
    report_step = progress or (lambda what, done, of: None)

    exact = precision.in_float32(model)
    report_step("converting", 0, 1)
    flat = convert(
        exact,
        signature,
        config,
        None if calibrating is None else pictures.with_extremes(calibrating),
    )
    report_step("converting", 1, 1)
    operators = flatbuffer.operators(flat)
    verification.check_operators(operators, model.name)
    fields = metadata.describe(
        class_names=names,
        input_shape=shape,
        input_dtype=config.border,
        outputs=tuple(signature.outputs),
        quantization=config.name,
        description=description or _description(model),
        licence=licence,
        limits=limits,
    )
    content = metadata.append(flat, fields)
    inputs, outputs = measure.borders(content)
    verification.check_borders(inputs, outputs, signature, config)

    images, measured_on = _measured_images(calibrating, scored, shape)
    if config.border == "uint8":
        images = np.rint(images)
    by_keras = measure.keras_outputs(
        exact, signature, images, lambda done, of: report_step("running the model", done, of)
    )
    by_file = measure.litert_outputs(
        content, images, lambda done, of: report_step("running the file", done, of)
    )
    errors = measure.largest_errors(by_keras, by_file)
    verification.check_errors(errors, by_keras, config, model.name)
    scores = None
    if scored is not None and votes is not None:
        last = slice(len(images) - len(scored), None)
        scores = {
            whose: _scores({name: values[last] for name, values in of.items()}, votes)
            for whose, of in (("float", by_keras), ("exported", by_file))
        }
    with written_whole(path, overwrite) as beside:
        beside.write_bytes(content)
    return ExportReport(
        path=str(path),
        quantization=config.name,
        size=len(content),
        operators=flatbuffer.count(operators),
        stayed_float=flatbuffer.stayed_float(operators) if config.name == "int8" else None,
        input=inputs[0],
        outputs=tuple(outputs),
        largest_error=errors,
        measured_on=measured_on,
        scores=scores,
    )


def _check_path(path: str | Path, overwrite: bool) -> Path:
    if Path(path).suffix != ".tflite":
        raise ValueError(
            "Invalid value for argument `path`. Expected a file name that ends in .tflite. "
            f"Received: path={str(path)!r}"
        )
    return check_destination(path, overwrite)


def _check_backend() -> None:
    try:
        import keras
        import tensorflow as tf
    except ImportError as error:
        raise ImportError(
            f"Export needs TensorFlow ({error}): pip install 'keras-affect[tensorflow]'"
        ) from error
    del tf
    if keras.backend.backend() != "tensorflow":
        raise ImportError(
            "Export needs TensorFlow as Keras's backend. Received: backend "
            f"{keras.backend.backend()!r}; save the model as .keras, set "
            "KERAS_BACKEND=tensorflow, and export it with keras-affect export"
        )


def _check_labelled(
    labelled: tuple[npt.ArrayLike, npt.ArrayLike],
    shape: tuple[int, int, int],
    class_names: tuple[str, ...],
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    try:
        images, votes = labelled
    except (TypeError, ValueError):
        raise ValueError(
            "Invalid value for argument `labelled`. Expected a pair (images, votes). "
            f"Received: labelled={type(labelled).__name__}"
        ) from None
    if class_names != emotions.NAMES:
        raise ValueError(
            "Invalid value for argument `labelled`. Expected None: FER+ votes score the eight "
            f"emotions {', '.join(emotions.NAMES)}. Received: votes for a model of "
            f"{', '.join(class_names)}"
        )
    checked = pictures.check_images(images, "labelled", shape)
    counts = np.asarray(votes, np.float32)
    if counts.shape != (len(checked), 10):
        raise ValueError(
            f"Invalid value for argument `labelled`. Expected votes of shape ({len(checked)}, 10), "
            f"a row for each image. Received: votes of shape {counts.shape}"
        )
    return checked, counts


def _measured_images(
    calibration: npt.NDArray[np.float32] | None,
    scored: npt.NDArray[np.float32] | None,
    shape: tuple[int, int, int],
) -> tuple[npt.NDArray[np.float32], str]:
    """All images that were given, the labelled ones last, and what they are called."""
    kinds = {"calibration": calibration, "labelled": scored}
    given = {kind: images for kind, images in kinds.items() if images is not None}
    if given:
        said = " and ".join(f"{len(images)} {kind} images" for kind, images in given.items())
        return np.concatenate(list(given.values())), said
    noise = np.random.default_rng(0).integers(0, 256, (16, *shape))
    return noise.astype(np.float32), "16 pictures of noise, for no images were given"


def _scores(
    outputs: dict[str, npt.NDArray[np.float32]], votes: npt.NDArray[np.float32]
) -> dict[str, Any]:
    from keras_affect import evaluation

    return evaluation.scores(
        outputs["emotion"], votes, valence_arousal=outputs.get("valence_arousal")
    )


def _description(model: Any) -> str:
    return f"{type(model).__name__} of {model.count_params():,} parameters"
