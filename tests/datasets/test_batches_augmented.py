"""How `batches_of` calls augmentation: with pictures alone, or with their labels."""

import hashlib

import keras
import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="batches are tf.data's")

from keras_affect.augmentation import FacePipeline, Mixup, face_pipeline
from keras_affect.datasets.batches import batches_of

tensorflow_only = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow",
    reason="mixup in tf.data runs on the TensorFlow backend alone",
)


class Pictures:
    """Ten pictures, each of one gray level."""

    def __len__(self):
        return 10

    def picture(self, index):
        return np.full((12, 12, 1), 20 * index, np.uint8)

    @property
    def digests(self):
        return tuple(
            hashlib.blake2b(self.picture(i).tobytes(), digest_size=16).digest() for i in range(10)
        )


EMOTION = np.eye(10, dtype=np.float32)
POINTS = np.linspace(-1, 1, 20, dtype=np.float32).reshape(10, 2)


def batches(augment, *, draw_labels=False, points=POINTS, seed=0, initial_epoch=0):
    return batches_of(
        Pictures(), EMOTION, points, draw_labels=draw_labels, batch_size=4, shuffle=False,
        seed=seed, cache="memory", augment=augment, initial_epoch=initial_epoch, repeat=False,
    )  # fmt: skip


def whole(dataset):
    elements = list(dataset.as_numpy_iterator())
    images = np.concatenate([images for images, _ in elements])
    names = elements[0][1]
    return images, {name: np.concatenate([rows[name] for _, rows in elements]) for name in names}


def test_any_function_of_pictures_and_keys():
    images, labels = whole(batches(lambda images, keys: images + 1))
    np.testing.assert_array_equal(images[:, 0, 0, 0], 20.0 * np.arange(10) + 1)
    np.testing.assert_array_equal(labels["emotion"], EMOTION)
    np.testing.assert_array_equal(labels["valence_arousal"], POINTS)


def test_none_and_the_pipeline_called_none_are_the_same():
    for ours, expected in zip(
        whole(batches(face_pipeline("none"))), whole(batches(None)), strict=True
    ):
        for one, other in zip(keras.tree.flatten(ours), keras.tree.flatten(expected), strict=True):
            np.testing.assert_array_equal(one, other)


@tensorflow_only
@pytest.mark.parametrize("points", [POINTS, None], ids=["both labels", "emotion alone"])
@pytest.mark.parametrize("draw_labels", [False, True])
def test_mixup_mixes_pictures_and_every_label_alike(points, draw_labels):
    data = batches(face_pipeline("none", mixup=1.0), draw_labels=draw_labels, points=points)
    assert data.element_spec[0].shape[1:] == (12, 12, 1)
    images, labels = whole(data)
    # One-hot labels of pictures of one gray level: the shares tell the level, and the point.
    np.testing.assert_allclose(
        images[:, 5, 5, 0], labels["emotion"] @ (20.0 * np.arange(10)), atol=0.01
    )
    if points is not None:
        np.testing.assert_allclose(labels["valence_arousal"], labels["emotion"] @ POINTS, atol=1e-5)
    assert set(labels) == ({"emotion"} if points is None else {"emotion", "valence_arousal"})
    assert (labels["emotion"].max(axis=1) < 0.95).sum() > 3
    # Partners are of the same batch.
    for start in (0, 4, 8):
        rows = labels["emotion"][start : start + 4]
        np.testing.assert_allclose(rows[:, start : start + 4].sum(axis=1), 1, rtol=1e-5)


@tensorflow_only
def test_mixtures_are_functions_of_seed_epoch_and_index():
    pipeline = face_pipeline("strong", cutout=6, mixup=1.0)
    data = batches(pipeline)
    first, second = whole(data)[0], whole(data)[0]
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(whole(batches(pipeline, initial_epoch=1))[0], second)
    assert not np.array_equal(whole(batches(pipeline, seed=1))[0], first)


@tensorflow_only
def test_masks_of_missing_labels_come_as_sample_weights():
    points = POINTS.copy()
    points[::2] = np.nan
    pipeline = FacePipeline(cutout=6, mixup=Mixup(1.0, mask_missing=True))
    _, labels, weights = next(iter(batches(pipeline, points=points)))
    assert np.isfinite(labels["valence_arousal"]).all()
    known = labels["emotion"].numpy() @ np.isfinite(points[:, 0]).astype("float32")
    np.testing.assert_allclose(weights["valence_arousal"], known, atol=1e-5)
    np.testing.assert_allclose(weights["emotion"], 1, rtol=1e-5)
