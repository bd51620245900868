"""Which layers of a model are frozen, as its config tells of them.

Keras keeps `trainable` in each layer's own config, which a model that is made from its arguments
again has not: without this, what was frozen would train on after a save.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

__all__ = ["freeze_alone", "frozen_layers"]


def frozen_layers(model: Any) -> list[str]:
    """The paths of the layers whose `trainable` is False, those within others too.

    A path is the names from the model's own layer down, with a slash between: "encoder/stem_conv".
    The model itself is "".
    """
    return [path for path, layer in _with_paths(model, "") if not layer.trainable]


def freeze_alone(model: Any, frozen: Sequence[str]) -> None:
    """Freeze the layers at these paths, and no other.

    Paths without a layer are passed over: a config may be changed to one without a head.
    """
    # Outer ones first, since what is set on a layer is set on all within.
    for path, layer in _with_paths(model, ""):
        layer.trainable = path not in frozen


def _with_paths(layer: Any, path: str) -> Iterator[tuple[str, Any]]:
    yield path, layer
    for inner in layer._flatten_layers(include_self=False, recursive=False):
        yield from _with_paths(inner, f"{path}/{inner.name}" if path else inner.name)
