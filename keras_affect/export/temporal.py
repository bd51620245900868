"""`to_litert_streaming` and `to_litert_clip`: a `TemporalAffect` as a ``.tflite``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from keras_affect._files import written_whole
from keras_affect.export import calibration as pictures
from keras_affect.export import flatbuffer, measure, metadata, precision, verification
from keras_affect.export import signature as signatures
from keras_affect.export.conversion import ConversionError
from keras_affect.export.litert import Progress, _check_backend, _check_path
from keras_affect.export.quantization import QuantizationConfig
from keras_affect.export.recurrent import (
    FRAMES_NAME,
    STATES,
    Graph,
    Parts,
    clip_graph,
    convert,
    streaming_graph,
)
from keras_affect.export.report import ExportReport
from keras_affect.export.sequences import Clips, clip_file, keras_clips, streaming_file, windows

__all__ = ["to_litert_clip", "to_litert_streaming"]

#: Of how many frames the clips are, on which a streaming file is measured where pictures are
#: given and not clips.
_MEASURED_FRAMES = 64
# Each step is some fifteen operators: beyond this a file is thousands of them.
_LONGEST = 256


def to_litert_streaming(
    model: Any,
    path: str | Path,
    quantization: str | QuantizationConfig = "int8",
    calibration: npt.ArrayLike | None = None,
    overwrite: bool = False,
    *,
    description: str | None = None,
    licence: str = "not stated",
    limits: Sequence[str] = metadata.LIMITS_OF_USE,
    tensor_names: bool = True,
    progress: Progress | None = None,
) -> ExportReport:
    """Write a model of clips as a ``.tflite`` that takes one frame after another.

    The file takes "image" `(1, height, width, channels)` and the LSTM's state behind the frame
    before, "hidden_state" and "cell_state", both float32 `(1, units)` and 0 before the first
    frame. It gives "emotion" `(1, classes)`, of the clip as far as it was seen,
    "valence_arousal" `(1, 2)` of this frame, and the two states again, under the same names.
    `keras_affect.runtime.StreamingAffect` hands them on.

    With "int8" the image is uint8, the picture's bytes, and the encoder computes in integers but
    for its first convolution. The LSTM, its state and the heads are float32: what a frame adds
    to a state may be less than half a step of int8, and would be lost at each frame.

    Args:
        model: A `keras_affect.models.TemporalAffect`.
        path: The file to write, ending in ``.tflite``.
        quantization: "int8", "float32", "float16", "dynamic_range", or a `QuantizationConfig`.
        calibration: Raw pixels like those that the model will see: pictures `(images, height,
            width, channels)` or clips `(clips, time, height, width, channels)`, of at least 8
            frames in all. "int8" needs them. Errors are measured on them under every
            quantization, clips as clips, pictures in runs of 64.
        overwrite: Whether a file that stands at `path` may be replaced.
        description: What the model is, in a sentence, for the file's metadata.
        licence: The model's licence, likewise.
        limits: What the model cannot know or must not be used for, likewise.
        tensor_names: Whether tensors inside the graph keep their names, as in
            `keras_affect.export.to_litert`.
        progress: Called with what is being done, steps done and steps in all.

    Returns:
        Size, operators, what stayed float, the time of a frame, and the largest distance of the
        file's outputs from the Keras model's at any frame. Where nothing is given to
        `calibration`, it is measured on 64 frames of noise.

    Raises:
        ValueError, ConversionError, OSError, ImportError: As `keras_affect.export.to_litert`.

    Example:
        >>> report = to_litert_streaming(model, "stream.tflite", calibration=frames)
        >>> stream = keras_affect.runtime.StreamingAffect("stream.tflite")
    """
    return _export(
        model,
        path,
        quantization,
        calibration,
        overwrite,
        streaming_graph,
        lambda content, clips, report: streaming_file(content, clips, STATES, report),
        time=None,
        facts={"states": list(STATES)},
        description=description,
        licence=licence,
        limits=limits,
        tensor_names=tensor_names,
        progress=progress,
    )


def to_litert_clip(
    model: Any,
    path: str | Path,
    frames: int,
    quantization: str | QuantizationConfig = "int8",
    calibration: npt.ArrayLike | None = None,
    overwrite: bool = False,
    *,
    description: str | None = None,
    licence: str = "not stated",
    limits: Sequence[str] = metadata.LIMITS_OF_USE,
    tensor_names: bool = True,
    progress: Progress | None = None,
) -> ExportReport:
    """Write a model of clips as a ``.tflite`` that takes a whole clip of a fixed length.

    The file takes "frames" `(1, frames, height, width, channels)`, and gives "emotion"
    `(1, classes)` and "valence_arousal" `(1, frames, 2)`. Each step of the LSTM is written out,
    since LiteRT loops over steps only by operators that not every build of it has. There is no
    padding: a shorter clip goes through the file of `to_litert_streaming`, or through one of its
    own length. Data types are as there.

    Args:
        model: As in `to_litert_streaming`, and so are all others but `frames`.
        path: "
        frames: Frames of a clip, from 1 to 256.
        quantization: "
        calibration: As in `to_litert_streaming`; cut into clips of `frames`, the last of which
            begins again at the first frame where they don't come out even.
        overwrite: "
        description: "
        licence: "
        limits: "
        tensor_names: "
        progress: "

    Returns:
        As `to_litert_streaming`, without a time. Where nothing is given to `calibration`, errors
        are measured on a clip of noise.

    Raises:
        ValueError, ConversionError, OSError, ImportError: As `keras_affect.export.to_litert`.
    """
    is_count = isinstance(frames, int) and not isinstance(frames, bool)
    if not is_count or not 1 <= frames <= _LONGEST:
        raise ValueError(
            f"Invalid value for argument `frames`. Expected an integer from 1 to {_LONGEST}. "
            f"Received: frames={frames!r}"
        )
    time = getattr(model, "time", None)
    if time not in (None, frames):
        raise ValueError(
            f"Invalid value for argument `frames`. Expected {time}, which the model was built "
            f"for. Received: frames={frames!r}"
        )
    return _export(
        model,
        path,
        quantization,
        calibration,
        overwrite,
        lambda parts: clip_graph(parts, frames),
        lambda content, clips, report: clip_file(content, clips, FRAMES_NAME, report),
        time=frames,
        facts={"frames": frames},
        description=description,
        licence=licence,
        limits=limits,
        tensor_names=tensor_names,
        progress=progress,
    )


def _export(
    model: Any,
    path: str | Path,
    quantization: str | QuantizationConfig,
    calibration: npt.ArrayLike | None,
    overwrite: bool,
    make_graph: Callable[[Parts], Graph],
    run_file: Callable[[bytes, Clips, Callable[[int, int], None]], dict[str, Clips]],
    *,
    time: int | None,
    facts: dict[str, Any],
    description: str | None,
    licence: str,
    limits: Sequence[str],
    tensor_names: bool,
    progress: Progress | None,
) -> ExportReport:
    path = _check_path(path, overwrite)
    config = _check_quantization(quantization)
    _check_backend()
    _check_model(model)
    verification.check_deterministic(model)
    shape = tuple(model.input_shape[2:])
    given = None if calibration is None else _check_clips(calibration, shape)
    if given is None and config.needs_calibration:
        raise ValueError(
            f"Invalid value for argument `calibration`. Expected raw pixels of at least "
            f"{pictures.MINIMUM} frames, which {config.name} learns its ranges from. "
            "Received: calibration=None"
        )
    report_step = progress or (lambda what, done, of: None)

    exact = precision.in_float32(model)
    parts = Parts.of(exact)
    graph = make_graph(parts)
    report_step("converting", 0, 1)
    flat = convert(exact, graph, config, _calibrating(given, time))
    report_step("converting", 1, 1)
    operators = flatbuffer.operators(flat)
    verification.check_operators(operators, exact)
    outputs = {name: head.units for name, head in parts.heads.items()}
    signature = signatures.Signature(shape, outputs, is_single=False)
    fields = metadata.describe(
        class_names=signatures.check_class_names(model, signature, None),
        input_shape=shape,
        input_dtype=config.border,
        outputs=tuple(outputs),
        quantization=config.name,
        description=description or f"{type(model).__name__} of {model.count_params():,} parameters",
        licence=licence,
        limits=limits,
    )
    content = (flatbuffer.compacted if tensor_names else flatbuffer.without_inner_names)(flat)
    content = metadata.append(content, {**fields, **facts})
    taken, gives = measure.borders(content)
    _check_borders(taken, gives, graph, signature, config, time)

    clips, measured_on = _measured(given, shape, time)
    if config.border == "uint8":
        clips = np.rint(clips)
    by_keras = keras_clips(exact, parts, clips)
    if time is not None:
        by_keras["emotion"] = by_keras["emotion"][:, -1:]
    by_file = run_file(content, clips, lambda done, of: report_step("running the file", done, of))
    errors = measure.largest_errors(by_keras, by_file)
    verification.check_errors(errors, by_keras, config, model.name)
    with written_whole(path, overwrite) as beside:
        beside.write_bytes(content)
    return ExportReport(
        path=str(path),
        quantization=config.name,
        size=len(content),
        operators=flatbuffer.count(operators),
        stayed_float=flatbuffer.stayed_float(operators) if config.name == "int8" else None,
        input=next(border for border in taken if border.name == graph.input),
        outputs=tuple(gives),
        largest_error=errors,
        measured_on=measured_on,
        scores=None,
        xnnpack=measure.xnnpack_coverage(content),
        # A hundred runs of a whole clip would take long, and tell what a frame's would.
        latency=measure.latency(content) if time is None else None,
    )


def _check_quantization(quantization: str | QuantizationConfig) -> QuantizationConfig:
    config = QuantizationConfig.from_name(quantization)
    known = ("int8", "float32", "float16", "dynamic_range")
    if config.name not in known:
        raise ValueError(
            f"Invalid value for argument `quantization`. Expected one of "
            f"{', '.join(map(repr, known))} for a model of clips. "
            f"Received: quantization={config.name!r}"
        )
    return config


def _check_model(model: Any) -> None:
    from keras_affect.models.temporal import TemporalAffect

    if not isinstance(model, TemporalAffect):
        raise ValueError(
            "Invalid value for argument `model`. Expected a keras_affect.models.TemporalAffect; "
            "export.to_litert is for models of single pictures. "
            f"Received: model={getattr(model, 'name', model)!r}, a {type(model).__name__}"
        )


def _check_clips(calibration: npt.ArrayLike, shape: tuple[int, int, int]) -> Clips:
    """Clips `(clips, time, height, width, channels)`, of checked pixels."""
    array = np.asarray(calibration)
    frames = array.reshape(-1, *array.shape[2:]) if array.ndim == 5 else array
    checked = pictures.check_images(frames, "calibration", shape, pictures.MINIMUM)
    if array.ndim == 5:
        return checked.reshape(array.shape)
    return windows(checked, min(len(checked), _MEASURED_FRAMES))


def _calibrating(clips: Clips | None, time: int | None) -> npt.NDArray[np.float32] | None:
    """What the converter is shown: frames, or clips of the file's length."""
    if clips is None:
        return None
    # No all-0 and all-255 picture, as elsewhere: what reads pixels stays float.
    frames = clips.reshape(-1, *clips.shape[2:])
    return frames if time is None else windows(frames, time)


