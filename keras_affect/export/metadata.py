"""What a ``.tflite`` says of itself: class names, pixels, licence, and what it cannot know.

A ZIP archive stands behind the flatbuffer, as the associated files of TFLite Metadata do: an
interpreter reads the flatbuffer from the front and never looks there, a ZIP reader looks from the
back and finds it. ``labels.txt`` and ``keras_affect.json`` come out with ``unzip FILE.tflite``.

Reference: https://ai.google.dev/edge/litert/conversion/tensorflow/metadata
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

from keras_affect import __version__, emotions

__all__ = [
    "FORMAT",
    "LIMITS",
    "LIMITS_OF_FERPLUS",
    "LIMITS_OF_USE",
    "append",
    "describe",
    "limits_of",
]

#: The version of ``keras_affect.json``'s fields.
FORMAT = 1

#: What holds for every model of this package, whatever it was trained on.
LIMITS_OF_USE: tuple[str, ...] = (
    "An expression is not a feeling. The model names what people would call the look of a face in "
    "one picture; it cannot know what a person feels, means or will do.",
    "Regulation (EU) 2024/1689 (AI Act), Article 5(1)(f), prohibits AI systems that infer "
    "emotions of a person at work and in education, except for medical or safety reasons.",
)

#: What holds for a model trained on FER+, as this package's recipes train it.
LIMITS_OF_FERPLUS: tuple[str, ...] = (
    "Trained on FER+: 48x48 gray pictures found on the web by keyword, each labelled by ten crowd "
    "workers. Other pictures (turned heads, covered faces, video, other crops) and people whom "
    "those pictures do not show are read less well, and nobody measured by how much.",
    "Disgust, fear and contempt are rare there: scores for them rest on few pictures.",
    "Valence and arousal are derived from the categories by a circumplex table (Russell and "
    "Mehrabian 1977), not from human ratings of the pictures.",
)

#: Both, for a model of all that FER+ has.
LIMITS: tuple[str, ...] = LIMITS_OF_USE + LIMITS_OF_FERPLUS

# A fixed date makes equal models equal files. It is the first that a ZIP archive can hold.
_DATE = (1980, 1, 1, 0, 0, 0)


def describe(
    *,
    class_names: Sequence[str],
    input_shape: tuple[int, int, int],
    input_dtype: str,
    outputs: Sequence[str],
    quantization: str,
    description: str,
    licence: str,
    limits: Sequence[str],
) -> dict[str, Any]:
    """The content of ``keras_affect.json``.

    Args:
        class_names: Names of the emotions in the order of the output "emotion".
        input_shape: (height, width, channels) of the input.
        input_dtype: "uint8" or "float32"; pixels are raw, in [0, 255], either way.
        outputs: The outputs' names in the signature.
        quantization: The name of the `QuantizationConfig`.
        description: What the model is, in a sentence.
        licence: Its licence, as an SPDX identifier, or a sentence.
        limits: What the model cannot know or must not be used for, a sentence each.
    """
    height, width, channels = input_shape
    return {
        "format": FORMAT,
        "class_names": list(class_names),
        "input": {
            "height": height,
            "width": width,
            "channels": channels,
            "range": [0, 255],
            "dtype": input_dtype,
        },
        "outputs": list(outputs),
        "licence": licence,
        "description": description,
        "limits": list(limits),
        "package": f"keras_affect {__version__}",
        "quantization": quantization,
    }


def limits_of(class_names: Sequence[str], outputs: Sequence[str]) -> tuple[str, ...]:
    """What `to_litert` says of a model of which nothing else is said.

    FER+'s limits where it has FER+'s eight emotions in their order, that on valence and arousal
    where it has this output too; of any other what holds for all models.
    """
    if tuple(class_names) != emotions.NAMES:
        return LIMITS_OF_USE
    return LIMITS if "valence_arousal" in outputs else LIMITS[:-1]


def append(model: bytes, fields: Mapping[str, Any]) -> bytes:
    """A flatbuffer with the archive behind it.

    Args:
        model: The flatbuffer.
        fields: What `describe` returned.

    Returns:
        The bytes of the ``.tflite``; equal arguments give equal bytes.
    """
    files = {
        "labels.txt": "".join(f"{name}\n" for name in fields["class_names"]),
        "keras_affect.json": json.dumps(fields, indent=2, ensure_ascii=False) + "\n",
    }
    buffer = io.BytesIO(model)
    # Stored, not deflated: deflate's bytes change between versions of zlib.
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_STORED) as archive:
        for name, text in files.items():
            entry = zipfile.ZipInfo(name, _DATE)
            # Both would otherwise tell the operating system that exported.
            entry.create_system = 3
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, text.encode())
    return buffer.getvalue()
