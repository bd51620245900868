"""No public name escapes the contract."""

from __future__ import annotations

import importlib
import inspect

import pytest

from tests.conftest import REPOSITORY
from tests.contract import specimens

keras = pytest.importorskip("keras")
if keras.backend.backend() != "tensorflow":
    pytest.skip("names are the same on every backend", allow_module_level=True)

#: Parts whose public names have a contract.
PARTS = ("layers", "initializers", "metrics", "losses", "augmentation")


def public_names() -> set[str]:
    found = set()
    for part in PARTS:
        try:
            module = importlib.import_module(f"keras_affect.{part}")
        except ModuleNotFoundError:
            # No such part yet: it must not go unnoticed once it is there.
            assert not list((REPOSITORY / "keras_affect").glob(f"{part}*"))
            continue
        assert module.__all__, part
        found |= {f"{part}.{name}" for name in module.__all__}
    return found


def test_every_public_name_has_a_specimen():
    labels = {*specimens.LAYERS, *specimens.INITIALIZERS, *specimens.METRICS, *specimens.LOSSES}
    covered = {specimens.name_of(label) for label in labels}
    assert covered | specimens.CALLABLES | set(specimens.FUNCTIONS) == public_names()


def test_nothing_but_functions_is_excused():
    for label, test in specimens.FUNCTIONS.items():
        part, name = label.split(".")
        assert inspect.isfunction(getattr(importlib.import_module(f"keras_affect.{part}"), name))
        assert name in (REPOSITORY / test).read_text(encoding="utf-8")


def test_a_specimen_is_of_what_it_says():
    for label, specimen in specimens.LAYERS.items():
        made = type(specimen.make(seed=1))
        assert f"{made.__module__.split('.')[1]}.{made.__name__}" == specimens.name_of(label)
    for label, make in {
        **specimens.INITIALIZERS,
        **specimens.METRICS,
        **specimens.LOSSES,
    }.items():
        made = type(make())
        assert f"{made.__module__.split('.')[1]}.{made.__name__}" == specimens.name_of(label)
    assert set(specimens.LOSSES) >= specimens.LOSSES_OF_POINTS


def test_every_class_with_a_configuration_is_registered():
    registered = set(keras.saving.get_custom_objects().values())
    for label in public_names():
        part, name = label.split(".")
        value = getattr(importlib.import_module(f"keras_affect.{part}"), name)
        if inspect.isclass(value) and hasattr(value, "get_config"):
            assert value in registered, label
            assert keras.saving.get_registered_name(value) == f"keras_affect>{name}"
