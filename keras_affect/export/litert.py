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
from keras_affect.export import flatbuffer, measure, mediapipe, metadata, precision, verification
from keras_affect.export import inputs as inputs_of
from keras_affect.export import signature as signatures
from keras_affect.export.conversion import convert
from keras_affect.export.inputs import Input
from keras_affect.export.layer_errors import layer_errors as measure_layers
from keras_affect.export.quantization import QuantizationConfig
from keras_affect.export.report import ExportReport
from keras_affect.export.signature import Signature
from keras_affect.export.weight_quantization import check_library

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
    limits: Sequence[str] | None = None,
    progress: Progress | None = None,
    input: Input | None = None,  # noqa: A002 - the word that says it
    resize_from: tuple[int, int] | None = None,
    keep_float: Sequence[str] = (),
    layer_errors: bool = False,
    for_mediapipe: bool = False,
    tensor_names: bool = True,
    timed: bool = True,
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
        quantization: "int8", "float32", "float16", "dynamic_range", "weight_only_int8", "int4",
            or a `QuantizationConfig`.
        calibration: Raw pixels `(images, height, width, channels)` like those that the model
            will see, at least 8, better some hundred. "int8" needs them; an all-0 and an
            all-255 picture join them. Errors are measured on them under every quantization.
            Where `input` or `resize_from` give the file another shape than the model's, they
            may be of either; those of the model's shape are enlarged.
        labelled: Raw pixels likewise, with FER+ votes `(images, 10)`: the model and the file are
            both scored on them. Images that calibration did not see tell more.
        overwrite: Whether a file that stands at `path` may be replaced.
        class_names: Names of the emotions in the order of the output. Defaults to the model's
            own `class_names`; without those, eight classes are `keras_affect.emotions.NAMES`.
        description: What the model is, in a sentence, for the file's metadata.
        licence: The model's licence, likewise.
        limits: What the model cannot know or must not be used for, likewise. Defaults to
            `metadata.limits_of` the model: FER+'s for its eight emotions, as if they were learnt
            there, and what holds for any for others. Of such eight learnt elsewhere, say what is
            true.
        progress: Called with what is being done, steps done and steps in all.
        input: "gray" or "rgb": what the file takes, whatever the model takes. Colour becomes
            gray by ITU-R BT.601's luma in the graph. Defaults to the model's own channels.
        resize_from: (height, width) of the pictures that the file takes, as (224, 224); they
            are brought to the model's size in the graph, by Pillow's bilinear filter.
            Proportions are not kept. Defaults to the model's own size.
        keep_float: Names of layers that are not quantized, for "int8", "weight_only_int8" and
            "int4". `ExportReport.layer_errors` says which are worth it.
        layer_errors: Whether to measure the error of each operator that "int8" quantizes.
        for_mediapipe: Whether to write what MediaPipe Tasks' ImageClassifier takes, on Android,
            iOS, the web and in Python: "int8", RGB, the output "emotion" alone, and TFLite
            Metadata with the class names.
        tensor_names: Whether tensors inside the graph keep the names that the converter made of
            those of layers. No runtime reads them, tools that draw a graph show them, and they
            are 7.5 kB of a `LightweightCNN`.
        timed: Whether to time the file here. A time from a busy machine says nothing.

    Returns:
        Size, operators, what stayed float, largest errors, and scores. Where no images are
        given, errors are measured on 16 pictures of noise.

    Raises:
        ValueError: If an argument is not as above.
        ConversionError: If the model can't be converted, or the written file does not give its
            outputs. A ValueError too.
        OSError: If the file exists and `overwrite` is False, or can't be written.
        ImportError: If TensorFlow is not installed, or is not Keras's backend; or the extra
            ``quantize`` is not, which "weight_only_int8" and "int4" need.

    Example:
        >>> report = to_litert(model, "affect.tflite", calibration=images)
        >>> print(report)
    """
    path = _check_path(path, overwrite)
    config = QuantizationConfig.from_name(quantization)
    _check_options(config, input, keep_float, layer_errors, for_mediapipe)
    _check_backend()
    check_library(config)
    own = signatures.read(model)
    verification.check_deterministic(model)
    names = signatures.check_class_names(model, own, class_names)
    shape = inputs_of.check(own.input_shape, "rgb" if for_mediapipe else input, resize_from)
    calibrating = votes = scored = None
    if calibration is not None:
        calibrating = _check_images(calibration, "calibration", own, shape, pictures.MINIMUM)
    elif config.needs_calibration:
        raise ValueError(
            f"Invalid value for argument `calibration`. Expected raw pixels of at least "
            f"{pictures.MINIMUM} images, which {config.name} learns its ranges from. "
            "Received: calibration=None"
        )
    if labelled is not None:
        scored, votes = _check_labelled(labelled, own, shape, names)
    report_step = progress or (lambda what, done, of: None)

    exact = inputs_of.in_front_of(precision.in_float32(model), shape)
    if for_mediapipe:
        exact = mediapipe.single_headed(exact)
    signature = signatures.read(exact)
    with_extremes = None if calibrating is None else pictures.with_extremes(calibrating)
    report_step("converting", 0, 1)
    flat = convert(exact, signature, config, with_extremes, keep_float)
    report_step("converting", 1, 1)
    operators = flatbuffer.operators(flat)
    verification.check_operators(operators, exact)
    fields = metadata.describe(
        class_names=names,
        input_shape=shape,
        input_dtype=config.border,
        outputs=tuple(signature.outputs),
        quantization=config.name,
        description=description or _description(model),
        licence=licence,
        limits=(metadata.limits_of(names, tuple(signature.outputs)) if limits is None else limits),
    )
    content = (flatbuffer.compacted if tensor_names else flatbuffer.without_inner_names)(flat)
    if for_mediapipe:
        content = mediapipe.described(content, fields)
    content = metadata.append(content, fields)
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
    hurt = None
    if layer_errors and with_extremes is not None:
        report_step("measuring layers", 0, 1)
        hurt = tuple(measure_layers(exact, signature, config, with_extremes, flat, keep_float))
        report_step("measuring layers", 1, 1)
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
        xnnpack=measure.xnnpack_coverage(content),
        latency=measure.latency(content) if timed else None,
        kept_float=tuple(keep_float),
        layer_errors=hurt,
    )


def _check_path(path: str | Path, overwrite: bool) -> Path:
    if Path(path).suffix != ".tflite":
        raise ValueError(
            "Invalid value for argument `path`. Expected a file name that ends in .tflite. "
            f"Received: path={str(path)!r}"
        )
    return check_destination(path, overwrite)


def _check_options(
    config: QuantizationConfig,
    kind: Any,
    keep_float: Sequence[str],
    layer_errors: bool,
    for_mediapipe: bool,
) -> None:
    """Refuse what the quantization has no way to do."""
    start = "Invalid value for argument"
    if keep_float and not config.can_keep_float:
        raise ValueError(
            f"{start} `keep_float`. Expected none: {config.name} quantizes all layers alike. "
            f"Received: keep_float={keep_float!r}"
        )
    if layer_errors and not config.needs_calibration:
        raise ValueError(
            f"{start} `layer_errors`. Expected False: only int8 files compute in integers. "
            f"Received: layer_errors={layer_errors!r} with {config.name}"
        )
    if for_mediapipe and (config.border != "uint8" or kind not in (None, "rgb")):
        raise ValueError(
            f"{start} `for_mediapipe`. Expected False: ImageClassifier takes uint8 RGB pictures. "
            f"Received: for_mediapipe={for_mediapipe!r} with quantization {config.name!r} and "
            f"input={kind!r}"
        )


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


def _check_images(
    images: Any, argument: str, own: Signature, shape: tuple[int, int, int], minimum: int = 1
) -> npt.NDArray[np.float32]:
    """Pictures of the shape that the file takes, from such, or from some of the model's shape."""
    if np.shape(images)[1:] == own.input_shape != shape:
        checked = pictures.check_images(images, argument, own.input_shape, minimum)
        return inputs_of.fit_images(checked, shape)
    return pictures.check_images(images, argument, shape, minimum)


def _check_labelled(
    labelled: tuple[npt.ArrayLike, npt.ArrayLike],
    own: Signature,
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
    checked = _check_images(images, "labelled", own, shape)
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
