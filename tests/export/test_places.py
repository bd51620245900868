from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import pytest

from keras_affect.export import flatbuffer
from keras_affect.export.flatbuffer import Operator
from keras_affect.export.places import check_layers, describe, layers_of, operators_by_layers


@pytest.mark.parametrize(
    ("place", "layers"),
    [
        ("tiny_1/stem_relu_1/Relu;tiny_1/stem_1/convolution", ("stem_relu", "stem")),
        # The operator is called as a layer is, and the layer is another.
        ("tiny_1/branch_norm_1/batchnorm/add_1", ("branch_norm",)),
        ("tiny/stem/convolution", ("stem",)),
        ("tiny_12/stem_12/convolution", ("stem",)),
        ("StatefulPartitionedCall:0", ()),
        ("tfl.quantize", ()),
    ],
)
def test_layers_of_a_tensors_name(place: str, layers: tuple[str, ...], tiny: Any) -> None:
    assert layers_of(place, tiny) == layers


def test_a_layers_own_number_is_not_the_traces() -> None:
    image = keras.Input((4, 4, 1))
    x = keras.layers.ReLU(name="relu_1")(keras.layers.ReLU(name="relu")(image))
    model = keras.Model(image, x, name="some")
    assert layers_of("some_1/relu_1/Relu", model) == ("relu",)
    assert layers_of("some_1/relu_1_1/Relu", model) == ("relu_1",)
    assert layers_of("some/relu_1/Relu", model) == ("relu_1",)


@pytest.mark.parametrize("quantization", ["float32", "int8"])
def test_every_computing_operator_has_its_layer(
    quantization: str, exported: Callable[[str], tuple[Any, bytes]], tiny: Any
) -> None:
    operators = flatbuffer.operators(exported(quantization)[1])
    found = [(one.name, layers) for one, layers in operators_by_layers(operators, tiny)]
    for pair in (
        ("CONV_2D", ("branch_norm", "branch")),
        ("CONV_2D", ("stem_relu", "stem_norm", "stem")),
        ("MEAN", ("pool",)),
        ("FULLY_CONNECTED", ("emotion",)),
        # Their tensors are the graph's outputs, and named after no layer.
        ("SOFTMAX", ("emotion",)),
        ("TANH", ("valence_arousal",)),
    ):
        assert pair in found


def test_layers_are_described_once_each(tiny: Any) -> None:
    places = ["tiny_1/stem_1/a", "tiny_1/pool_1/b", "tiny_1/stem_1/c", "elsewhere"]
    assert describe(places, tiny) == "layer 'stem' (Conv2D), layer 'pool' (GlobalAveragePooling2D)"
    assert describe(["elsewhere"], tiny) == ""


def test_names_of_no_operator_are_refused_with_what_there_is(tiny: Any) -> None:
    operators = [
        Operator("CONV_2D", True, ("float32",), results=("tiny_1/stem_1/convolution",)),
        Operator("MEAN", True, ("float32",), results=("tiny_1/pool_1/Mean",)),
    ]
    assert check_layers(["pool"], operators, tiny) == operators[1:]
    with pytest.raises(ValueError, match="Invalid value for argument `keep_float`") as caught:
        check_layers(["dropout"], operators, tiny)
    assert str(caught.value).endswith(
        "in the exported graph: pool, stem. Received: keep_float=['dropout']"
    )
    with pytest.raises(ValueError, match="Received: keep_float='pool'"):
        check_layers("pool", operators, tiny)
