"""Which layers of a Keras model an operator of its exported graph came from.

The converter names a tensor after the places of the model whose operators it fused into the one
that computes it: "affect_1/relu_1/Relu;affect_1/conv_1/convolution". Each place is a path of
layer names; a suffix as "_1" is the same on all of them, and belongs to the trace of the graph.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from keras_affect.export.flatbuffer import Operator

__all__ = ["check_layers", "describe", "layers_of", "operators_by_layers"]


def layers_of(place: str, model: Any) -> tuple[str, ...]:
    """The names of the innermost layers in a tensor's name, in its order; empty if none is."""
    known = {layer.name for layer in model._flatten_layers() if layer is not model}
    found: dict[str, None] = {}
    for path in place.split(";"):
        segments = path.split("/")
        # The first segment is the model's own: what it has behind its name, all segments have.
        root = re.fullmatch(re.escape(model.name) + r"(_\d+)?", segments[0])
        suffix = root[1] or "" if root else ""
        # The last is the operator's, which may be called as a layer is.
        names = [segment.removesuffix(suffix) for segment in segments[:-1]]
        inner = [name for name in names if name in known]
        if inner:
            found[inner[-1]] = None
    return tuple(found)


def operators_by_layers(
    operators: Sequence[Operator], model: Any
) -> list[tuple[Operator, tuple[str, ...]]]:
    """Each operator with the layers that it came from.

    An operator whose tensor is named after none, as the softmax whose result is the graph's
    output, counts to the layers of what made its first input.
    """
    makers: dict[str, tuple[str, ...]] = {}
    pairs = []
    for operator in operators:
        layers = layers_of(operator.results[0], model) if operator.results else ()
        if not layers:
            layers = next((makers[name] for name in operator.inputs if name in makers), ())
        makers.update(dict.fromkeys(operator.results, layers))
        pairs.append((operator, layers))
    return pairs


def describe(places: Sequence[str], model: Any) -> str:
    """Layers for a message, as "layer 'shrink' (FractionalPool)"; empty if none is named."""
    classes = {layer.name: type(layer).__name__ for layer in model._flatten_layers()}
    names = dict.fromkeys(name for place in places for name in layers_of(place, model))
    return ", ".join(f"layer {name!r} ({classes[name]})" for name in names)


def check_layers(names: Sequence[str], operators: Sequence[Operator], model: Any) -> list[Operator]:
    """The operators that those layers became.

    Raises:
        ValueError: If a name is no layer's, or its layer left no operator: it was folded into
            another, or does nothing at inference.
    """
    pairs = operators_by_layers(operators, model)
    present = {name for _, layers in pairs for name in layers}
    missing = sorted(set(names) - present)
    if missing or isinstance(names, str):
        raise ValueError(
            "Invalid value for argument `keep_float`. Expected names of layers with operators in "
            f"the exported graph: {', '.join(sorted(present))}. Received: keep_float={names!r}"
        )
    return [operator for operator, layers in pairs if set(layers) & set(names)]
