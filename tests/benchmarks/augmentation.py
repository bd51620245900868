"""Cutout and Mixup in `tf.data` beside `keras.layers.RandomErasing` and `keras.layers.MixUp`.

Each maps batches of 128 pictures of 48x48x1 that are held in memory, with parallel calls, ours
with keys and without. All are timed by turns, so that a busy moment of the machine falls on all.
Run it on an idle machine; use the ratios: pictures a second, ours / Keras's, above 1 is faster.

    python tests/benchmarks/augmentation.py
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf

from keras_affect.augmentation import Cutout, Mixup, with_keys

BATCH = 128


def source(batches: int) -> tf.data.Dataset:
    random = np.random.default_rng(0)
    images = random.uniform(0, 255, (BATCH, 48, 48, 1)).astype("float32")
    labels = random.dirichlet(np.ones(8), BATCH).astype("float32")
    return tf.data.Dataset.from_tensors((images, labels)).cache().repeat(batches)


def pipelines(batches: int) -> dict[str, dict[str, tf.data.Dataset]]:
    cutout, mixup = Cutout(14), Mixup(0.2)
    # Squares from 1/20 of the picture to 1/5, which holds 14x14 of 48x48.
    erasing = keras.layers.RandomErasing(factor=1.0, scale=(0.05, 0.2), fill_value=0.0)
    keras_mixup = keras.layers.MixUp(0.2)
    data, keyed = source(batches), with_keys(source(batches))
    many: dict[str, Any] = {"num_parallel_calls": tf.data.AUTOTUNE}

    def keras_mixed(images: Any, labels: Any) -> Any:
        mixed = keras_mixup({"images": images, "labels": labels})
        return mixed["images"], mixed["labels"]

    return {
        "cutout": {
            "keras": data.map(lambda images, labels: (erasing(images), labels), **many),
            "ours": data.map(
                lambda images, labels: (cutout(images, training=True), labels), **many
            ),
            "ours, keys": keyed.map(
                lambda keys, images, labels: (cutout(images, keys), labels), **many
            ),
        },
        "mixup": {
            "keras": data.map(keras_mixed, **many),
            "ours": data.map(mixup, **many),
            "ours, keys": keyed.map(
                lambda keys, images, labels: mixup(images, labels, keys=keys), **many
            ),
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9, help="rounds over all (default: 9)")
    parser.add_argument("--batches", type=int, default=200, help="batches a pass (default: 200)")
    arguments = parser.parse_args()
    print("          pictures a second, ours / Keras's")
    for name, datasets in pipelines(arguments.batches).items():
        times: dict[str, list[float]] = {kind: [] for kind in datasets}
        for turn in range(arguments.rounds + 1):
            for kind, dataset in datasets.items():
                start = time.perf_counter()
                for _ in dataset.prefetch(2):
                    pass
                if turn > 0:  # the first pass traces
                    times[kind].append(time.perf_counter() - start)
        base = statistics.median(times.pop("keras"))
        for kind, seconds in times.items():
            print(f"{name:10}{kind:12}{base / statistics.median(seconds):6.2f}x")


if __name__ == "__main__":
    main()
