"""A csv of drawn faces for the commands on data."""

from __future__ import annotations

import pytest

from keras_affect.datasets import synthetic
from tests.datasets.picture_folders import save, write_csv


@pytest.fixture
def table(tmp_path):
    """Nine drawings: 1 is a copy of 0, 8 lacks its picture."""
    rows = []
    for number in range(9):
        picture, *_ = synthetic.draw(0 if number == 1 else number)
        if number != 8:
            save(tmp_path / f"{number}.png", picture[..., 0])
        rows.append([f"{number}.png", "sad" if number == 1 else "joy", 0.1, 0.2])
    return write_csv(tmp_path / "faces.csv", ["path", "emotion", "valence", "arousal"], rows)
