"""What DropConnect does not take, and what it says of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from keras_affect.layers import DropConnect
from tests.layers.drop_connect_cases import layers, numbers
from tests.layers.test_drop_connect import Doubled


@pytest.mark.parametrize("rate", [1.7, -0.1, 1, 1.0, float("nan"), "0.5", True, None, [0.5]])
def test_rates(rate: Any) -> None:
    with pytest.raises(ValueError, match="Invalid value") as error:
        DropConnect(layers.Dense(2), rate)
    assert str(error.value) == (
        f"Invalid value for argument `rate`. Expected a float in [0, 1). Received: rate={rate!r}"
    )


def test_takes_numpys_numbers() -> None:
    config = DropConnect(layers.Dense(2), np.float32(0.5), samples=np.int64(3)).get_config()
    assert (type(config["rate"]), type(config["samples"])) == (float, int)


@pytest.mark.parametrize(
    ("layer", "received"),
    [
        (lambda: layers.ReLU(name="rectify"), "'rectify', a ReLU"),
        (lambda: layers.BatchNormalization(name="norm"), "'norm', a BatchNormalization"),
        (lambda: layers.Conv2DTranspose(2, 3, name="up"), "'up', a Conv2DTranspose"),
        (lambda: layers.SimpleRNN(2, name="simple"), "'simple', a SimpleRNN"),
        (lambda: layers.Bidirectional(layers.LSTM(2), name="both"), "'both', a Bidirectional"),
        (lambda: DropConnect(layers.Dense(2), name="twice"), "'twice', a DropConnect"),
        (lambda: "dense", "'dense', a str"),
        (lambda: None, "None, a NoneType"),
    ],
)
def test_layers_without_a_kernel_to_drop(layer: Callable[[], Any], received: str) -> None:
    with pytest.raises(ValueError, match="Invalid value") as error:
        DropConnect(layer())
    assert str(error.value) == (
        "Invalid value for argument `layer`. Expected a layer with a kernel that can be dropped: "
        f"a Dense, Conv1D, Conv2D, DepthwiseConv2D, LSTM or GRU. Received: layer={received}"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"per_sample": 1}, "`per_sample`. Expected True or False. Received: per_sample=1"),
        ({"drop_bias": "no"}, "`drop_bias`. Expected True or False. Received: drop_bias='no'"),
        (
            {"inference": "median"},
            '`inference`. Expected "mean" or "gaussian". Received: inference=\'median\'',
        ),
        ({"samples": 0}, "`samples`. Expected an integer of 1 or more. Received: samples=0"),
        ({"samples": 2.0}, "`samples`. Expected an integer of 1 or more. Received: samples=2.0"),
        ({"samples": True}, "`samples`. Expected an integer of 1 or more. Received: samples=True"),
        (
            {"dtype": "mixed_bfloat16"},
            "`dtype`. Expected one that computes in float32, as the wrapped layer does. "
            "Received: dtype='mixed_bfloat16'",
        ),
    ],
)
def test_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match="Invalid value") as error:
        DropConnect(layers.Dense(2), **arguments)
    assert str(error.value) == f"Invalid value for argument {message}"


@pytest.mark.parametrize(
    ("layer", "arguments", "message"),
    [
        (
            lambda: layers.Conv2D(2, 3),
            {"per_sample": True},
            "`per_sample`. Expected per_sample=False around anything but a Dense. "
            "Received: per_sample=True around a Conv2D",
        ),
        (
            lambda: Doubled(2),
            {"per_sample": True},
            "`per_sample`. Expected per_sample=False around anything but a Dense. "
            "Received: per_sample=True around a Doubled",
        ),
        (
            lambda: layers.LSTM(2),
            {"inference": "gaussian"},
            "`inference`. Expected inference='mean' around anything but a Dense. "
            "Received: inference='gaussian' around a LSTM",
        ),
        (
            lambda: layers.Dense(2, use_bias=False, name="bare"),
            {"drop_bias": True},
            "`drop_bias`. Expected False around a layer without a bias. "
            "Received: drop_bias=True around 'bare'",
        ),
        (
            lambda: layers.GRU(2, use_bias=False, name="bare"),
            {"drop_bias": True},
            "`drop_bias`. Expected False around a layer without a bias. "
            "Received: drop_bias=True around 'bare'",
        ),
    ],
)
def test_what_a_layer_has_not(
    layer: Callable[[], Any], arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match="Invalid value") as error:
        DropConnect(layer(), **arguments)
    assert str(error.value) == f"Invalid value for argument {message}"


@pytest.mark.parametrize("arguments", [{}, {"per_sample": True}, {"inference": "gaussian"}])
@pytest.mark.parametrize("training", [False, True])
def test_inputs_of_another_width(arguments: dict[str, Any], training: bool) -> None:
    wrapped = DropConnect(layers.Dense(2), **arguments)
    wrapped.build((None, 5))
    with pytest.raises(ValueError, match="expected axis -1 of input shape to have value 5"):
        wrapped(np.ones((2, 6), np.float32), training=training)


@pytest.mark.parametrize(
    ("scope", "is_refused"),
    [
        ({"mode": "full"}, True),
        ({"mode": "larger_than"}, True),
        ({"mode": "list_of_layers", "layer_names": ["twice"]}, True),
        ({"mode": "list_of_layers", "layer_names": ["another"]}, False),
        ({"mode": "activations"}, False),
        ({"mode": None}, False),
    ],
)
@pytest.mark.parametrize("inside", ["layer", "wrapper"])
def test_rematerialized_layers(scope: dict[str, Any], is_refused: bool, inside: str) -> None:
    def wrap(dense: Any) -> DropConnect:
        return DropConnect(dense, name="twice")

    if inside == "layer":
        with keras.RematScope(**scope):
            dense = layers.Dense(2, name="twice")
    else:
        dense = layers.Dense(2, name="inner")
    with keras.RematScope(**scope if inside == "wrapper" else {"mode": None}):
        if is_refused:
            with pytest.raises(
                ValueError, match=rf"outside of keras.RematScope.*layer='{dense.name}'"
            ):
                wrap(dense)
        else:
            assert wrap(dense)(np.ones((3, 4), np.float32), training=True).shape == (3, 2)


@pytest.mark.parametrize(
    ("layer", "change", "said"),
    [
        (lambda: layers.Dense(4, name="changed"), "int8", "quantized"),
        (lambda: layers.Dense(4, name="changed"), "lora", "made of LoRA factors"),
        (lambda: layers.Conv1D(4, 1, name="changed"), "lora", "made of LoRA factors"),
    ],
)
def test_quantized_and_lora_kernels_run_but_are_not_dropped(
    layer: Callable[[], Any], change: str, said: str
) -> None:
    changed = layer()
    wrapped = DropConnect(changed, 0.3)
    inputs = np.random.default_rng(0).normal(size=(2, 3, 5)).astype(np.float32)
    expected = numbers(wrapped(inputs))
    if change == "lora":
        changed.enable_lora(2)
    else:
        changed.quantize("int8")
    np.testing.assert_allclose(numbers(wrapped(inputs)), expected, atol=0.1)
    with pytest.raises(ValueError, match=f"`layer`.*'changed'.*a kernel that is {said}"):
        wrapped(inputs, training=True)


def test_a_layer_made_quantized_runs() -> None:
    wrapped = DropConnect(layers.Dense(4, dtype="int8_from_mixed_bfloat16", name="small"), 0.3)
    assert wrapped.dtype_policy.name == "mixed_bfloat16"
    assert tuple(wrapped(np.ones((2, 5), np.float32)).shape) == (2, 4)
    with pytest.raises(ValueError, match=r"'small'.*a kernel that is quantized"):
        wrapped(np.ones((2, 5), np.float32), training=True)
