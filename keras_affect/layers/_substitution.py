"""Variables of a layer that read as other values while the layer runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import keras

__all__ = ["substituted"]


@contextmanager
def substituted(
    layer: Any, values: Iterable[tuple[Any, Any]], add_loss: Callable[[Any], None]
) -> Iterator[None]:
    """Lets variables of a layer read as other values; all else is as without it.

    So the layer's own `call` runs, with padding, masking, states, and whatever a subclass adds,
    on weights that are not its own. `Dense.kernel` can't be set, and an attribute set for the
    time of a call would be seen by other threads, such as MirroredStrategy's replicas, which
    change places wherever a variable is assigned. What a `keras.StatelessScope` maps belongs to
    its thread.

    Args:
        layer: A built layer, called inside.
        values: Pairs of a variable and a tensor of its shape. Gradients go through the tensor.
        add_loss: Takes what losses the layer adds inside, where no other scope collects them.
    """
    with keras.StatelessScope(collect_losses=True) as scope:
        # Under JAX's `fit` values live in an outer scope, and in a new one every variable would
        # read as it was when training began: so the outer one's mapping is copied.
        outer = scope.original_scope
        if outer is not None:
            scope.state_mapping.update(outer.state_mapping)
        for pair in values:
            scope.add_update(pair)
        before = dict(scope.state_mapping)
        yield
    # What the layer assigned in there (the seed of its dropout, states kept between calls) and
    # what losses it added are handed on. States are no variables of an RNN in Keras's own list.
    states = keras.tree.flatten(getattr(layer, "states", None) or [])
    for variable in [*layer.variables, *states]:
        value = scope.get_current_value(variable)
        if value is not before.get(id(variable)):
            variable.assign(value)
    for loss in scope.losses:
        if outer is None:
            add_loss(loss)
        elif outer.collect_losses:
            # The layer has noted that it is its own: `add_loss` would count it twice.
            outer.add_loss(loss)
