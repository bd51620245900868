from __future__ import annotations

import dataclasses

import pytest

from keras_affect.export.quantization import NAMES, QuantizationConfig


@pytest.mark.parametrize("name", NAMES)
def test_every_name_gives_its_recipe(name: str) -> None:
    config = QuantizationConfig.from_name(name)
    assert config.name == name
    assert config == getattr(QuantizationConfig, f"for_{name}")()
    assert QuantizationConfig.from_name(config) is config


def test_only_int8_needs_calibration_and_takes_bytes() -> None:
    configs = [QuantizationConfig.from_name(name) for name in NAMES]
    assert [config.name for config in configs if config.needs_calibration] == ["int8"]
    assert [config.name for config in configs if config.border == "uint8"] == ["int8"]


@pytest.mark.parametrize("wrong", ["int2", "INT8", None, 8])
def test_unknown_names_are_refused_with_what_there_is(wrong: object) -> None:
    with pytest.raises(ValueError, match="Invalid value for argument `quantization`") as caught:
        QuantizationConfig.from_name(wrong)  # type: ignore[arg-type]
    assert str(caught.value).endswith(f"Received: quantization={wrong!r}")
    assert all(repr(name) in str(caught.value) for name in NAMES)


def test_what_can_keep_layers_in_float() -> None:
    names = {name for name in NAMES if QuantizationConfig.from_name(name).can_keep_float}
    assert names == {"int8", "weight_only_int8", "int4"}
    needing_a_library = {n for n in NAMES if QuantizationConfig.from_name(n).is_weight_only}
    assert needing_a_library == {"weight_only_int8", "int4"}


def test_a_recipe_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        QuantizationConfig.for_int8().border = "float32"  # type: ignore[misc]