def _measured(
    clips: Clips | None, shape: tuple[int, int, int], time: int | None
) -> tuple[Clips, str]:
    """The clips that the file is run on, and what they are called."""
    if clips is None:
        length = time or _MEASURED_FRAMES
        noise = np.random.default_rng(0).integers(0, 256, (1, length, *shape))
        return noise.astype(np.float32), f"{length} frames of noise, for no frames were given"
    if time is not None:
        clips = windows(clips.reshape(-1, *clips.shape[2:]), time)
    return clips, f"{len(clips)} clips of {clips.shape[1]} frames"


def _check_borders(
    taken: list[measure.Border],
    gives: list[measure.Border],
    graph: Graph,
    signature: signatures.Signature,
    config: QuantizationConfig,
    time: int | None,
) -> None:
    """Refuse a file whose inputs and outputs are not what its readers rely on."""
    found = [{border.name: (border.shape, border.dtype) for border in of} for of in (taken, gives)]
    states = {name: (shape, "float32") for name, shape in graph.states.items()}
    outputs = {
        name: (
            (1, time, length) if time is not None and name == "valence_arousal" else (1, length),
            "float32",
        )
        for name, length in signature.outputs.items()
    }
    wanted = [{graph.input: (graph.input_shape, config.border), **states}, {**outputs, **states}]
    if found != wanted:
        raise ConversionError(
            f"The converted file takes and gives {found}; expected {wanted}. Nothing was written"
        )
