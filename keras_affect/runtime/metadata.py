"""What a ``.tflite`` says of itself, read from the ZIP archive behind its flatbuffer.

`keras_affect.export.metadata` writes it; TFLite Metadata keeps its associated files the same way,
so ``labels.txt`` of other makers' files is read too.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Metadata", "read"]

# The newest version of ``keras_affect.json`` that is understood here.
_FORMAT = 1

# Names and a few sentences; what claims to be more is not ours, and is not unpacked.
_LARGEST = 1 << 20


@dataclass(frozen=True)
class Metadata:
    """What a file says of itself.

    Attributes:
        class_names: The names of the output "emotion", in its order; None if the file has none.
        fields: The content of ``keras_affect.json``; empty if the file has none.
    """

    class_names: tuple[str, ...] | None
    fields: Mapping[str, Any]


def read(content: bytes, name: str) -> Metadata:
    """Read the metadata behind a flatbuffer.

    Args:
        content: The whole file.
        name: What to call it in messages.

    Returns:
        The metadata; nothing in it if no archive stands behind the flatbuffer.

    Raises:
        ValueError: If the archive is damaged, is of a later format, or says that pixels are not
            in [0, 255], which is all that `AffectInterpreter` feeds.
    """
    if not zipfile.is_zipfile(io.BytesIO(content)):
        return Metadata(None, {})
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
            texts = {
                file: archive.read(file).decode()
                for file in ("labels.txt", "keras_affect.json")
                if sizes.get(file, _LARGEST) < _LARGEST
            }
        fields = json.loads(texts.get("keras_affect.json", "{}"))
        names = fields.get("class_names") or texts.get("labels.txt", "").splitlines()
        if not all(isinstance(name, str) for name in names):
            raise ValueError("class_names holds more than text")
        form = int(fields.get("format", _FORMAT))
        pixels = list(fields.get("input", {}).get("range", [0, 255]))
    # zipfile raises NotImplementedError and RuntimeError too, zlib its own, and JSON of another
    # shape AttributeError or TypeError.
    except Exception as error:
        raise ValueError(f"{name}: the metadata behind the model is damaged ({error})") from error
    if form > _FORMAT:
        raise ValueError(
            f"{name}: its metadata is of format {form}, and {_FORMAT} is the newest known here: "
            "pip install --upgrade keras-affect"
        )
    if pixels != [0, 255]:
        raise ValueError(f"{name}: takes pixels in {pixels}; expected a model that takes [0, 255]")
    return Metadata(tuple(names) or None, fields)
