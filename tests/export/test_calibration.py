from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from keras_affect.export.calibration import (
    MINIMUM,
    check_images,
    from_ferplus,
    from_folder,
    with_extremes,
)

SHAPE = (6, 4, 1)


def images(dtype: Any = np.uint8, count: int = 10) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, *SHAPE)).astype(dtype)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32, np.float64])
def test_raw_pixels_of_any_type_pass_unchanged(dtype: Any) -> None:
    checked = check_images(images(dtype), "calibration", SHAPE, MINIMUM)
    assert checked.dtype == np.float32
    np.testing.assert_array_equal(checked, images())


def test_dark_bytes_are_not_taken_for_scaled_pixels() -> None:
    dark = np.ones((10, *SHAPE), np.uint8)
    np.testing.assert_array_equal(check_images(dark, "calibration", SHAPE), dark)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (images(np.float32) / 255, r"scaled to \[0, 1\]"),
        (images(np.float32) / 127.5 - 1, "pixels from -1 to 1"),
        (images(np.float32) * 2, "pixels from 0 to 510"),
        (np.where(images() == 7, np.nan, images()), "pixels from nan to nan"),
        (images()[:3], "3 images; at least 8 are needed"),
        (images()[0], r"shape \(6, 4, 1\)"),
        (np.repeat(images(), 3, axis=-1), r"shape \(10, 6, 4, 3\)"),
        (images().transpose(0, 2, 1, 3), r"shape \(10, 4, 6, 1\)"),
        ("faces.png", "calibration=str, not an array"),
        (object(), "calibration=object, not an array"),
    ],
)
def test_what_is_not_raw_pixels_is_refused(wrong: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        check_images(wrong, "calibration", SHAPE, MINIMUM)
    assert str(caught.value).startswith(
        "Invalid value for argument `calibration`. Expected raw pixels in [0, 255] of shape "
        "(images, 6, 4, 1). Received:"
    )


def test_extremes_stand_behind_the_images() -> None:
    given = images(np.float32)
    joined = with_extremes(given)
    np.testing.assert_array_equal(joined[:-2], given)
    assert np.unique(joined[-2]) == 0
    assert np.unique(joined[-1]) == 255


def test_a_folder_is_read_at_the_models_size(tmp_path: Path) -> None:
    Image.new("RGB", (40, 20), (255, 0, 0)).save(tmp_path / "b.png")
    Image.new("L", (9, 30), 200).save(tmp_path / "a.jpg")
    (tmp_path / "notes.txt").write_text("no picture")
    gray = from_folder(tmp_path, (6, 4, 1))
    assert gray.shape == (2, 6, 4, 1)
    assert abs(int(gray[0, 3, 2, 0]) - 200) <= 1, "by name: a.jpg first"
    rgb = from_folder(tmp_path, (6, 4, 3))
    np.testing.assert_array_equal(rgb[1], np.broadcast_to([255, 0, 0], (6, 4, 3)))


def test_folders_of_classes_are_read_and_of_many_pictures_some(tmp_path: Path) -> None:
    for level in range(12):
        folder = tmp_path / ("calm" if level % 2 else "tense") / "more"
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("L", (6, 6), 20 * level).save(folder / f"{level:02}.PNG")
    (tmp_path / ".checkpoints").mkdir()
    Image.new("L", (6, 6), 255).save(tmp_path / ".checkpoints" / "copy.png")
    every = from_folder(tmp_path, (6, 6, 1))[:, 0, 0, 0]
    assert every.tolist() == [*range(20, 240, 40), *range(0, 240, 40)], "calm, then tense"
    some = from_folder(tmp_path, (6, 6, 1), count=5)[:, 0, 0, 0].tolist()
    assert len(set(some)) == 5
    assert [level for level in every if level in some] == some, "in the same order"
    assert from_folder(tmp_path, (6, 6, 1), count=5)[:, 0, 0, 0].tolist() == some
    other = from_folder(tmp_path, (6, 6, 1), count=5, seed=1)[:, 0, 0, 0].tolist()
    assert other != some


def test_proportions_are_kept(tmp_path: Path) -> None:
    # White bars left and right of a black square: cut away, not squeezed in.
    wide = np.full((8, 24), 255, np.uint8)
    wide[:, 8:16] = 0
    Image.fromarray(wide).save(tmp_path / "wide.png")
    assert from_folder(tmp_path, (8, 8, 1)).max() == 0


def test_folders_at_fault_are_named(tmp_path: Path) -> None:
    with pytest.raises(NotADirectoryError, match="missing: no such folder"):
        from_folder(tmp_path / "missing", SHAPE)
    with pytest.raises(ValueError, match="holds no picture"):
        from_folder(tmp_path, SHAPE)
    (tmp_path / "text.jpg").write_text("not a picture")
    with pytest.raises(ValueError, match=r"text\.jpg: not a readable picture"):
        from_folder(tmp_path, SHAPE)
    with pytest.raises(ValueError, match=r"1 or 3 channels. Received: shape=\(6, 4, 2\)"):
        from_folder(tmp_path, (6, 4, 2))


def test_ferplus_is_drawn_by_seed(tmp_path: Path) -> None:
    folder = tmp_path / "FER2013Train"
    folder.mkdir()
    rows = []
    for i in range(12):
        Image.new("L", (48, 48), i).save(folder / f"{i}.png")
        rows.append(f'{i}.png,"(0, 0, 48, 48)",10,0,0,0,0,0,0,0,0,0\n')
    (folder / "label.csv").write_text("".join(rows))
    drawn = from_ferplus(tmp_path, count=5, seed=3)
    assert drawn.shape == (5, 48, 48, 1)
    assert drawn.dtype == np.uint8
    assert len(np.unique(drawn)) == 5, "no picture twice"
    np.testing.assert_array_equal(drawn, from_ferplus(tmp_path, count=5, seed=3))
    assert not np.array_equal(drawn, from_ferplus(tmp_path, count=5, seed=4))
    assert len(from_ferplus(tmp_path, count=50)) == 12
