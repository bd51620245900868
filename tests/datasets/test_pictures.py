"""Whoever reads a picture file, to train, to calibrate or to answer, sees the same pixels."""

import numpy as np
import pytest
from PIL import Image

from keras_affect.datasets.picture_files import decode
from keras_affect.datasets.pictures import FolderPictures
from keras_affect.export import calibration
from keras_affect.runtime.crops import fit
from keras_affect.runtime.pictures import read_picture

GRAY = np.random.default_rng(0).integers(0, 256, (48, 48), np.uint8)


def readers(path):
    """What each reader makes of a 48x48 gray picture, `(48, 48, 1)`."""
    table = path.parent / "label.csv"
    return {
        "decode": decode(str(path), "row 1", 48, 1, None),
        "decode, a box": decode(str(path), "row 1", 48, 1, (0, 0, 48, 48)),
        "FolderPictures": FolderPictures(table, [1], [path.name], [None]).read(0)[..., None],
        "calibration": calibration.from_folder(path.parent, (48, 48, 1))[0],
        "runtime": fit(read_picture(path).image, 48, 48, 1),
    }


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_of_sixteen_bits_the_upper_eight_are_read(tmp_path, suffix):
    noise = np.random.default_rng(1).integers(0, 256, GRAY.shape, np.uint16)
    path = tmp_path / f"deep{suffix}"
    Image.fromarray(GRAY.astype(np.uint16) * 256 + noise).save(path)
    for reader, pixels in readers(path).items():
        np.testing.assert_array_equal(pixels[..., 0], GRAY, err_msg=reader)


def test_what_is_transparent_lies_on_white(tmp_path):
    path = tmp_path / "cut_out.png"
    alpha = np.where(np.arange(48) < 24, 255, 0).astype(np.uint8) * np.ones((48, 1), np.uint8)
    Image.merge("LA", [Image.fromarray(GRAY), Image.fromarray(alpha)]).save(path)
    for reader, pixels in readers(path).items():
        np.testing.assert_array_equal(pixels[:, :24, 0], GRAY[:, :24], err_msg=reader)
        np.testing.assert_array_equal(pixels[:, 24:, 0], 255, err_msg=reader)


def test_colours_become_the_same_gray_at_another_size(tmp_path):
    colours = np.random.default_rng(2).integers(0, 256, (96, 96, 3), np.uint8)
    path = tmp_path / "colours.png"
    Image.fromarray(colours).save(path)
    np.testing.assert_array_equal(
        decode(str(path), "row 1", 48, 1, None), fit(read_picture(path).image, 48, 48, 1)
    )


def test_floats_outside_the_range_of_pixels_are_refused(tmp_path):
    path = tmp_path / "floats.tiff"
    Image.fromarray(np.full((48, 48), 300.0, np.float32)).save(path)
    with pytest.raises(ValueError, match=r"row 7: picture .*floats\.tiff can't be decoded"):
        decode(str(path), "row 7", 48, 1, None)
    with pytest.raises(ValueError, match=r"floats\.tiff: not a readable picture"):
        calibration.from_folder(tmp_path, (48, 48, 1))
