"""Stochastic depth: residual branches left out at random in training."""

from __future__ import annotations

from typing import Any, Literal

import keras
from keras import ops

from keras_affect._arguments import check_count, check_rate
from keras_affect.layers.skipping import run_or_skip

__all__ = ["StochasticDepth", "stochastic_depth_rates"]


@keras.saving.register_keras_serializable(package="keras_affect")
class StochasticDepth(keras.layers.Layer):
    """Leaves the residual of a block out at random in training, and scales it at inference.

    In training the residual is kept whole with probability `1 - rate`, and is 0 otherwise. At
    inference nothing is drawn, and it is multiplied by `1 - rate`, which keeps its expectation.
    This is the paper's rule, and that of `tensorflow_addons.layers.StochasticDepth` (whose
    `survival_probability` is `1 - rate`). timm's `DropPath` (drop-path is its name for stochastic
    depth) does the inverse: it divides by `1 - rate` in training and leaves inference as it is.
    The two are the same network up to the residual's scale: weights trained under timm's rule
    fit here once those of the branch's last linear layer are divided by `1 - rate`.

    The layer is used in three ways:

    - `x + layer(residual)`;
    - `layer([x, residual])`, which returns the sum;
    - `layer(x)` with `branch=`, which returns `x + branch(x)`. With `mode="batch"` a branch that
      is left out is not computed, neither forward nor backward. What it holds stays as it was on
      such a step: moving statistics and seeds. Losses that it would have added don't count. Its
      weights get gradients of 0, and their regularizers still count.

    Args:
        rate: Probability of leaving the residual out, in [0, 1). `stochastic_depth_rates` gives
            those of a network's blocks.
        mode: `"sample"` to draw for each sample of the batch, `"batch"` once for all of it, as
            the paper and TensorFlow Addons do. Under a `tf.distribute` strategy all replicas draw
            the same numbers, as Keras's own layers do: in `"batch"` mode one for the whole batch.
        branch: The residual branch, a layer or a model that keeps the shape of its input, or
            None. In `"sample"` mode it is computed for all samples.
        seed: Integer, or None for a random one.
        **kwargs: `name`, `dtype` and so on, as of `keras.layers.Layer`.

    Call arguments:
        inputs: The residual, `(batch, ...)`; or `[shortcut, residual]`, of one shape; or, with
            `branch=`, the block's input.
        training: Whether to draw.

    Input shape:
        `(batch, ...)`, or two of one shape.

    Output shape:
        That of an input.

    Raises:
        ValueError: If an argument is not as above; if called on other than one tensor or two of
            one shape; if the branch changes the shape; or if it can't be skipped in a graph of
            TensorFlow, since it synchronizes replicas or was made under a `keras.RematScope`.

    Reference:
        Huang et al. 2016, "Deep Networks with Stochastic Depth", ECCV (arXiv:1603.09382).

    Example:
    ```python
    for rate in keras_affect.layers.stochastic_depth_rates(blocks=12, final_rate=0.5):
        branch = keras.Sequential([
            keras.layers.Conv2D(64, 3, padding="same", use_bias=False),
            keras.layers.BatchNormalization(),
            keras.layers.ReLU(),
            keras.layers.Conv2D(64, 3, padding="same", use_bias=False),
            keras.layers.BatchNormalization(),
        ])
        x = keras_affect.layers.StochasticDepth(rate, mode="batch", branch=branch)(x)
        x = keras.layers.ReLU()(x)
    ```
    """

    def __init__(
        self,
        rate: float,
        mode: Literal["sample", "batch"] = "sample",
        branch: Any = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.rate = check_rate("rate", rate)
        if mode not in ("sample", "batch"):
            raise ValueError(
                'Invalid value for argument `mode`. Expected "sample" or "batch". '
                f"Received: mode={mode!r}"
            )
        if branch is not None and not isinstance(branch, keras.layers.Layer):
            raise ValueError(
                "Invalid value for argument `branch`. Expected a Keras layer or None. "
                f"Received: branch={branch!r}"
            )
        self.mode = mode
        self.branch: Any = branch
        self.seed = seed
        if self.rate > 0:
            self.seed_generator = keras.random.SeedGenerator(seed)
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        """Build the branch, whose variables can't be made where it may be left out."""
        shape = self.compute_output_shape(input_shape)
        if self.branch is not None:
            # A call, since it builds layers that have no `build` of their own too.
            outputs = self.branch(keras.KerasTensor(shape, dtype=self.compute_dtype))
            if not _keeps_shape(shape, _shapes(outputs)):
                raise ValueError(
                    "Invalid value for argument `branch`. Expected a layer that keeps the shape "
                    f"of its input, {shape}. Received: one that returns {_shapes(outputs)}"
                )
        super().build(input_shape)

    def call(self, inputs: Any, training: bool = False) -> Any:
        """The residual, or its sum with the shortcut."""
        self.compute_output_shape(_shapes(inputs))
        if self.branch is not None:
            if training and self.rate > 0 and self.mode == "batch":
                return self._maybe_run_branch(inputs)
            residual = ops.cast(self.branch(inputs, training=training), inputs.dtype)
            return ops.add(inputs, self._scale(residual, training))
        if isinstance(inputs, list | tuple):
            shortcut, residual = inputs
            return ops.add(shortcut, self._scale(residual, training))
        return self._scale(inputs, training)

    def _scale(self, residual: Any, training: bool) -> Any:
        if self.rate == 0:
            return residual
        if not training:
            return residual * (1 - self.rate)
        shape: tuple[Any, ...] = ()
        if self.mode == "sample":
            shape = (ops.shape(residual)[0],) + (1,) * (len(residual.shape) - 1)
        # Chosen and not multiplied: infinity times 0 is not 0.
        return ops.where(self._keeps(shape), residual, ops.zeros_like(residual))

    def _keeps(self, shape: tuple[Any, ...]) -> Any:
        # In float32 whatever the layer computes in: half precision would round the rate.
        return keras.random.uniform(shape, dtype="float32", seed=self.seed_generator) >= self.rate

    def _maybe_run_branch(self, inputs: Any) -> Any:
        """`inputs + branch(inputs)`, or `inputs` without computing the branch."""

        def block() -> Any:
            return ops.add(inputs, ops.cast(self.branch(inputs, training=True), inputs.dtype))

        outputs, loss = run_or_skip(self._keeps(()), block, lambda: inputs, self.branch)
        if loss is not None:
            self.add_loss(loss)
        return outputs

    def rematerialized_call(self, layer_call: Any, *args: Any, **kwargs: Any) -> Any:
        """The call as it is: a second one would draw again. Layers of the branch are free to."""
        return layer_call

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        """The mask of the input; of two, where either has a value, as `keras.layers.Add` does."""
        if not isinstance(previous_mask, list | tuple):
            return previous_mask
        if any(mask is None for mask in previous_mask):
            return None
        return ops.logical_or(*previous_mask)

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        """The shape of an input."""
        if not isinstance(input_shape, dict):
            if not any(isinstance(part, list | tuple | dict) for part in input_shape):
                return tuple(input_shape)
            if self.branch is None and len(input_shape) == 2 and _agree(*input_shape):
                return tuple(a if b is None else b for a, b in zip(*input_shape, strict=True))
        expected = "one tensor, or a shortcut and a residual of one shape"
        if self.branch is not None:
            expected = "one tensor, since the layer has a branch"
        raise ValueError(
            f"Invalid value for argument `inputs`. Expected {expected}. "
            f"Received: inputs of shape {input_shape}"
        )

    def get_config(self) -> dict[str, Any]:
        """The arguments, as `from_config` takes them."""
        # Twice: while a model is saved, the second time Keras adds by what id it knows the branch,
        # without which blocks that share a branch would be read with one each.
        for _ in range(2):
            branch = keras.saving.serialize_keras_object(self.branch)
        return {
            **super().get_config(),
            "rate": self.rate,
            "mode": self.mode,
            "branch": branch,
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> StochasticDepth:
        """The layer that `get_config` describes."""
        branch = keras.saving.deserialize_keras_object(config["branch"])
        return cls(**{**config, "branch": branch})


def stochastic_depth_rates(blocks: int, final_rate: float = 0.5) -> list[float]:
    """Rates of a network's residual blocks by the linear decay rule.

    Block `l` of `L`, counted from 1, gets `final_rate * l / L`: early blocks, which later ones
    build on, are kept more often. timm counts from the first block instead, whose rate is then 0.

    Args:
        blocks: Number of residual blocks in the network, 1 or more.
        final_rate: Rate of the last block, in [0, 1). 0.5 in the paper.

    Returns:
        A rate for each block, in the order of the blocks.

    Raises:
        ValueError: If an argument is not as above.

    Reference:
        Huang et al. 2016 (arXiv:1603.09382), equation 4.
    """
    blocks = check_count("blocks", blocks)
    final_rate = check_rate("final_rate", final_rate)
    return [final_rate * block / blocks for block in range(1, blocks + 1)]


def _shapes(tensors: Any) -> Any:
    return keras.tree.map_structure(lambda tensor: tuple(tensor.shape), tensors)


def _keeps_shape(shape: tuple[Any, ...], other: Any) -> bool:
    # A size that isn't known before the call may be the input's.
    return len(shape) == len(other) and all(
        b is None or a == b for a, b in zip(shape, other, strict=True)
    )


def _agree(first: Any, second: Any) -> bool:
    return len(first) == len(second) and all(
        a is None or b is None or a == b for a, b in zip(first, second, strict=True)
    )
