"""How fast data sets are read, and how much memory that takes.

    make bench ARGS="-k datasets"
    pytest tests/benchmarks/bench_datasets.py          # with pytest-benchmark; -s prints the memory
    pytest tests/benchmarks/bench_datasets.py --smoke  # a few pictures: the figures mean nothing

Targets, on two idle cores: 20,000 48x48 pictures a second from shards without augmentation, and
5,000 with `augmentation.face_pipeline`; and memory that does not grow with the pictures, over an
epoch of 200,000 picture files.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
SIDE, BATCH = 48, 128
pytestmark = pytest.mark.timeout(0)

#: Run in a process of its own: reads an index and one epoch, and prints the resident memory.
MEMORY = """
import json, resource, sys, time
from keras_affect.datasets import valence_arousal

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()

table, count = sys.argv[1], int(sys.argv[2])
import tensorflow as tf
tf.zeros(1)
start, began = resident(), time.perf_counter()
data = valence_arousal.read(table, check="exists")
indexed, read_in = resident(), time.perf_counter() - began
marks, seen, began = {}, 0, time.perf_counter()
for images, _ in data.batches(batch_size=128, shuffle=True):
    seen += len(images)
    for tenth in range(1, 11):
        if tenth not in marks and seen >= count * tenth // 10:
            marks[tenth] = resident()
assert seen == count
json.dump({
    "index_bytes_a_picture": (indexed - start) / count,
    "index_seconds": read_in,
    "epoch_seconds": time.perf_counter() - began,
    "resident_mb_by_tenth": [round(marks[tenth] / 2**20) for tenth in range(1, 11)],
}, sys.stdout)
"""


@pytest.fixture
def few(request) -> bool:
    """Whether to be quick, at the smallest size."""
    return bool(request.config.getoption("--smoke", False))


def records_folder(folder: Path, count: int) -> Path:
    """Shards of noise, of 8,192 pictures or fewer."""
    from keras_affect.datasets import record_writer

    class Noise:
        emotion = np.eye(8, dtype=np.float32)[np.arange(count) % 8]
        valence_arousal = np.zeros((count, 2), np.float32)
        pixels = np.random.default_rng(0).integers(0, 256, (256, SIDE, SIDE, 1), dtype=np.uint8)

        def __len__(self) -> int:
            return count

        def picture(self, index: int) -> np.ndarray:
            return self.pixels[index % 256]

    shards = -(-count // 8_192)
    record_writer.write(Noise(), folder, split="train", source="noise", shards=shards)
    return folder


@pytest.mark.parametrize(("augmented", "target"), [(False, 20_000), (True, 5_000)])
def test_records_pictures_a_second(benchmark, tmp_path, few, augmented, target):
    from keras_affect.augmentation import face_pipeline
    from keras_affect.datasets import records

    count = 512 if few else 65_536
    folder = records_folder(tmp_path / "records", count)
    dataset = records.load(
        folder, batch_size=BATCH, augment=face_pipeline("strong") if augmented else None
    )

    def epoch() -> None:
        for _ in dataset:
            pass

    benchmark.pedantic(epoch, rounds=1 if few else 5, warmup_rounds=1)
    rate = count / benchmark.stats.stats.median
    benchmark.extra_info.update({"pictures_a_second": rate, "target": target})
    print(f"\n{'with' if augmented else 'without'} augmentation: {rate:,.0f} pictures a second, "
          f"target {target:,}")  # fmt: skip


def write_pictures(folder: Path, count: int) -> Path:
    """`count` files of 1,000 different pictures, in folders of 1,000, and their csv."""
    import io

    from PIL import Image

    generator = np.random.default_rng(0)
    variants = []
    for _ in range(min(count, 1_000)):
        held = io.BytesIO()
        coarse = generator.integers(0, 256, (8, 8), dtype=np.uint8)
        Image.fromarray(coarse).resize((SIDE, SIDE)).save(held, "PNG", compress_level=1)
        variants.append(held.getvalue())
    with (folder / "faces.csv").open("w") as table:
        table.write("path,emotion,valence,arousal\n")
        for number in range(count):
            place = folder / f"{number // 1_000:04d}"
            if number % 1_000 == 0:
                place.mkdir()
            name = f"{place.name}/{number:07d}.png"
            (folder / name).write_bytes(variants[number % len(variants)])
            table.write(f"{name},joy,{number % 200 / 100 - 1:.2f},0.1\n")
    return folder / "faces.csv"


def test_memory_does_not_grow_with_the_pictures(benchmark, tmp_path, few):
    count = 500 if few else int(os.environ.get("PICTURES", "200000"))
    table = write_pictures(tmp_path, count)
    found = {}

    def measure() -> None:
        run = subprocess.run(
            [sys.executable, "-c", MEMORY, str(table), str(count)],
            capture_output=True,
            text=True,
            check=False,
            cwd=REPOSITORY,
            env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        )
        assert run.returncode == 0, run.stderr
        found.update(json.loads(run.stdout))

    benchmark.pedantic(measure, rounds=1)
    benchmark.extra_info.update(found)
    megabytes = found["resident_mb_by_tenth"]
    print(f"\n{count:,} pictures: {found}; growth from the first tenth of the epoch to the last: "
          f"{megabytes[-1] - megabytes[0]} MB; {time.strftime('%Y-%m-%d')}")  # fmt: skip
