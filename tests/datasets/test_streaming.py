"""Memory does not grow with the pictures; for 200,000 see tests/benchmarks/bench_datasets.py."""

import tracemalloc

import numpy as np

from keras_affect.datasets import valence_arousal
from tests.datasets.picture_folders import pixels_of, save, write_csv

COUNT, SIZE = 300, 200


def test_index_is_small_and_pictures_are_let_go(tmp_path):
    for number in range(10):
        save(tmp_path / f"{number}.png", pixels_of(number, 32))
    names = []
    for number in range(COUNT):
        link = tmp_path / f"{number:04d}_{number % 10}.png"
        link.hardlink_to(tmp_path / f"{number % 10}.png")
        names.append([link.name, "joy", 0.5, 0.5])
    table = write_csv(tmp_path / "faces.csv", ["path", "emotion", "valence", "arousal"], names)
    data = valence_arousal.read(table, size=SIZE, check="exists")
    held = sum(part.nbytes for part in vars(data).values() if isinstance(part, np.ndarray))
    assert held + len(data._names) < 100 * COUNT
    data.picture(0)  # what Pillow loads for its first picture stays
    tracemalloc.start()
    for index in range(COUNT):
        data.picture(index)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # A few pictures' worth, of 300.
    assert peak < 10 * SIZE * SIZE
