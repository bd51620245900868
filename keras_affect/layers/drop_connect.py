"""DropConnect: weights dropped in training, and the layer that they belong to left as it is."""

from __future__ import annotations

from typing import Any, Literal

import keras
from keras import ops

from keras_affect._arguments import check_count, check_flag, check_rate
from keras_affect.layers import _dropped_dense
from keras_affect.layers._substitution import substituted

__all__ = ["DropConnect"]


def _of_the_layer(name: str) -> Any:
    """An attribute that is the wrapped layer's, to be read and set; without it, an error."""

    def get(self: Any) -> Any:
        return getattr(self.layer, name)

    def put(self: Any, value: Any) -> None:
        setattr(self.layer, name, value)

    return property(get, put)


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
            elsewhere too, wrapped or not: the weights are shared, the masks are not. To go both
            ways over a sequence, wrap the wrapper: `Bidirectional(DropConnect(LSTM(...)))`.
        rate: Probability of dropping a weight, in [0, 1).
        per_sample: Whether each sample has a mask of its own. `Dense` alone.
        drop_bias: Whether the bias is dropped likewise, entry by entry.
        inference: `"mean"`, or `"gaussian"` for the paper's moment matching, `Dense` alone: what
            comes into each unit is taken as Gaussian, with the mean and the variance that it has
            over masks, and the activation is averaged over draws of it. It is nearer to the
            average over masked networks where the activation is not linear, but it is random:
            `keras_affect.export` refuses it.
        samples: How many draws `"gaussian"` averages, all held in memory at once.
        seed: Integer, or None for a random one.
        **kwargs: `name`, `trainable` and so on, as of `keras.layers.Layer`. The dtype policy is
            that of the wrapped layer.

    Call arguments:
        inputs: What the wrapped layer takes: `(batch, ..., features)` for `Dense`,
            `(batch, steps, channels)` for `Conv1D`, `(batch, height, width, channels)` for the
            convolutions of images (or channels first), `(batch, steps, features)` for `LSTM` and
            `GRU`.
        initial_state: First state of an `LSTM` or a `GRU`.
        mask: Boolean `(batch, steps)` for an `LSTM` or a `GRU`: which steps count.
        training: Whether to drop.

    Output shape:
        That of the wrapped layer.

    Raises:
        ValueError: If an argument is not as above; if a `keras.RematScope` would have the layer
            computed a second time, which would draw other masks than the first; or, when called
            in training or with Gaussian inference, if the kernel is quantized or has LoRA
            factors.

    Reference:
        - Wan et al. 2013, "Regularization of Neural Networks using DropConnect", ICML.
        - Merity et al. 2018, "Regularizing and Optimizing LSTM Language Models", ICLR
          (arXiv:1708.02182): the weight-dropped LSTM.

    Example:
    ```python
    x = keras_affect.layers.DropConnect(keras.layers.Dense(128, activation="relu"), rate=0.5)(x)
    ```
    """

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
            # A layer made quantized computes in what stands behind "int8_from_".
            policy = layer.dtype_policy
            is_quantized = policy.quantization_mode is not None
            kwargs["dtype"] = policy.name.rpartition("_from_")[2] if is_quantized else policy
        super().__init__(layer, **kwargs)
        if not self.trainable:
            # Said to the wrapper's constructor, Keras tells it to no layer inside.
            layer.trainable = False
        if self.compute_dtype != layer.compute_dtype:
            raise ValueError(
                "Invalid value for argument `dtype`. Expected one that computes in "
                f"{layer.compute_dtype}, as the wrapped layer does. Received: "
                f"dtype={self.dtype_policy.name!r}"
            )
        if _is_rematerialized(layer) or _is_rematerialized(self):
            raise ValueError(
                "Invalid value for argument `layer`. Expected a layer made outside of "
                "keras.RematScope: computed a second time, it would drop other weights. "
                f"Received: layer={layer.name!r}"
            )
        self.rate = check_rate("rate", rate)
        self.per_sample = check_flag("per_sample", per_sample)
        self.drop_bias = check_flag("drop_bias", drop_bias)
        if inference not in ("mean", "gaussian"):
            raise ValueError(
                'Invalid value for argument `inference`. Expected "mean" or "gaussian". '
                f"Received: inference={inference!r}"
            )
        self.inference = inference
        self.samples = check_count("samples", samples)
        for name, is_asked in (
            ("per_sample", self.per_sample),
            ("inference", inference == "gaussian"),
        ):
            # A subclass that computes something else can't have it written out.
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

    # What `keras.layers.Bidirectional` asks of a recurrent layer, and sets.
    go_backwards = _of_the_layer("go_backwards")
    return_sequences = _of_the_layer("return_sequences")
    return_state = _of_the_layer("return_state")
    stateful = _of_the_layer("stateful")
    states = _of_the_layer("states")
    reset_state = _of_the_layer("reset_state")
    use_cudnn = _of_the_layer("use_cudnn")
    zero_output_for_mask = _of_the_layer("zero_output_for_mask")

    @property
    def draws_at_inference(self) -> bool:
        """Whether two calls at inference differ, by which export refuses a layer."""
        return self.inference == "gaussian" and self.rate > 0

    def build(self, input_shape: Any) -> None:
        """Build the wrapped layer."""
        super().build(input_shape)
        # Checked here, since the wrapped layer isn't always called.
        self.input_spec = self.layer.input_spec

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
            return self._with_penalty(
                _dropped_dense.gaussian(
                    self.layer,
                    inputs,
                    self.rate,
                    self.drop_bias,
                    self.samples,
                    self.seed_generator,
                )
            )
        if self.per_sample:
            return self._with_penalty(
                _dropped_dense.per_sample(self.layer, inputs, self._drop, self.drop_bias)
            )
        variables = [_kernel(self.layer)]
        if self.drop_bias:
            variables.append(_owner(self.layer).bias)
        values = [(variable, self._drop(variable)) for variable in variables]
        with substituted(self.layer, values, self.add_loss):
            return self.layer(inputs, **arguments)

    def _with_penalty(self, outputs: Any) -> Any:
        """Outputs of a Dense that was not called, with its activity regularizer's loss added."""
        if self.layer.activity_regularizer is not None:
            # As Keras adds it, which divides by the batch's size.
            penalty = self.layer.activity_regularizer(outputs)
            self.add_loss(penalty / ops.cast(ops.shape(outputs)[0], penalty.dtype))
        return outputs

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

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> DropConnect:
        """The layer that `get_config` describes."""
        config = dict(config)
        if "go_backwards" in config:
            # `Bidirectional` makes its second layer of the first one's config and this.
            layer = config["layer"]
            own = {**layer["config"], "go_backwards": config.pop("go_backwards")}
            config["layer"] = {**layer, "config": own}
        made: DropConnect = super().from_config(config, custom_objects)
        return made


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


def _is_rematerialized(layer: Any) -> bool:
    # Keras has no public way to ask. Its mode "activations" computes no kernel again.
    remat = getattr(layer, "_remat_mode", None)
    if remat is None or remat.mode == "list_of_layers":
        return remat is not None and layer.name in remat.layer_names
    return remat.mode in ("full", "larger_than")


def _check_kernel(layer: Any) -> None:
    # Both may come after the layer was wrapped, by `quantize()` and `enable_lora()`.
    if layer.quantization_mode is not None or not isinstance(_kernel(layer), keras.Variable):
        raise ValueError(
            f"Invalid value for argument `layer`. Expected {layer.name!r} to hold its kernel as "
            "one variable in floating point. Received: a kernel that is "
            + ("quantized" if layer.quantization_mode is not None else "made of LoRA factors")
        )
