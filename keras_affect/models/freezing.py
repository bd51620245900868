"""Which layers of a model are frozen, as its config tells of them.

Keras keeps `trainable` in each layer's own config, which a model that is made from its arguments
again has not: without this, what was frozen would train on after a save.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import keras

__all__ = ["freeze_alone", "frozen_layers"]


def frozen_layers(model: Any) -> list[str]:
    """The paths of the layers whose `trainable` is False, those within others too.

    A path leads from the model's own layer down, with a slash between. Layers of functional and
    sequential models stand there by their names, which files keep, and those within other layers,
    which may be named anew when they are made again, by their places: "encoder/0/stem_conv". The
    model itself is "".
    """
    return [path for path, layer in _with_paths(model, "") if not layer.trainable]


def freeze_alone(model: Any, frozen: Sequence[str]) -> None:
    """Freeze the layers at these paths, and no other.

    Paths without a layer are passed over: a config may be changed to one without a head. Nothing
    is thawed then, since what is frozen might stand under another path.
    """
    layers = list(_with_paths(model, ""))
    are_all_there = set(frozen) <= {path for path, _ in layers}
    # Outer ones first, since what is set on a layer is set on all within.
    for path, layer in layers:
        if are_all_there or path in frozen:
            layer.trainable = path not in frozen


def _with_paths(layer: Any, path: str) -> Iterator[tuple[str, Any]]:
    yield path, layer
    keeps_names = hasattr(layer, "operations") or isinstance(layer, keras.Sequential)
    inner = layer._flatten_layers(include_self=False, recursive=False)
    for place, one in enumerate(inner):
        step = one.name if keeps_names else str(place)
        yield from _with_paths(one, f"{path}/{step}" if path else step)
