"""One specimen or more of every public layer, initializer, loss, metric and augmentation.

What stands here runs through all tests of this folder, and `test_enumeration.py` fails for a
public name that does not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers as keras_layers

from keras_affect import augmentation, initializers, layers, losses, metrics

#: Values of `jit_compile` that a step is tried with. PyTorch's compiler is no XLA. JAX is always
#: compiled by those who train with it; without, it takes a minute a network.
COMPILED = {"tensorflow": [False, True], "jax": [True], "torch": [False]}[keras.backend.backend()]


@dataclass(frozen=True)
class LayerSpecimen:
    """A layer, and how a network uses it.

    Attributes:
        make: Called with `seed` and `dtype`; returns a new layer.
        shape: Of one sample that it takes, channels last.
        apply: How a network calls it.
        draws: Whether it draws in training.
        draws_at_inference: The one declared exception to determinism.
        mask: What becomes of an input's mask, over all its axes but channels: it is "kept", it
            ends here ("none"), or Keras warns that the layer supports none ("refused").
    """

    make: Callable[..., Any]
    shape: tuple[int, ...] = (12, 12, 4)
    apply: Callable[[Any, Any], Any] = lambda layer, x: layer(x)
    draws: bool = True
    draws_at_inference: bool = False
    mask: str = "refused"

    def network(self, seed: int = 1, dtype: Any = None, **options: Any) -> Any:
        """A classifier around the layer, with something to train before and behind it."""
        inputs = keras.Input(self.shape)
        x = keras_layers.Dense(self.shape[-1], dtype=dtype, name="before")(inputs)
        x = self.apply(self.make(seed=seed, dtype=dtype, **options), x)
        x = keras_layers.Flatten(dtype=dtype)(x)
        return keras.Model(inputs, keras_layers.Dense(3, activation="softmax", name="behind")(x))


def drop_connect(make: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    def build(seed: int, dtype: Any = None) -> Any:
        return layers.DropConnect(make(dtype), rate=0.3, seed=seed, **options)

    return build


def recurrent(dtype: Any) -> dict[str, Any]:
    # TensorFlow has no QR decomposition in bfloat16, by which Keras makes orthogonal kernels. What
    # is exported must be unrolled.
    return {"recurrent_initializer": "glorot_uniform", "unroll": True, "dtype": dtype}


def made(layer: Any, *values: Any, **options: Any) -> Callable[..., Any]:
    def build(seed: int, dtype: Any = None) -> Any:
        return layer(*values, seed=seed, dtype=dtype, **options)

    return build


def branch(dtype: Any) -> Any:
    return keras.Sequential(
        [
            keras_layers.Conv2D(4, 3, padding="same", use_bias=False, dtype=dtype),
            keras_layers.BatchNormalization(dtype=dtype),
            keras_layers.Dropout(0.1, seed=3, dtype=dtype),
        ],
        name="branch",
    )


def with_branch(mode: str) -> Callable[..., Any]:
    def build(seed: int, dtype: Any = None) -> Any:
        return layers.StochasticDepth(0.5, mode, branch(dtype), seed=seed, dtype=dtype)

    return build


def scalar_affine(seed: int, dtype: Any = None) -> Any:
    return layers.ScalarAffine(dtype=dtype)


LAYERS: dict[str, LayerSpecimen] = {
    "layers.DropConnect, Dense": LayerSpecimen(
        drop_connect(lambda dtype: keras_layers.Dense(4, dtype=dtype)), shape=(8,)
    ),
    "layers.DropConnect, Dense per sample": LayerSpecimen(
        drop_connect(
            lambda dtype: keras_layers.Dense(4, dtype=dtype), per_sample=True, drop_bias=True
        ),
        shape=(8,),
    ),
    "layers.DropConnect, Dense Gaussian": LayerSpecimen(
        drop_connect(
            lambda dtype: keras_layers.Dense(4, "relu", dtype=dtype), inference="gaussian"
        ),
        shape=(8,),
        draws_at_inference=True,
    ),
    "layers.DropConnect, Conv1D": LayerSpecimen(
        drop_connect(lambda dtype: keras_layers.Conv1D(4, 3, dtype=dtype), drop_bias=True),
        shape=(12, 4),
    ),
    "layers.DropConnect, Conv2D": LayerSpecimen(
        drop_connect(lambda dtype: keras_layers.Conv2D(4, 3, dtype=dtype))
    ),
    "layers.DropConnect, DepthwiseConv2D": LayerSpecimen(
        drop_connect(lambda dtype: keras_layers.DepthwiseConv2D(3, dtype=dtype))
    ),
    "layers.DropConnect, LSTM": LayerSpecimen(
        drop_connect(lambda dtype: keras_layers.LSTM(4, return_sequences=True, **recurrent(dtype))),
        shape=(6, 4),
        mask="kept",
    ),
    "layers.DropConnect, GRU": LayerSpecimen(
        drop_connect(lambda dtype: keras_layers.GRU(4, **recurrent(dtype))),
        shape=(6, 4),
        mask="none",
    ),
    "layers.FractionalMaxPooling2D": LayerSpecimen(made(layers.FractionalMaxPooling2D, 1.44)),
    "layers.FractionalMaxPooling2D, overlapping": LayerSpecimen(
        made(layers.FractionalMaxPooling2D, (1.3, 2.6), overlapping=True, pseudo_random=False)
    ),
    "layers.FractionalAveragePooling2D": LayerSpecimen(
        made(layers.FractionalAveragePooling2D, 1.44)
    ),
    "layers.FractionalAveragePooling2D, overlapping": LayerSpecimen(
        made(layers.FractionalAveragePooling2D, overlapping=True, output_size=(7, 5))
    ),
    "layers.ScalarAffine": LayerSpecimen(scalar_affine, draws=False, mask="kept"),
    "layers.StochasticDepth, sample": LayerSpecimen(
        made(layers.StochasticDepth, 0.5),
        shape=(6, 4),
        apply=lambda layer, x: x + layer(keras_layers.Dense(4, dtype=layer.dtype_policy)(x)),
        mask="kept",
    ),
    "layers.StochasticDepth, shortcut": LayerSpecimen(
        made(layers.StochasticDepth, 0.5, "batch"),
        shape=(6, 4),
        apply=lambda layer, x: layer([x, keras_layers.Dense(4, dtype=layer.dtype_policy)(x)]),
        mask="kept",
    ),
    "layers.StochasticDepth, branch a sample": LayerSpecimen(with_branch("sample"), mask="kept"),
    "layers.StochasticDepth, branch a batch": LayerSpecimen(with_branch("batch"), mask="kept"),
    "augmentation.Cutout": LayerSpecimen(made(augmentation.Cutout, 5), mask="kept"),
}

INITIALIZERS: dict[str, Callable[..., Any]] = {
    "initializers.Xavier": lambda seed=None: initializers.Xavier(seed=seed),
    "initializers.Xavier, fan_avg": lambda seed=None: initializers.Xavier("fan_avg", seed=seed),
    "initializers.MSRA": lambda seed=None: initializers.MSRA(seed=seed),
    "initializers.Fixup": lambda seed=None: initializers.Fixup(num_blocks=4, seed=seed),
    "initializers.ZeroResidual": lambda seed=None: initializers.ZeroResidual(),
}

METRICS: dict[str, Callable[[], Any]] = {
    "metrics.ConcordanceCorrelation": lambda: metrics.ConcordanceCorrelation(),
    "metrics.ConcordanceCorrelation, arousal": lambda: metrics.ConcordanceCorrelation("arousal"),
    "metrics.RootMeanSquaredError": lambda: metrics.RootMeanSquaredError(),
    "metrics.RootMeanSquaredError, valence": lambda: metrics.RootMeanSquaredError(
        "valence", target="five"
    ),
    "metrics.SignAgreement": lambda: metrics.SignAgreement(),
    "metrics.SignAgreement, arousal": lambda: metrics.SignAgreement("arousal", scale="five"),
}

LOSSES: dict[str, Callable[[], Any]] = {
    "losses.ConcordanceLoss": lambda: losses.ConcordanceLoss(),
    "losses.LabelDistributionLoss": lambda: losses.LabelDistributionLoss(),
    "losses.LabelDistributionLoss, majority": lambda: losses.LabelDistributionLoss("majority"),
    "losses.LabelDistributionLoss, multi_label": lambda: losses.LabelDistributionLoss(
        "multi_label", 0.2
    ),
    "losses.MaskedCategoricalCrossentropy": lambda: losses.MaskedCategoricalCrossentropy(),
    "losses.MaskedCategoricalCrossentropy, smoothed": lambda: losses.MaskedCategoricalCrossentropy(
        0.1
    ),
    "losses.MaskedMeanSquaredError": lambda: losses.MaskedMeanSquaredError(),
}
#: Those of valence and arousal; the others are of emotion.
LOSSES_OF_POINTS = {"losses.ConcordanceLoss", "losses.MaskedMeanSquaredError"}

#: Tested in tests/contract/test_augmentation.py, since they are no layers.
CALLABLES = {"augmentation.Mixup", "augmentation.FacePipeline"}

#: Functions, which have no state, no configuration and no place in a model, and where they are
#: tested.
FUNCTIONS = {
    "layers.stochastic_depth_rates": "tests/layers/test_stochastic_depth.py",
    "augmentation.face_pipeline": "tests/augmentation/test_pipelines.py",
    "augmentation.with_keys": "tests/augmentation/test_keys.py",
}


def name_of(label: str) -> str:
    """The public name that a specimen is of."""
    return label.partition(",")[0]
