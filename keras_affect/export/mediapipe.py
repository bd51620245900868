"""What MediaPipe Tasks' ImageClassifier wants of a file: one output, and TFLite Metadata.

The metadata is a flatbuffer of its own in a buffer of the model named "TFLITE_METADATA". It is
built here field by field: MediaPipe's own writer does not import in mediapipe 1.2.2, and would
bring all of MediaPipe for three hundred bytes. ``labels.txt``, which it names, stands in the
archive behind the model (see `keras_affect.export.metadata`).

Reference: https://github.com/google-ai-edge/mediapipe/blob/master/mediapipe/tasks/metadata/metadata_schema.fbs
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flatbuffers
from ai_edge_litert import schema_py_generated as schema

from keras_affect.export import flatbuffer

__all__ = ["described", "single_headed"]

_METADATA_IDENTIFIER = b"M001"
_BUFFER_NAME = "TFLITE_METADATA"

# From the schema: members of its unions and enumerations.
_IMAGE_PROPERTIES = 2
_RGB = 1
_FEATURE_PROPERTIES = 1
_TENSOR_AXIS_LABELS = 2


def single_headed(model: Any) -> Any:
    """A model that returns the emotion's probabilities alone."""
    import keras

    returned = model(model.input)
    emotion = returned["emotion"] if isinstance(returned, dict) else returned
    return keras.Model(model.input, emotion, name=model.name)


def described(flat: bytes, fields: Mapping[str, Any]) -> bytes:
    """A flatbuffer with TFLite Metadata in it.

    Args:
        flat: The flatbuffer, of one input, RGB pictures, and one output, probabilities.
        fields: What `metadata.describe` returned.
    """
    model = flatbuffer.unpacked(flat)
    buffer = schema.BufferT()
    buffer.data = list(_metadata(fields))
    entry = schema.MetadataT()
    entry.name = _BUFFER_NAME
    entry.buffer = len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or ()), entry]
    return flatbuffer.packed(model)


def _metadata(fields: Mapping[str, Any]) -> bytes:
    builder = flatbuffers.Builder(1024)
    text = builder.CreateString

    # Slots are the places of a table's fields in the schema.
    image = _table(builder, 2, {0: (builder.PrependInt8Slot, _RGB)})
    content = _content(builder, _IMAGE_PROPERTIES, image)
    picture = _tensor(
        builder, "image", "A face, RGB, raw pixels in [0, 255].", content, labels=None
    )

    features = _table(builder, 0, {})
    content = _content(builder, _FEATURE_PROPERTIES, features)
    name, description = text("labels.txt"), text("The emotions, in the output's order.")
    labels = _table(
        builder,
        5,
        {0: _offset(builder, name), 1: _offset(builder, description)}
        | {2: (builder.PrependInt8Slot, _TENSOR_AXIS_LABELS)},
    )
    probabilities = _tensor(
        builder, "emotion", "Probabilities of the emotions.", content, labels=labels
    )

    inputs, outputs = _vector(builder, [picture]), _vector(builder, [probabilities])
    subgraph = _table(builder, 10, {2: _offset(builder, inputs), 3: _offset(builder, outputs)})
    parts = {
        0: text("keras_affect"),
        1: text(" ".join([fields["description"], *fields["limits"]])),
        2: text(fields["package"]),
        3: _vector(builder, [subgraph]),
        5: text(fields["licence"]),
        7: text("1.0.0"),
    }
    model = _table(builder, 8, {slot: _offset(builder, part) for slot, part in parts.items()})
    builder.Finish(model, _METADATA_IDENTIFIER)
    return bytes(builder.Output())


_Field = tuple[Callable[..., None], int]


def _offset(builder: Any, part: int) -> _Field:
    return builder.PrependUOffsetTRelativeSlot, part


def _table(builder: Any, slots: int, values: Mapping[int, _Field]) -> int:
    builder.StartObject(slots)
    for slot, (prepend, value) in values.items():
        prepend(slot, value, 0)
    return int(builder.EndObject())


def _vector(builder: Any, parts: Sequence[int]) -> int:
    builder.StartVector(4, len(parts), 4)
    for part in reversed(parts):
        builder.PrependUOffsetTRelative(part)
    return int(builder.EndVector())


def _content(builder: Any, kind: int, properties: int) -> int:
    return _table(
        builder, 3, {0: (builder.PrependUint8Slot, kind), 1: _offset(builder, properties)}
    )


def _tensor(builder: Any, name: str, description: str, content: int, labels: int | None) -> int:
    parts = {0: builder.CreateString(name), 1: builder.CreateString(description), 3: content}
    if labels is not None:
        parts[6] = _vector(builder, [labels])
    return _table(builder, 7, {slot: _offset(builder, part) for slot, part in parts.items()})
