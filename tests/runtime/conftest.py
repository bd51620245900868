"""A photograph with one face, and models to read it with."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from keras_affect.runtime import AffectInterpreter
from tests.runtime import tiny_models


@pytest.fixture(scope="session")
def photograph_path() -> Path:
    """Grace Hopper, 512 x 600, public domain; matplotlib ships it."""
    cbook = pytest.importorskip("matplotlib.cbook")
    return Path(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False))


@pytest.fixture(scope="session")
def photograph(photograph_path) -> Image.Image:
    with Image.open(photograph_path) as image:
        return image.convert("RGB")


@pytest.fixture(scope="session")
def interpreter() -> AffectInterpreter:
    return AffectInterpreter(tiny_models.described(tiny_models.flatbuffer()))


@pytest.fixture(scope="session")
def int8_interpreter() -> AffectInterpreter:
    return AffectInterpreter(tiny_models.described(tiny_models.flatbuffer(int8=True)))
