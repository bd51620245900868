"""A network trained on the weights that it will have once they are rounded to a few bits."""

from __future__ import annotations

from typing import Any, Literal

import keras
from keras import ops

from keras_affect._arguments import invalid
from keras_affect.layers._substitution import substituted

__all__ = ["QuantizationAware", "rounded"]

# The scale of a channel of zeros: as the converter has it.
_SMALLEST_BOUND = 1e-9


@keras.saving.register_keras_serializable(package="keras_affect")
class QuantizationAware(keras.Model):
    """A model that runs, in training and at inference, with its kernels rounded.

    Kernels of `Dense`, `Conv1D`, `Conv2D` and `DepthwiseConv2D` read as what the export's "int4"
    (or "weight_only_int8") makes of them: symmetric steps, the largest weight of each output
    channel being the last one. The batch normalisation behind a convolution may be folded into
    its kernel later: a factor for each channel changes nothing about which step a weight is
    rounded to. Gradients pass the rounding as if it were not there (the straight-through
    estimator), to the weights as they are; so small ones can add up until a weight takes another
    step.

    What is trained is the model that was given, in place. It stays what it was: it is saved,
    exported, and gives its own outputs, as if it had been trained without this. `evaluate` and
    `predict` of this one say what the rounded weights are worth.

    Args:
        model: A built model with such layers; it may hold them in wrappers and nested models.
        bits: 4 or 8. Eight bits cost a network so little that there is seldom anything to win
            back.
        name: The name of this model.

    Input shape:
        That of the model.

    Output shape:
        That of the model.

    Raises:
        ValueError: If an argument is not as above, or a kernel is quantized already or made of
            LoRA factors.

    Reference:
        - Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient
          Integer-Arithmetic-Only Inference" (arXiv:1712.05877), section 3.
        - Bengio, Léonard and Courville 2013, "Estimating or Propagating Gradients Through
          Stochastic Neurons for Conditional Computation" (arXiv:1308.3432).

    Example:
    ```python
    model = keras_affect.models.LightweightCNN()
    aware = keras_affect.training.QuantizationAware(model, bits=4)
    aware.compile(
        keras.optimizers.SGD(1e-3, momentum=0.9),
        {"emotion": "categorical_crossentropy", "valence_arousal": "mean_squared_error"},
        jit_compile=False,
    )
    aware.fit(train, epochs=2, shuffle=False)
    keras_affect.export.to_litert(model, "affect.tflite", "int4")
    ```
    """

    def __init__(self, model: Any, bits: Literal[4, 8] = 4, name: str = "quantization_aware"):
        super().__init__(name=name)
        if not isinstance(model, keras.Model) or not model.built:
            raise invalid("model", "a built Keras model", model)
        if isinstance(bits, bool) or bits not in (4, 8):
            raise invalid("bits", "4 or 8", bits)
        self.model = model
        self.bits = bits
        _kernels(model)  # refused here, not in the midst of `fit`
        self.build(model.input_shape)

    def build(self, input_shape: Any) -> None:
        """Nothing: the model is built."""
        self.built = True

    def call(self, inputs: Any, training: bool = False) -> Any:
        """The model's outputs on rounded kernels."""
        values = [
            (kernel, _straight_through(kernel, self.bits, channels))
            for kernel, channels in _kernels(self.model)
        ]
        with substituted(self.model, values, self.add_loss):
            return self.model(inputs, training=training)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The model's."""
        return self.model.compute_output_shape(input_shape)

    def get_config(self) -> dict[str, Any]:
        """The arguments, as `from_config` takes them."""
        model = keras.saving.serialize_keras_object(self.model)
        return {"model": model, "bits": self.bits, "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> QuantizationAware:
        """What `get_config` describes, its model with random weights."""
        model = keras.saving.deserialize_keras_object(config["model"], custom_objects)
        return cls(**{**config, "model": model})


def rounded(kernel: Any, bits: int, channel_axes: int = 1) -> Any:
    """A kernel in steps of its output channels' scales.

    Args:
        kernel: A float tensor or array; the last axes are the output channels.
        bits: How many, 2 or more: 4 for steps -7 to 7, 8 for -127 to 127.
        channel_axes: How many axes number the output channels: 2 in a depthwise kernel.

    Returns:
        A tensor of the same shape and data type, not quantized: the numbers that it would stand
        for.
    """
    kernel = ops.convert_to_tensor(kernel)
    axes = tuple(range(len(kernel.shape) - channel_axes))
    bound = ops.max(ops.abs(kernel), axis=axes, keepdims=True)
    scale = ops.maximum(bound, _SMALLEST_BOUND) / (2 ** (bits - 1) - 1)
    return ops.round(kernel / scale) * scale


def _straight_through(kernel: Any, bits: int, channel_axes: int) -> Any:
    """The rounded kernel, whose gradient is that of the kernel."""
    value = ops.convert_to_tensor(kernel)
    return value + ops.stop_gradient(rounded(value, bits, channel_axes) - value)


def _kernels(model: Any) -> list[tuple[Any, int]]:
    """The kernels that are rounded, each once, and how many of their axes number channels."""
    found: dict[int, tuple[Any, int]] = {}
    # Not public, but the only list that reaches layers inside wrappers and nested models.
    for layer in model._flatten_layers(include_self=False):
        is_depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
        of_channels = keras.layers.Dense | keras.layers.Conv1D | keras.layers.Conv2D
        if not is_depthwise and not isinstance(layer, of_channels):
            continue
        kernel = layer.kernel
        if layer.quantization_mode is not None or not isinstance(kernel, keras.Variable):
            raise ValueError(
                f"Invalid value for argument `model`. Expected {layer.name!r} to hold its kernel "
                "as one variable in floating point. Received: a kernel that is "
                + ("made of LoRA factors" if layer.quantization_mode is None else "quantized")
            )
        found[id(kernel)] = kernel, 2 if is_depthwise else 1
    if not found:
        raise invalid("model", "a model with kernels", model)
    return list(found.values())
