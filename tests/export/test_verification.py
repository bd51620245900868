from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from keras_affect.export import ConversionError
from keras_affect.export.flatbuffer import Operator
from keras_affect.export.measure import Border
from keras_affect.export.quantization import QuantizationConfig
from keras_affect.export.signature import Signature
from keras_affect.export.verification import (
    check_borders,
    check_deterministic,
    check_errors,
    check_operators,
)

SIGNATURE = Signature((48, 48, 1), {"emotion": 8}, is_single=True)
INT8, FLOAT32 = QuantizationConfig.for_int8(), QuantizationConfig.for_float32()
IMAGE = Border("image", (1, 48, 48, 1), "uint8", 1.0, 0)
EMOTION = Border("emotion", (1, 8), "uint8", 1 / 256, 0)


def test_builtin_functions_pass(tiny: Any) -> None:
    check_operators([Operator("CONV_2D", True, ("int8",))], tiny)


@pytest.mark.parametrize(
    ("operator", "reason"),
    [
        (Operator("FlexSelu", False, ("float32",)), "no builtin operator for FlexSelu"),
        (Operator("RANDOM_STANDARD_NORMAL", True, ("float32",)), "draws random numbers"),
        (Operator("READ_VARIABLE", True, ("float32",)), r"keeps a state \(READ_VARIABLE\)"),
    ],
)
def test_operators_at_fault_are_named(operator: Operator, reason: str, tiny: Any) -> None:
    with pytest.raises(ConversionError, match=reason):
        check_operators([operator, Operator("CONV_2D", True, ("int8",))], tiny)


def test_layers_at_fault_are_named_where_their_tensors_say_it(tiny: Any) -> None:
    operators = [
        Operator("FlexErf", False, ("float32",), results=("tiny_1/pool_1/Erf",)),
        Operator("FlexErf", False, ("float32",), results=("tiny_1/stem_1/Erf",)),
        Operator("CONV_2D", True, ("float32",), results=("tiny_1/branch_1/conv",)),
    ]
    with pytest.raises(ConversionError) as caught:
        check_operators(operators, tiny)
    assert str(caught.value) == (
        "tiny can't be exported: LiteRT has no builtin operator for FlexErf of layer 'pool' "
        "(GlobalAveragePooling2D), layer 'stem' (Conv2D). Nothing was written"
    )


@pytest.mark.parametrize("draws", [False, True])
def test_layers_that_draw_at_inference_are_named(draws: bool) -> None:
    import keras

    from keras_affect.layers import DropConnect

    inference = "gaussian" if draws else "mean"
    layer = DropConnect(keras.layers.Dense(2), 0.3, inference=inference, name="drawn")
    inner = keras.Sequential([keras.Input((3, 4)), keras.layers.TimeDistributed(layer)])
    model = keras.Sequential([keras.Input((3, 4)), inner, keras.layers.Dropout(0.5)], name="outer")
    if not draws:
        check_deterministic(model)
        return
    with pytest.raises(ConversionError) as error:
        check_deterministic(model)
    assert str(error.value) == (
        "outer can't be exported: its layer 'drawn' (DropConnect) draws random numbers at "
        'inference; build it with inference="mean", the weights are the same. Nothing was written'
    )


def test_borders_as_wanted_pass() -> None:
    check_borders([IMAGE], [EMOTION], SIGNATURE, INT8)


@pytest.mark.parametrize(
    "inputs",
    [
        [],
        [IMAGE, IMAGE],
        [replace(IMAGE, name="x")],
        [replace(IMAGE, shape=(-1, 48, 48, 1))],
        [replace(IMAGE, dtype="int8")],
    ],
)
def test_other_inputs_are_refused(inputs: list[Border]) -> None:
    with pytest.raises(ConversionError, match="The converted file takes"):
        check_borders(inputs, [EMOTION], SIGNATURE, INT8)


@pytest.mark.parametrize(
    "outputs",
    [[], [replace(EMOTION, name="output_0")], [replace(EMOTION, dtype="float32")]],
)
def test_other_outputs_are_refused(outputs: list[Border]) -> None:
    with pytest.raises(ConversionError, match="and gives"):
        check_borders([IMAGE], outputs, SIGNATURE, INT8)


@pytest.mark.parametrize("change", [{"scale": 0.784}, {"zero_point": 1}])
def test_a_file_that_would_misread_pixels_is_refused(change: dict[str, float]) -> None:
    with pytest.raises(ConversionError, match="would misread every picture"):
        check_borders([replace(IMAGE, **change)], [EMOTION], SIGNATURE, INT8)  # type: ignore[arg-type]


def test_errors() -> None:
    finite = {"emotion": np.zeros((2, 8), np.float32)}
    check_errors({"emotion": 1e-5}, finite, FLOAT32, "some")
    check_errors({"emotion": 0.3}, finite, INT8, "some")
    with pytest.raises(ConversionError, match=r"'emotion' is off by 0\.3"):
        check_errors({"emotion": 0.3}, finite, FLOAT32, "some")
    with pytest.raises(ConversionError, match="as int8: the file's 'emotion' is off by nan"):
        check_errors({"emotion": np.nan}, finite, INT8, "some")
    broken = {"emotion": np.full((2, 8), np.nan, np.float32)}
    with pytest.raises(ConversionError, match="own 'emotion' is not finite"):
        check_errors({"emotion": np.nan}, broken, INT8, "some")
