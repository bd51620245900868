"""Initializers by the number of inputs a unit sums over, and by a residual network's depth.

The founding rule: a unit that sums `fan_in` inputs multiplies their second moment by
``fan_in * std**2``. Xavier's standard deviation makes that product 1; MSRA's makes it 2, since
ReLU halves the second moment of what follows. A residual branch adds its own moment in each
block; `ZeroResidual` and `Fixup` keep deep stacks from growing where no normalisation does.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any, Literal

import keras
from keras import ops

from keras_affect._arguments import invalid

__all__ = ["MSRA", "Fixup", "Xavier", "ZeroResidual"]

_DISTRIBUTIONS = ("normal", "truncated_normal", "uniform")
# Standard deviation of a standard normal cut at -2 and 2, which is where Keras cuts.
_TRUNCATED_DEVIATION = 0.87962566103423978


class _FanInitializer(keras.initializers.Initializer):
    """What `Xavier` and `MSRA` share: fans, distributions and seeds."""

    def __init__(self, depthwise: bool, distribution: str, seed: Any) -> None:
        if not isinstance(depthwise, bool):
            raise invalid("depthwise", "True or False", depthwise)
        if distribution not in _DISTRIBUTIONS:
            raise invalid("distribution", f"one of {', '.join(_DISTRIBUTIONS)}", distribution)
        if isinstance(seed, dict):
            seed = keras.saving.deserialize_keras_object(seed)
        whole = isinstance(seed, int) and not isinstance(seed, bool)
        if not (seed is None or whole or isinstance(seed, keras.random.SeedGenerator)):
            raise invalid("seed", "None, an integer or a keras.random.SeedGenerator", seed)
        self.depthwise = depthwise
        self.distribution = distribution
        self.seed = seed

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Any:
        """Values for a kernel.

        Args:
            shape: The kernel's shape.
            dtype: Its data type. Defaults to `keras.config.floatx()`.

        Raises:
            ValueError: If a kernel cannot have that shape.
        """
        deviation = self.standard_deviation(shape)
        # Python's generator follows `keras.utils.set_random_seed`. A fresh number each time:
        # layers that share this initializer must not start as copies of each other.
        seed = random.randint(1, 10**9) if self.seed is None else self.seed
        if self.distribution == "uniform":
            limit = math.sqrt(3.0) * deviation
            return keras.random.uniform(shape, -limit, limit, dtype=dtype, seed=seed)
        if self.distribution == "truncated_normal":
            deviation /= _TRUNCATED_DEVIATION
            return keras.random.truncated_normal(shape, 0.0, deviation, dtype=dtype, seed=seed)
        return keras.random.normal(shape, 0.0, deviation, dtype=dtype, seed=seed)

    def standard_deviation(self, shape: Sequence[int]) -> float:
        """Standard deviation of the values for a kernel of that shape."""
        return math.sqrt(self._variance(*_fans(tuple(shape), self.depthwise)))

    def _variance(self, fan_in: int, fan_out: int) -> float:
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        """The arguments, as `from_config` takes them."""
        return {
            "depthwise": self.depthwise,
            "distribution": self.distribution,
            "seed": keras.saving.serialize_keras_object(self.seed),
        }


@keras.saving.register_keras_serializable(package="keras_affect")
class Xavier(_FanInitializer):
    """Keeps the second moment from layer to layer where activations are linear near 0.

    `std = 1 / sqrt(fan_in)`, or `std = sqrt(2 / (fan_in + fan_out))` with `mode="fan_avg"`, which
    keeps gradients from growing on the way back, too (Glorot and Bengio's compromise between
    the two directions).

    `fan_in` is the number of inputs that an output sums over: for a kernel
    `(height, width, inputs, outputs)` it is `height * width * inputs`, for a depthwise one
    `(height, width, channels, multiplier)` it is `height * width` whatever the channels, since a
    depthwise convolution sums over none of them. The two kernels look alike, so the initializer
    must be told.

    Args:
        mode: `"fan_in"` or `"fan_avg"`.
        depthwise: Whether kernels are `(..., channels, multiplier)`, as in
            `keras.layers.DepthwiseConv2D` and in `depthwise_initializer` of
            `keras.layers.SeparableConv2D`. Keras's own initializers count the channels there: at
            64 channels their values are 8 times too small.
        distribution: `"normal"`, `"truncated_normal"` (cut at two standard deviations) or
            `"uniform"`, all of the same standard deviation.
        seed: None: each call draws anew, so layers may share the initializer. An integer: each
            call gives the same values for the same shape, also to each layer that shares it. A
            `keras.random.SeedGenerator` is both reproducible and new on each call.

    Raises:
        ValueError: If an argument is none of these, or a kernel's shape has less than 2
            dimensions (3 for a depthwise one).

    Reference:
        - [Glorot and Bengio 2010, "Understanding the difficulty of training deep feedforward
          neural networks"](https://proceedings.mlr.press/v9/glorot10a.html)

    Example:
    ```python
    keras.layers.Dense(64, activation="tanh", kernel_initializer=Xavier())
    keras.layers.DepthwiseConv2D(3, depthwise_initializer=Xavier(depthwise=True))
    ```
    """

    def __init__(
        self,
        mode: Literal["fan_in", "fan_avg"] = "fan_in",
        depthwise: bool = False,
        distribution: Literal["normal", "truncated_normal", "uniform"] = "normal",
        seed: Any = None,
    ) -> None:
        if mode not in ("fan_in", "fan_avg"):
            raise invalid("mode", '"fan_in" or "fan_avg"', mode)
        super().__init__(depthwise, distribution, seed)
        self.mode = mode

    def _variance(self, fan_in: int, fan_out: int) -> float:
        return 1.0 / fan_in if self.mode == "fan_in" else 2.0 / (fan_in + fan_out)

    def get_config(self) -> dict[str, Any]:
        """The arguments, as `from_config` takes them."""
        return {"mode": self.mode, **super().get_config()}


@keras.saving.register_keras_serializable(package="keras_affect")
class MSRA(_FanInitializer):
    """Keeps the second moment of pre-activations through layers of ReLU.

    `std = sqrt(2 / fan_in)`, with `fan_in` as in `Xavier`. Known as He's initialisation, too.

    Args:
        depthwise: As in `Xavier`.
        distribution: As in `Xavier`. The paper's is `"normal"`.
        seed: As in `Xavier`.

    Raises:
        ValueError: As `Xavier`.

    Reference:
        - [He et al. 2015, "Delving deep into rectifiers"](https://arxiv.org/abs/1502.01852)

    Example:
    ```python
    keras.layers.Conv2D(32, 3, activation="relu", kernel_initializer=MSRA())
    keras.layers.SeparableConv2D(
        32, 3, depthwise_initializer=MSRA(depthwise=True), pointwise_initializer=MSRA()
    )
    ```
    """

    def __init__(
        self,
        depthwise: bool = False,
        distribution: Literal["normal", "truncated_normal", "uniform"] = "normal",
        seed: Any = None,
    ) -> None:
        super().__init__(depthwise, distribution, seed)

    def _variance(self, fan_in: int, fan_out: int) -> float:
        return 2.0 / fan_in


@keras.saving.register_keras_serializable(package="keras_affect")
class Fixup(MSRA):
    """For the kernels of a residual branch but its last, in a network without normalisation.

    MSRA's values times `num_blocks ** (-1 / (2 * layers_per_block - 2))`: an update of the
    branches then changes the network's output by as much as the learning rate says, whatever the
    depth. The rest of the rule, for the network's author to follow:

    1. The last kernel of each branch and the classifier's kernel are 0: `ZeroResidual`.
    2. Other kernels (the stem, projections of the shortcut) are MSRA's.
    3. A scalar bias, 0 at first, stands before each convolution, dense layer and activation, and a
       scalar multiplier, 1 at first, in each branch: `keras_affect.layers.ScalarAffine`. Layers
       have no biases of their own.

    Args:
        num_blocks: Residual branches in the whole network, 1 or more.
        layers_per_block: Convolutions or dense layers in a branch, 2 or more.
        depthwise: As in `Xavier`.
        distribution: As in `Xavier`. The paper's is `"normal"`.
        seed: As in `Xavier`.

    Raises:
        ValueError: As `Xavier`, and if `num_blocks` or `layers_per_block` is no such integer.

    Reference:
        - [Zhang, Dauphin and Ma 2019, "Fixup initialization: residual learning without
          normalization"](https://arxiv.org/abs/1901.09321)

    Example:
    ```python
    fixup = Fixup(num_blocks=50)

    def block(x):
        y = ScalarAffine(use_multiplier=False)(x)
        y = keras.layers.Conv2D(64, 3, padding="same", use_bias=False, kernel_initializer=fixup)(y)
        y = keras.layers.ReLU()(ScalarAffine(use_multiplier=False)(y))
        y = ScalarAffine(use_multiplier=False)(y)
        y = keras.layers.Conv2D(
            64, 3, padding="same", use_bias=False, kernel_initializer=ZeroResidual()
        )(y)
        return keras.layers.ReLU()(x + ScalarAffine()(y))
    ```
    """

    def __init__(
        self,
        num_blocks: int,
        layers_per_block: int = 2,
        depthwise: bool = False,
        distribution: Literal["normal", "truncated_normal", "uniform"] = "normal",
        seed: Any = None,
    ) -> None:
        for name, value, low in (
            ("num_blocks", num_blocks, 1),
            ("layers_per_block", layers_per_block, 2),
        ):
            if isinstance(value, bool) or not isinstance(value, int) or value < low:
                raise invalid(name, f"an integer of {low} or more", value)
        super().__init__(depthwise, distribution, seed)
        self.num_blocks = num_blocks
        self.layers_per_block = layers_per_block

    def _variance(self, fan_in: int, fan_out: int) -> float:
        scale = self.num_blocks ** (-1 / (2 * self.layers_per_block - 2))
        return super()._variance(fan_in, fan_out) * scale**2

    def get_config(self) -> dict[str, Any]:
        """The arguments, as `from_config` takes them."""
        return {
            "num_blocks": self.num_blocks,
            "layers_per_block": self.layers_per_block,
            **super().get_config(),
        }


@keras.saving.register_keras_serializable(package="keras_affect")
class ZeroResidual(keras.initializers.Initializer):
    """Zeros, for what stands last in a residual branch: each block starts as its shortcut.

    Where normalisation stands last, that is its scale (`gamma_initializer=ZeroResidual()`); where
    a convolution does, its kernel, the convolution before it being `MSRA` or `Fixup`. The last
    layer gets a gradient from the first step on, the layers before it from the second. If all of
    a branch's layers were 0, none ever would.

    Reference:
        - [Goyal et al. 2017, "Accurate, large minibatch SGD"](https://arxiv.org/abs/1706.02677),
          section 5.1, for the scale of normalisation.
        - [Zhang, Dauphin and Ma 2019, "Fixup initialization"](https://arxiv.org/abs/1901.09321),
          for kernels.

    Example:
    ```python
    y = keras.layers.Conv2D(64, 3, padding="same", kernel_initializer=MSRA())(x)
    y = keras.layers.ReLU()(y)
    y = keras.layers.Conv2D(64, 3, padding="same", kernel_initializer=ZeroResidual())(y)
    y = x + y
    ```
    """

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Any:
        """Zeros of that shape; `dtype` defaults to `keras.config.floatx()`."""
        return ops.zeros(shape, dtype=dtype)


def _fans(shape: tuple[int, ...], depthwise: bool) -> tuple[int, int]:
    """Inputs that an output sums over, and outputs that an input reaches."""
    least = 3 if depthwise else 2
    whole = all(isinstance(size, int) and size > 0 for size in shape)
    if len(shape) < least or not whole:
        kernel = "(..., channels, multiplier)" if depthwise else "(..., inputs, outputs)"
        raise ValueError(
            f"Invalid value for argument `shape`. Expected a kernel's shape {kernel}, {least} "
            f"positive dimensions or more. Received: shape={shape}"
        )
    *window, inputs, outputs = shape
    reach = math.prod(window)
    return (reach, reach * outputs) if depthwise else (reach * inputs, reach * outputs)
