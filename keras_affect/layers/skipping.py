"""A computation that is run or skipped as a drawn number says, with all that layers do in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

__all__ = ["run_or_skip"]


def run_or_skip(
    keeps: Any, run: Callable[[], Any], skip: Callable[[], Any], branch: Any
) -> tuple[Any, Any]:
    """`run()` where `keeps` holds, and `skip()` where not; one of the two is computed.

    What layers assign in `run` is assigned. Where it is skipped, variables stay as they were, and
    the weights of `branch` get gradients of 0.

    Args:
        keeps: Boolean tensor without dimensions, traced or not.
        run: Calls `branch`, and returns a tensor.
        skip: Calls no layer, and returns a tensor of the same shape and dtype.
        branch: The layer, built, whose computation is skipped.

    Returns:
        The tensor; and the sum of the losses that layers added in `run`, for the caller to add,
        or None where there are none or where Keras has them already.

    Raises:
        ValueError: If, in a graph of TensorFlow, a layer of `branch` waits for other replicas or
            is under a `keras.RematScope`.
    """
    chosen = _value(keeps)
    if chosen is not None:
        return run() if chosen else _connect(skip(), branch.trainable_variables), None
    if keras.backend.backend() == "tensorflow":
        _check_not_rematerialized(branch)

    # Where a graph is traced, what layers assign in a conditional may not leave it by itself
    # (JAX's tracers would outlive it, as would TensorFlow's loss tensors). It is held back,
    # handed out as results, and assigned here.
    updated: list[Any] = []
    types: list[Any] = []
    adds_losses = False

    def traced_run() -> tuple[Any, list[Any], Any]:
        nonlocal adds_losses
        with _HeldUpdates() as scope:
            outputs = run()
        updated[:] = scope.updated.values()
        values = [scope.get_current_value(variable) for variable in updated]
        types[:] = [value.dtype for value in values]
        adds_losses = bool(scope.losses)
        losses = [ops.cast(loss, "float32") for loss in scope.losses]
        _forget(scope.losses, branch)
        return outputs, values, sum(losses, ops.zeros((), "float32"))

    def traced_skip() -> tuple[Any, list[Any], Any]:
        # `traced_run` is traced first: what it updates is known.
        values = [ops.cast(_stored(v), t) for v, t in zip(updated, types, strict=True)]
        return skip(), values, ops.zeros((), "float32")

    try:
        outputs, values, loss = ops.cond(keeps, traced_run, traced_skip)
    except RuntimeError as error:
        if "merge_call" not in str(error):
            raise
        raise ValueError(
            "Invalid value for argument `branch`. Expected a layer that does not wait for other "
            "replicas, as BatchNormalization(synchronized=True) does under a tf.distribute "
            f'strategy, or mode="sample". Received: mode="batch", branch={branch!r}'
        ) from error
    for variable, value in zip(updated, values, strict=True):
        variable.assign(value)
    return outputs, loss if adds_losses else None


class _HeldUpdates(keras.StatelessScope):
    """Holds back what is assigned to variables, which read as in the scope around it."""

    def __init__(self) -> None:
        super().__init__(collect_losses=True, initialize_variables=False)
        self.updated: dict[int, Any] = {}

    def add_update(self, update: Any) -> None:
        super().add_update(update)
        self.updated[id(update[0])] = update[0]

    def get_current_value(self, variable: Any) -> Any:
        value = super().get_current_value(variable)
        if value is None and self.original_scope is not None:
            value = self.original_scope.get_current_value(variable)
        return value


def _stored(variable: Any) -> Any:
    # Not its `value`, which in mixed precision is rounded to what is computed in: a weight that
    # a layer assigns, as SpectralNormalization does, would lose its last digits where skipped.
    with _HeldUpdates() as scope:
        value = scope.get_current_value(variable)
    return variable._value if value is None else value


def _forget(losses: list[Any], branch: Any) -> None:
    # Layers know their losses in a stateless scope by id. These tensors are gone once the branch
    # has run, and a later loss with one of their ids would be counted twice.
    ids = {id(loss) for loss in losses}
    for layer in branch._flatten_layers() if ids else ():
        layer._loss_ids -= ids


def _check_not_rematerialized(branch: Any) -> None:
    # TensorFlow would fail in the backward pass, with a message about eager execution.
    for layer in branch._flatten_layers():
        scope = layer._remat_mode
        if not scope or not scope.mode:
            continue
        if scope.mode != "list_of_layers" or layer.name in scope.layer_names:
            raise ValueError(
                "Invalid value for argument `branch`. Expected layers made outside of "
                "keras.RematScope, since TensorFlow can't compute a part of a conditional again, "
                f'or mode="sample". Received: mode="batch", branch={branch!r}, whose layer '
                f"{layer.name!r} was made inside of one"
            )


def _connect(tensor: Any, variables: list[Any]) -> Any:
    # Where gradients are found by recording what ran, a weight that nothing used has none: Keras
    # warns of it, and PyTorch fails if no weight was used at all. The sum of no entry of a weight
    # is 0 whatever the weight holds, and has a gradient of 0.
    for variable in variables:
        nothing = ops.sum(ops.reshape(variable, (-1,))[:0])
        tensor = ops.add(tensor, ops.cast(nothing, tensor.dtype))
    return tensor


def _value(condition: Any) -> bool | None:
    """What a boolean tensor holds, or None where it is traced and has no value yet."""
    try:
        return bool(condition)
    except (TypeError, RuntimeError):  # Of TensorFlow and JAX; of PyTorch without data ("meta").
        return None
