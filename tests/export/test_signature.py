from __future__ import annotations

from typing import Any

import keras
import pytest

from keras_affect import emotions
from keras_affect.export import signature
from tests.export.conftest import SHAPE


def model_of(shape: Any, *outputs: int, **named: int) -> Any:
    image = keras.Input(shape)
    x = keras.layers.GlobalAveragePooling2D()(image) if len(shape) == 3 else image
    if named:
        heads: Any = {name: keras.layers.Dense(n)(x) for name, n in named.items()}
    else:
        heads = [keras.layers.Dense(n)(x) for n in outputs]
        heads = heads[0] if len(heads) == 1 else heads
    return keras.Model(image, heads, name="some")


def test_two_heads(tiny: Any) -> None:
    found = signature.read(tiny)
    assert found.input_shape == SHAPE
    assert found.outputs == {"emotion": 8, "valence_arousal": 2}
    assert not found.is_single
    assert found.named({"emotion": 1}) == {"emotion": 1}


def test_one_tensor_is_the_emotion() -> None:
    found = signature.read(model_of((8, 8, 3), 5))
    assert found.outputs == {"emotion": 5}
    assert found.is_single
    assert found.named("probabilities") == {"emotion": "probabilities"}


def test_sequential() -> None:
    model = keras.Sequential(
        [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(8)]
    )
    assert signature.read(model).outputs == {"emotion": 8}


class Unbuilt(keras.Model):
    def call(self, x: Any) -> Any:
        return x


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("model.keras", "Expected a Keras model. Received: model='model.keras'"),
        (Unbuilt(name="some"), "whose input shape is unknown"),
        (model_of((None, None, 1), 8), r"input shape \(None, None, None, 1\)"),
        (model_of((7,), 8), r"input shape \(None, 7\)"),
        (model_of((8, 8, 1), 8, 2), "which returns list"),
        (model_of((8, 8, 1), mood=8), r"which returns \['mood'\]"),
        (
            keras.Model(image := keras.Input((8, 8, 1)), keras.layers.Conv2D(2, 3)(image)),
            r"\(batch, numbers\)\. Received: .*\(1, 6, 6, 2\)",
        ),
    ],
)
def test_other_models_are_refused(model: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        signature.read(model)
    assert str(caught.value).startswith("Invalid value for argument `model`. Expected ")


def test_a_fixed_batch_is_refused() -> None:
    image = keras.Input(batch_shape=(4, 8, 8, 1))
    model = keras.Model(image, keras.layers.GlobalAveragePooling2D()(image))
    with pytest.raises(ValueError, match=r"with input shape \(4, 8, 8, 1\)"):
        signature.read(model)


def test_two_inputs_are_refused() -> None:
    inputs = [keras.Input((8, 8, 1)), keras.Input((8, 8, 1))]
    summed = keras.layers.GlobalAveragePooling2D()(keras.layers.Add()(inputs))
    with pytest.raises(ValueError, match="Expected one input of fixed size"):
        signature.read(keras.Model(inputs, summed))


class TestClassNames:
    def test_eight_are_ferplus(self, tiny: Any) -> None:
        names = signature.check_class_names(tiny, signature.read(tiny), None)
        assert names == emotions.NAMES

    def test_the_argument_goes_before_the_model(self) -> None:
        model = model_of((8, 8, 1), 3)
        found = signature.read(model)
        model.class_names = ("a", "b", "c")
        assert signature.check_class_names(model, found, None) == ("a", "b", "c")
        assert signature.check_class_names(model, found, ["x", "y", "z"]) == ("x", "y", "z")

    @pytest.mark.parametrize(
        "wrong", [None, ["a", "b"], ["a", "b", "b"], ["a", "b", ""], ["a", "b", "c\nd"], "abc"]
    )
    def test_each_number_needs_one_name(self, wrong: Any) -> None:
        model = model_of((8, 8, 1), 3)
        with pytest.raises(ValueError, match="Expected 3 different names") as caught:
            signature.check_class_names(model, signature.read(model), wrong)
        assert f"class_names={wrong!r}" in str(caught.value)
