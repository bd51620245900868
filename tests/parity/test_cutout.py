"""Cutout beside `tfa.image.random_cutout` and `cutout`, on the same pictures and centres."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

from keras_affect.augmentation import Cutout
from tests.parity import addons

THEIRS = addons.arrays("cutout")
IMAGES = THEIRS["images"]
sizes = pytest.mark.parametrize("size", [2, 4, 6])
# What was drawn, with the border never crossed; and corners, edges and places beside them.
cases = pytest.mark.parametrize(("case", "fill_value"), [("random", 0), ("fixed", 7.5)])


def _apply(size, fill_value, images, centres):
    layer = Cutout(size, fill_value=fill_value, data_format="channels_last")
    return ops.convert_to_numpy(layer.apply(*map(ops.convert_to_tensor, (images, centres))))


@sizes
@cases
def test_the_same_centres_give_the_same_pictures(size, case, fill_value):
    offsets, theirs = (THEIRS[f"{case}/{size}/{part}"] for part in ("offsets", "outputs"))
    np.testing.assert_array_equal(_apply(size, fill_value, IMAGES, offsets), theirs)
    assert len(np.unique(theirs == fill_value, axis=0)) > 4, "the squares should differ"


@sizes
@cases
def test_a_centre_one_off_or_another_fill_is_seen(size, case, fill_value):
    """The negative control."""
    offsets, theirs = (THEIRS[f"{case}/{size}/{part}"] for part in ("offsets", "outputs"))
    for axis in np.eye(2, dtype=np.int32):
        assert (
            (_apply(size, fill_value, IMAGES, offsets + axis) != theirs).any(axis=(1, 2, 3)).all()
        )
    assert (_apply(size, fill_value + 1, IMAGES, offsets) != theirs).any(axis=(1, 2, 3)).all()
    assert (_apply(size + 1, fill_value, IMAGES, offsets) != theirs).any()


@sizes
def test_theirs_keeps_squares_whole_where_ours_lets_them_hang_over(size):
    """What docs/coming-from-tensorflow-addons.md says of the difference."""
    half = size // 2
    height, width = IMAGES.shape[1:3]
    theirs = THEIRS[f"random/{size}/offsets"]
    assert (theirs >= half).all()
    assert (theirs <= np.array([height, width]) - half).all()
    layer = Cutout(size, data_format="channels_last", seed=0)
    ours = ops.convert_to_numpy(layer.draw(keras.KerasTensor((2000, height, width, 1))))
    assert ours.min(axis=0).tolist() == [0, 0]
    assert ours.max(axis=0).tolist() == [height - 1, width - 1]
