"""Cutout and Mixup in `tf.data` beside `keras.layers.RandomErasing` and `keras.layers.MixUp`.

Each maps batches of 128 pictures of 48x48x1 that are held in memory, with parallel calls, ours
with keys and without. The ratio is of pictures a second.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_affect.augmentation import Cutout, Mixup, with_keys

BATCH = 128
BATCHES = 200


def source(batches: int) -> tf.data.Dataset:
    random = np.random.default_rng(0)
    images = random.uniform(0, 255, (BATCH, 48, 48, 1)).astype("float32")
    labels = random.dirichlet(np.ones(8), BATCH).astype("float32")
    return tf.data.Dataset.from_tensors((images, labels)).cache().repeat(batches)


def keras_cutout() -> Callable[..., Any]:
    # Squares from 1/20 of the picture to 1/5, which holds 14x14 of 48x48.
    erasing = keras.layers.RandomErasing(factor=1.0, scale=(0.05, 0.2), fill_value=0.0)
    return lambda images, labels: (erasing(images), labels)


def keras_mixup() -> Callable[..., Any]:
    mixup = keras.layers.MixUp(0.2)

    def apply(images: Any, labels: Any) -> Any:
        mixed = mixup({"images": images, "labels": labels})
        return mixed["images"], mixed["labels"]

    return apply


def our_cutout(keys: bool) -> Callable[..., Any]:
    cutout = Cutout(14)
    if keys:
        return lambda keys, images, labels: (cutout(images, keys), labels)
    return lambda images, labels: (cutout(images, training=True), labels)


def our_mixup(keys: bool) -> Callable[..., Any]:
    mixup = Mixup(0.2)
    if keys:
        return lambda keys, images, labels: mixup(images, labels, keys=keys)
    return mixup


CONTENDERS = {
    "cutout": ("Cutout / RandomErasing", our_cutout, keras_cutout),
    "mixup": ("Mixup / MixUp", our_mixup, keras_mixup),
}


@pytest.mark.parametrize("keys", [False, True], ids=["seeded", "keys"])
@pytest.mark.parametrize("augmentation", CONTENDERS)
def test_throughput(compare: Any, smoke: bool, augmentation: str, keys: bool) -> None:
    names, ours, other = CONTENDERS[augmentation]
    data = source(1 if smoke else BATCHES)

    def contender(data: tf.data.Dataset, function: Callable[..., Any]) -> Callable[[], None]:
        mapped = data.map(function, num_parallel_calls=tf.data.AUTOTUNE).prefetch(2)

        def run() -> None:
            for _ in mapped:
                pass

        return run

    compare(
        f"{names}, {'keys' if keys else 'seeded'}",
        contender(with_keys(data) if keys else data, ours(keys)),
        contender(data, other()),
        rounds=9,
        warmups=1,
        calls=1 if smoke else BATCHES,
        ratio="speed",
        target=1.0,
        note="pictures a second; times of a batch",
    )
