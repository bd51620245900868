"""The scalar multiplier and bias that stand in for normalisation in a Fixup network."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

__all__ = ["ScalarAffine"]


@keras.saving.register_keras_serializable(package="keras_affect")
class ScalarAffine(keras.layers.Layer):
    """`outputs = multiplier * inputs + bias`, with one trainable number each for all elements.

    In a network initialised by `keras_affect.initializers.Fixup` a scalar bias stands before each
    convolution, dense layer and activation, and a scalar multiplier with the bias that ends a
    branch. The multiplier learns for a branch what the scale of a normalisation would, so kernels
    need no larger learning rate than in a normalised network. The paper trains these numbers at a
    tenth of the learning rate.

    With `multiplier_initializer="zeros"` at the end of each branch this is SkipInit.

    Args:
        use_multiplier: Whether there is a multiplier.
        use_bias: Whether there is a bias.
        multiplier_initializer: What the multiplier starts from.
        bias_initializer: What the bias starts from.
        **kwargs: As any Keras layer: `name`, `dtype`, `trainable`.

    Call arguments:
        inputs: Floating-point tensor of any shape.

    Input shape:
        Any.

    Output shape:
        As the input.

    Raises:
        ValueError: If it has neither multiplier nor bias, or one of these is no bool.

    Reference:
        - [Zhang, Dauphin and Ma 2019, "Fixup initialization"](https://arxiv.org/abs/1901.09321)
        - [De and Smith 2020, "Batch normalization biases residual blocks towards the identity
          function in deep networks"](https://arxiv.org/abs/2002.10444): SkipInit.

    Example:
    ```python
    y = ScalarAffine(use_multiplier=False)(x)
    y = keras.layers.Conv2D(64, 3, padding="same", use_bias=False)(y)
    y = x + ScalarAffine()(y)
    ```
    """

    def __init__(
        self,
        use_multiplier: bool = True,
        use_bias: bool = True,
        multiplier_initializer: Any = "ones",
        bias_initializer: Any = "zeros",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        for name, value in (("use_multiplier", use_multiplier), ("use_bias", use_bias)):
            if not isinstance(value, bool):
                raise ValueError(
                    f"Invalid value for argument `{name}`. Expected True or False. "
                    f"Received: {name}={value!r}"
                )
        if not (use_multiplier or use_bias):
            raise ValueError(
                "Invalid value for argument `use_bias`. Expected True where `use_multiplier` is "
                "False: the layer would do nothing. Received: use_bias=False"
            )
        self.use_multiplier = use_multiplier
        self.use_bias = use_bias
        self.multiplier_initializer = keras.initializers.get(multiplier_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        """Make the numbers; the input's shape does not matter."""
        self.multiplier = self.bias = None
        if self.use_multiplier:
            self.multiplier = self.add_weight(
                shape=(), initializer=self.multiplier_initializer, name="multiplier"
            )
        if self.use_bias:
            self.bias = self.add_weight(shape=(), initializer=self.bias_initializer, name="bias")

    def call(self, inputs: Any) -> Any:
        """See the class."""
        outputs = inputs
        if self.use_multiplier:
            outputs = ops.multiply(outputs, self.multiplier)
        if self.use_bias:
            outputs = ops.add(outputs, self.bias)
        return outputs

    def compute_output_shape(self, input_shape: Any) -> Any:
        """As the input."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The arguments, as `from_config` takes them."""
        return {
            **super().get_config(),
            "use_multiplier": self.use_multiplier,
            "use_bias": self.use_bias,
            "multiplier_initializer": keras.initializers.serialize(self.multiplier_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
        }
