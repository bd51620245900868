"""The pieces that networks are put together from, each in the way that a model's arguments say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras

from keras_affect.layers.drop_connect import DropConnect
from keras_affect.layers.stochastic_depth import StochasticDepth, stochastic_depth_rates
from keras_affect.models.batch_normalization import BatchNormalization

__all__ = ["CHANNELS_LAST", "Blocks", "drop_connected"]

#: How pictures and maps lie in every model here, `(batch, height, width, channels)`. Said to each
#: layer, since they would ask `keras.config.image_data_format()`, which somebody may have set for
#: other models.
CHANNELS_LAST = "channels_last"


@dataclass(frozen=True)
class Blocks:
    """Layers that share the choices of one model.

    Layers are named by what they do and not by what is chosen, so that the names of weights are
    the same under every choice.

    Attributes:
        policy: Dtype policy of all layers.
        width: Factor on channels and units, see `channels`.
        activation: The function after each convolution and hidden dense layer.
        kernel_initializer: Of all kernels but those of the heads.
        kernel_regularizer: Of all kernels, or None.
        dropout: The model's rate of dropout, in [0, 1).
        drop_connect: Rate of DropConnect on hidden dense layers, in [0, 1).
        stochastic_depth: Rate of the last residual branch, in [0, 1).
    """

    policy: Any
    width: float
    activation: Any
    kernel_initializer: Any
    kernel_regularizer: Any
    dropout: float
    drop_connect: float
    stochastic_depth: float

    def channels(self, base: int) -> int:
        """Channels in multiples of 8, which is how wide int8 kernels work."""
        return max(8, int(base * self.width / 8 + 0.5) * 8)

    def depth_rates(self, blocks: int) -> list[float]:
        """A rate for each of the network's residual branches, by the linear decay rule."""
        return stochastic_depth_rates(blocks, self.stochastic_depth)

    def convolution(
        self,
        x: Any,
        channels: int,
        name: str,
        kernel: int = 3,
        strides: int = 1,
        padding: str = "same",
    ) -> Any:
        """Convolution with a bias, then the activation."""
        x = self._convolution(x, channels, name, kernel, strides, padding, use_bias=True)
        return self.activate(x, name)

    def normalized(
        self,
        x: Any,
        channels: int,
        name: str,
        kernel: int = 3,
        strides: int = 1,
        padding: str = "same",
    ) -> Any:
        """Convolution, then batch normalisation, whose offset is the bias. No activation."""
        x = self._convolution(x, channels, name, kernel, strides, padding, use_bias=False)
        return BatchNormalization(momentum=0.9, dtype=self.policy, name=f"{name}_bn")(x)

    def _convolution(
        self,
        x: Any,
        channels: int,
        name: str,
        kernel: int,
        strides: int,
        padding: str,
        use_bias: bool,
    ) -> Any:
        return keras.layers.Conv2D(
            channels,
            kernel,
            strides=strides,
            padding=padding,
            data_format=CHANNELS_LAST,
            use_bias=use_bias,
            kernel_initializer=self._initializer(),
            kernel_regularizer=self.kernel_regularizer,
            dtype=self.policy,
            name=f"{name}_conv",
        )(x)

    def dense(self, x: Any, units: int, name: str, dropout: float) -> Any:
        """Hidden dense layer with DropConnect, then the activation, then dropout."""
        layer = keras.layers.Dense(
            units,
            kernel_initializer=self._initializer(),
            kernel_regularizer=self.kernel_regularizer,
            dtype=self.policy,
            name=f"{name}_dense",
        )
        x = self.activate(drop_connected(layer, self.drop_connect)(x), name)
        return self.drop(x, dropout, f"{name}_dropout")

    def activate(self, x: Any, name: str) -> Any:
        """The activation, in a layer that is named after it."""
        kind = getattr(self.activation, "__name__", "")
        return keras.layers.Activation(
            self.activation,
            dtype=self.policy,
            name=f"{name}_{kind if kind.isidentifier() else 'activation'}",
        )(x)

    def residual_sum(self, shortcut: Any, residual: Any, rate: float, name: str) -> Any:
        """Their sum, the residual left out in training at that rate, sample by sample.

        Sample by sample and not by skipping the branch for a whole batch: that saves time, but
        needs the branch as a layer that keeps its input's shape. Blocks that halve the resolution
        have none, and weights within a layer would be named otherwise than without it.
        """
        if rate == 0:
            return keras.layers.Add(dtype=self.policy, name=f"{name}_add")([shortcut, residual])
        return StochasticDepth(rate, mode="sample", dtype=self.policy, name=f"{name}_add")(
            [shortcut, residual]
        )

    def max_pool(
        self, x: Any, name: str, pool: int = 2, strides: int = 2, padding: str = "valid"
    ) -> Any:
        """The largest of each window."""
        return self._pool(keras.layers.MaxPooling2D, x, name, pool, strides, padding)

    def average_pool(
        self, x: Any, name: str, pool: int = 2, strides: int = 2, padding: str = "same"
    ) -> Any:
        """The mean of each window."""
        return self._pool(keras.layers.AveragePooling2D, x, name, pool, strides, padding)

    def _pool(self, layer: Any, x: Any, name: str, pool: int, strides: int, padding: str) -> Any:
        return layer(
            pool,
            strides=strides,
            padding=padding,
            data_format=CHANNELS_LAST,
            dtype=self.policy,
            name=name,
        )(x)

    def concatenate(self, parts: list[Any], name: str) -> Any:
        """Channels of several tensors, side by side."""
        return keras.layers.Concatenate(dtype=self.policy, name=name)(parts)

    def flatten(self, x: Any) -> Any:
        """All numbers of a sample in a row, `(batch, numbers)`."""
        return keras.layers.Flatten(CHANNELS_LAST, dtype=self.policy, name="flatten")(x)

    def drop(self, x: Any, rate: float, name: str) -> Any:
        """Dropout."""
        return keras.layers.Dropout(rate, dtype=self.policy, name=name)(x)

    def _initializer(self) -> Any:
        # An initializer of Keras gives the same values each time that it is called.
        if isinstance(self.kernel_initializer, keras.initializers.Initializer):
            return self.kernel_initializer.clone()
        return self.kernel_initializer


def drop_connected(layer: Any, rate: float) -> Any:
    """The layer, wrapped in DropConnect if the rate is not 0."""
    return DropConnect(layer, rate, name=f"{layer.name}_drop_connect") if rate else layer
