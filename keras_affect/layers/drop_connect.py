"""DropConnect: weights dropped in training, and the layer that they belong to left as it is."""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import keras
from keras import ops

__all__ = ["DropConnect"]

# Below the variance of any weight that matters: the square root has no gradient at 0.
_SMALLEST_VARIANCE = 1e-30


@keras.saving.register_keras_serializable(package="keras_affect")
class DropConnect(keras.layers.Wrapper):
    """Drops single weights of a layer in training, where dropout drops its inputs.

    In training each weight of the kernel is set to 0 with probability `rate`, and the others are
    divided by `1 - rate`, so that the expected kernel is the layer's own. Weights that were
    dropped get no gradient from that step. At inference the layer runs as it is, which is the
    mean network: nothing is drawn, and an exported graph holds the wrapped layer alone.

    What is dropped is the kernel of `Dense`, `Conv1D`, `Conv2D` and `DepthwiseConv2D`. Of `LSTM`
    and `GRU` it is the recurrent kernel, with one mask for all steps of a call (Merity et al.
    2018); their input kernel stays whole.

    The mask is one for the whole batch, and drawn anew each call. With `per_sample=True` each
    sample has a mask of its own, as in the paper; all positions of a sample share it. That takes
    a copy of the kernel for each sample of the batch.

    Regularizers and constraints of the wrapped layer see its weights whole.

    Args:
        layer: A `Dense`, `Conv1D`, `Conv2D`, `DepthwiseConv2D`, `LSTM` or `GRU`. It may be used
            elsewhere too, wrapped or not: the weights are shared, the masks are not.
        rate: Probability of dropping a weight, in [0, 1).
        per_sample: Whether each sample has a mask of its own. `Dense` alone.
        drop_bias: Whether the bias is dropped likewise, entry by entry.
        inference: `"mean"`, or `"gaussian"` for the paper's moment matching, `Dense` alone: what
            comes into each unit is taken as Gaussian, with the mean and the variance that it has
            over masks, and the activation is averaged over draws of it. It is nearer to the
            average over masked networks where the activation is not linear, but it is random:
            `keras_affect.export` refuses it.
        samples: How many draws `"gaussian"` averages.
        seed: Integer, or None for a random one.
        **kwargs: `name`, `trainable` and so on, as of `keras.layers.Layer`. The dtype policy is
            that of the wrapped layer.

    Call arguments:
        inputs: What the wrapped layer takes: `(batch, ..., features)` for `Dense`,
            `(batch, steps, channels)` for `Conv1D`, `(batch, height, width, channels)` for the
            convolutions of images (or channels first), `(batch, steps, features)` for `LSTM` and
            `GRU`.
        initial_state: First state of an `LSTM` or a `GRU`.
        mask: Boolean `(batch, steps)` for an `LSTM` or a `GRU`.
        training: Whether to drop.

    Output shape:
        That of the wrapped layer.

    Raises:
        ValueError: If an argument is not as above; if the layer was made under a
            `keras.RematScope`, whose second forward pass would draw other masks than the first;
            or, when called, if its kernel is quantized or has LoRA factors.

    Reference:
        - Wan et al. 2013, "Regularization of Neural Networks using DropConnect", ICML.
        - Merity et al. 2018, "Regularizing and Optimizing LSTM Language Models", ICLR
          (arXiv:1708.02182): the weight-dropped LSTM.

    Example:
    ```python
    x = keras_affect.layers.DropConnect(keras.layers.Dense(128, activation="relu"), rate=0.5)(x)
    ```
    """

    # Weights are dropped by what their variable reads as, and not by calling an operator with
    # another kernel: so the layer's own `call` runs, with causal padding, masking, states, and
    # whatever a subclass adds. `Dense.kernel` can't be set, and an attribute set for the time of
    # a call would be seen by other threads, such as MirroredStrategy's replicas, which change
    # places wherever a variable is assigned. What a `keras.StatelessScope` maps belongs to its
    # thread. A kernel for each sample is no value of the variable, and has the product written
    # out.

    def __init__(
        self,
        layer: Any,
        rate: float = 0.5,
        *,
        per_sample: bool = False,
        drop_bias: bool = False,
        inference: Literal["mean", "gaussian"] = "mean",
        samples: int = 64,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        _check_layer(layer)
        if kwargs.get("dtype") is None:
            kwargs["dtype"] = layer.dtype_policy
        super().__init__(layer, **kwargs)
        if self.compute_dtype != layer.compute_dtype:
            raise ValueError(
                "Invalid value for argument `dtype`. Expected one that computes in "
                f"{layer.compute_dtype}, as the wrapped layer does. Received: "
                f"dtype={self.dtype_policy.name!r}"
            )
        if getattr(layer, "_remat_mode", None) or getattr(self, "_remat_mode", None):
            raise ValueError(
                "Invalid value for argument `layer`. Expected a layer made outside of "
                "keras.RematScope: computed a second time, it would drop other weights. "
                f"Received: layer={layer.name!r}"
            )
        self.rate = _check_rate(rate)
        self.per_sample = _check_flag("per_sample", per_sample)
        self.drop_bias = _check_flag("drop_bias", drop_bias)
        if inference not in ("mean", "gaussian"):
            raise ValueError(
                'Invalid value for argument `inference`. Expected "mean" or "gaussian". '
                f"Received: inference={inference!r}"
            )
        self.inference = inference
        if not isinstance(samples, int) or isinstance(samples, bool) or samples < 1:
            raise ValueError(
                "Invalid value for argument `samples`. Expected an integer of 1 or more. "
                f"Received: samples={samples!r}"
            )
        self.samples = samples
        for name, is_asked in (
            ("per_sample", self.per_sample),
            ("inference", inference == "gaussian"),
        ):
            if is_asked and type(layer).call is not keras.layers.Dense.call:
                raise ValueError(
                    f"Invalid value for argument `{name}`. Expected {name}="
                    f"{'False' if name == 'per_sample' else repr('mean')} around anything but a "
                    f"Dense. Received: {name}={getattr(self, name)!r} around a "
                    f"{type(layer).__name__}"
                )
        if self.drop_bias and not _owner(layer).use_bias:
            raise ValueError(
                "Invalid value for argument `drop_bias`. Expected False around a layer without "
                f"a bias. Received: drop_bias=True around {layer.name!r}"
            )
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.supports_masking = layer.supports_masking

    @property
    def draws_at_inference(self) -> bool:
        """Whether two calls at inference differ, by which export refuses a layer."""
        return self.inference == "gaussian" and self.rate > 0

    def call(
        self,
        inputs: Any,
        initial_state: Any = None,
        mask: Any = None,
        training: bool = False,
    ) -> Any:
        """The wrapped layer's outputs, of masked weights in training."""
        arguments: dict[str, Any] = {}
        if isinstance(self.layer, keras.layers.RNN):
            arguments.update(mask=mask, training=training)
        if initial_state is not None:
            arguments["initial_state"] = initial_state
        if self.rate == 0 or not (training or self.draws_at_inference):
            return self.layer(inputs, **arguments)
        _check_kernel(self.layer)
        if not training:
            return self._gaussian(inputs)
        if self.per_sample:
            return self._per_sample(inputs)
        with self._dropped():
            return self.layer(inputs, **arguments)

    def _per_sample(self, inputs: Any) -> Any:
        layer = self.layer
        # Each sample's positions, however many axes they have, by the sample's own matrix.
        shape = ops.shape(inputs)
        flat = ops.reshape(inputs, (shape[0], math.prod(shape[1:-1]), shape[-1]))
        outputs = ops.matmul(flat, self._drop(layer.kernel, shape[0]))
        if self.drop_bias:
            outputs = outputs + self._drop(layer.bias, shape[0])[:, None]
        elif layer.bias is not None:
            outputs = outputs + layer.bias
        activation = keras.activations.get(layer.activation)
        outputs = activation(ops.reshape(outputs, (*shape[:-1], layer.units)))
        return self._with_penalty(outputs)

    def _gaussian(self, inputs: Any) -> Any:
        layer = self.layer
        # In float32, whatever the policy: squares of small weights are 0 in float16.
        inputs, kernel = ops.cast(inputs, "float32"), ops.cast(layer.kernel, "float32")
        mean = ops.matmul(inputs, kernel)
        variance = ops.matmul(ops.square(inputs), ops.square(kernel))
        if layer.bias is not None:
            bias = ops.cast(layer.bias, "float32")
            mean = mean + bias
            if self.drop_bias:
                variance = variance + ops.square(bias)
        variance = variance * (self.rate / (1 - self.rate))
        deviation = ops.sqrt(ops.maximum(variance, _SMALLEST_VARIANCE))
        noise = keras.random.normal(
            (self.samples, *ops.shape(mean)), dtype="float32", seed=self.seed_generator
        )
        activation = keras.activations.get(layer.activation)
        outputs = ops.mean(activation(mean + deviation * noise), axis=0)
        return self._with_penalty(ops.cast(outputs, layer.compute_dtype))

    def _with_penalty(self, outputs: Any) -> Any:
        """Outputs of a Dense that was not called, with its activity regularizer's loss added."""
        if self.layer.activity_regularizer is not None:
            # As Keras adds it, which divides by the batch's size.
            penalty = self.layer.activity_regularizer(outputs)
            self.add_loss(penalty / ops.cast(ops.shape(outputs)[0], penalty.dtype))
        return outputs

    @contextmanager
    def _dropped(self) -> Iterator[None]:
        """Within it the layer's kernel reads as dropped, and its bias if that is asked for."""
        variables = [_kernel(self.layer)]
        if self.drop_bias:
            variables.append(_owner(self.layer).bias)
        masked = [(variable, self._drop(variable)) for variable in variables]
        # Anything else must read, and be assigned, as without this scope. Under JAX's `fit`
        # values live in an outer scope, and in a new one every variable would read as it was
        # when training began: so its mapping is copied. What the layer assigns (the seed of its
        # dropout, states kept between calls) and its losses are handed on behind it.
        with keras.StatelessScope(collect_losses=True, initialize_variables=False) as scope:
            outer = scope.original_scope
            if outer is not None:
                scope.state_mapping.update(outer.state_mapping)
            for update in masked:
                scope.add_update(update)
            before = dict(scope.state_mapping)
            yield
        states = keras.tree.flatten(getattr(self.layer, "states", None) or [])
        for variable in [*self.layer.variables, *states]:
            value = scope.get_current_value(variable)
            if value is not before.get(id(variable)):
                variable.assign(value)
        for loss in scope.losses:
            if outer is None:
                self.add_loss(loss)
            elif outer.collect_losses:
                # The wrapped layer has noted that it is its own: `add_loss` would count it twice.
                outer.add_loss(loss)

    def _drop(self, variable: Any, batch: Any = None) -> Any:
        """A variable's value with entries dropped; with a batch, once for each sample."""
        shape = tuple(variable.shape) if batch is None else (batch, *variable.shape)
        return ops.where(self._draw(shape), variable / (1 - self.rate), 0)

    def _draw(self, shape: Any) -> Any:
        """Which weights are kept, boolean."""
        # In float32 under any policy: bfloat16 has 128 numbers between 1/2 and 1, and none of
        # them is 0.8.
        points = keras.random.uniform(shape, dtype="float32", seed=self.seed_generator)
        return points >= self.rate

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """The wrapped layer's."""
        return self.layer.compute_mask(inputs, previous_mask)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The wrapped layer's."""
        return self.layer.compute_output_shape(input_shape)

    def get_config(self) -> dict[str, Any]:
        """The arguments, as `from_config` takes them."""
        config = super().get_config()
        # Saving a model, Keras marks a layer that it meets again by its identity, here and where
        # it met it first. But a wrapper's config is copied in between, and the first mark lost:
        # a shared layer would come back as two. Met twice here, it is marked from the start.
        config["layer"] = keras.saving.serialize_keras_object(self.layer)
        return {
            **config,
            "rate": self.rate,
            "per_sample": self.per_sample,
            "drop_bias": self.drop_bias,
            "inference": self.inference,
            "samples": self.samples,
            "seed": self.seed,
        }


_CLASSES = (
    keras.layers.Dense,
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.DepthwiseConv2D,
    keras.layers.LSTM,
    keras.layers.GRU,
)


def _owner(layer: Any) -> Any:
    """The layer that has the kernel as its own."""
    return layer.cell if isinstance(layer, keras.layers.RNN) else layer


def _kernel(layer: Any) -> Any:
    """The variable that is dropped."""
    return layer.cell.recurrent_kernel if isinstance(layer, keras.layers.RNN) else layer.kernel


def _check_layer(layer: Any) -> None:
    if not isinstance(layer, _CLASSES):
        received = repr(layer.name) if isinstance(layer, keras.layers.Layer) else repr(layer)
        raise ValueError(
            "Invalid value for argument `layer`. Expected a layer with a kernel that can be "
            "dropped: a Dense, Conv1D, Conv2D, DepthwiseConv2D, LSTM or GRU. "
            f"Received: layer={received}, a {type(layer).__name__}"
        )


def _check_kernel(layer: Any) -> None:
    # Both may come after the layer was wrapped, by `quantize()` and `enable_lora()`.
    if layer.quantization_mode is not None or not isinstance(_kernel(layer), keras.Variable):
        raise ValueError(
            f"Invalid value for argument `layer`. Expected {layer.name!r} to hold its kernel as "
            "one variable in floating point. Received: a kernel that is "
            + ("quantized" if layer.quantization_mode is not None else "made of LoRA factors")
        )


def _check_rate(rate: Any) -> float:
    is_number = isinstance(rate, numbers.Real) and not isinstance(rate, bool)
    if not is_number or not 0 <= rate < 1:
        raise ValueError(
            "Invalid value for argument `rate`. Expected a float in [0, 1). "
            f"Received: rate={rate!r}"
        )
    return float(rate)


def _check_flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(
            f"Invalid value for argument `{name}`. Expected True or False. "
            f"Received: {name}={value!r}"
        )
    return value
