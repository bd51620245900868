"""What ships in the wheel: each file with its hash, size, scores, data and licence.

The facts stand in ``catalog.json`` beside this file, which ``export/build_all.py`` writes from
the files themselves. Names carry a version: ``ferplus`` is the newest of ``ferplus_v1``,
``ferplus_v2``, ..., and each of those stays what it was.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

__all__ = ["Entry", "entries", "find", "find_by_name", "names", "version"]

FOLDER = Path(__file__).parent

Kind = Literal["keras", "litert"]


@dataclass(frozen=True)
class Entry:
    """One shipped file.

    Attributes:
        model: The class in `keras_affect.models` that it belongs to, as "LightweightCNN".
        name: The versioned name, as "ferplus_v1".
        kind: "keras" for a ``.weights.h5``, "litert" for a ``.tflite``.
        file: The file's name in the folder of this module.
        sha256: Its SHA-256, in hexadecimal.
        size: Its size in bytes.
        config: The arguments of the model's class that the file was trained with.
        scores: What `keras_affect.evaluation` measured of this very file.
        data: What it was trained on.
        licence: The licence of the file.
    """

    model: str
    name: str
    kind: Kind
    file: str
    sha256: str
    size: int
    config: Mapping[str, Any]
    scores: Mapping[str, Any]
    data: str
    licence: str

    @property
    def path(self) -> Path:
        """Where the file lies. It is not read: `verified_path` does."""
        return FOLDER / self.file

    @property
    def card(self) -> Path:
        """Where the model's card lies: what it is for, how good it is, what it cannot know.

        A name has one card, for all of its files.
        """
        stem = self.file.removesuffix(".weights.h5").removesuffix(".tflite").removesuffix("_int8")
        return FOLDER / f"{stem}.md"

    def verified_path(self) -> Path:
        """Where the file lies, after its hash was compared.

        Raises:
            FileNotFoundError: If the file is not there.
            ValueError: If a byte of the file differs from what was shipped.
        """
        if not self.path.is_file():
            raise FileNotFoundError(
                f"{self.path}: missing; it ships with keras_affect. Install the package again."
            )
        found = hashlib.sha256(self.path.read_bytes()).hexdigest()
        if found != self.sha256:
            raise ValueError(
                f"{self.path}: damaged. Expected SHA-256 {self.sha256}, found {found}. "
                "Install the package again."
            )
        return self.path


@functools.cache
def entries() -> tuple[Entry, ...]:
    """All that ships, in the catalog's order."""
    rows = json.loads((FOLDER / "catalog.json").read_text(encoding="utf-8"))
    return tuple(Entry(**row) for row in rows)


def names() -> frozenset[str]:
    """All names that ship, each with and without its version."""
    return frozenset(name for entry in entries() for name in (entry.name, version(entry.name)[0]))


def version(name: str) -> tuple[str, int]:
    """A name without its version, and the version: 0 where there is none."""
    match = re.fullmatch(r"(.+)_v(\d+)", name)
    return (match[1], int(match[2])) if match else (name, 0)


def find(model: str, name: str, kind: Kind) -> Entry:
    """The entry of that model, name and kind; a name without a version means the newest.

    Raises:
        ValueError: If nothing of that name ships; the message lists what does.
    """
    of_model = [entry for entry in entries() if entry.model == model and entry.kind == kind]
    exact = [entry for entry in of_model if entry.name == name]
    newest = sorted(
        (entry for entry in of_model if version(entry.name)[0] == name),
        key=lambda entry: version(entry.name)[1],
    )
    for candidates in (exact, newest):
        if candidates:
            return candidates[-1]
    known = sorted({n for entry in of_model for n in (version(entry.name)[0], entry.name)})
    raise ValueError(
        f"Invalid value for argument `weights`. {model} ships "
        f"{', '.join(map(repr, known)) if known else 'no weights'}. Received: weights={name!r}"
    )


def find_by_name(name: str, kind: Kind) -> Entry:
    """The entry of that name and kind, whatever its model; LightweightCNN's where several have it.

    Raises:
        ValueError: As `find`.
    """
    owners = [
        entry.model
        for entry in entries()
        if entry.kind == kind and name in (entry.name, version(entry.name)[0])
    ]
    owner = owners[0] if owners and "LightweightCNN" not in owners else "LightweightCNN"
    return find(owner, name, kind)
