from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image

from keras_affect.export import to_litert
from keras_affect.export.inputs import check, fit_images, in_front_of, resize_matrix
from tests.export.conftest import SHAPE, Read, smooth_images


def picture(size: tuple[int, int], seed: int = 0) -> np.ndarray:
    """RGB noise over a slope: what aliases, and what doesn't."""
    rng = np.random.default_rng(seed)
    slope = np.linspace(0, 255, size[1])[np.newaxis, :, np.newaxis]
    return np.clip(slope + rng.normal(0, 60, (*size, 3)), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("source", [(24, 24), (31, 67), (200, 120), (10, 13)])
def test_resizes_as_pillow_does(source: tuple[int, int]) -> None:
    gray = picture(source)[..., 0]
    rows, columns = (resize_matrix(old, new) for old, new in zip(source, SHAPE[:2], strict=True))
    found = rows @ gray.astype(np.float32) @ columns.T
    wanted = np.asarray(Image.fromarray(gray).resize((24, 24), Image.Resampling.BILINEAR))
    # Pillow rounds to whole pixels twice.
    assert np.abs(found - wanted).max() < 1.1
    assert np.ptp(wanted.astype(float)) > 60
    if source[0] > 2 * SHAPE[0]:
        # Two pixels read however large the step, as LiteRT's own operator does.
        aliased = np.asarray(keras.ops.image.resize(gray[..., None], SHAPE[:2]))[..., 0]
        assert np.abs(aliased - wanted).max() > 20


def test_rows_sum_to_one() -> None:
    for source, target in ((48, 48), (480, 48), (7, 48), (1, 5), (5, 1)):
        matrix = resize_matrix(source, target)
        np.testing.assert_allclose(matrix.sum(axis=1), 1, rtol=1e-6)
        assert matrix.min() >= 0
    np.testing.assert_array_equal(resize_matrix(6, 6), np.eye(6))


def test_colour_and_size_in_front_of_a_gray_model(tiny: Any) -> None:
    pictures = np.stack([np.rot90(picture((70, 70), turn), turn)[:, :41] for turn in range(4)])
    found = in_front_of(tiny, (70, 41, 3))(pictures.astype(np.float32))
    by_pillow = np.stack(
        [
            np.asarray(one.convert("L").resize((24, 24), Image.Resampling.BILINEAR))
            for one in map(Image.fromarray, pictures)
        ]
    )[..., np.newaxis]
    wanted = tiny(by_pillow.astype(np.float32))
    for name, values in wanted.items():
        assert np.abs(np.asarray(found[name]) - np.asarray(values)).max() < 0.02
        assert np.ptp(np.asarray(values), axis=0).max() > 0.05


def test_gray_in_front_of_a_colour_model() -> None:
    image = keras.Input((6, 5, 3))
    model = keras.Model(image, keras.layers.Flatten()(image), name="colours")
    gray = np.arange(30, dtype=np.float32).reshape(1, 6, 5, 1)
    found = np.asarray(in_front_of(model, (6, 5, 1))(gray)).reshape(1, 6, 5, 3)
    np.testing.assert_array_equal(found, gray.repeat(3, axis=3))
    assert in_front_of(model, (6, 5, 3)) is model


@pytest.mark.usefixtures("convert_here")
def test_int8_of_camera_frames(
    tiny: Any, calibration: np.ndarray, unseen: np.ndarray, expected: Any, tmp_path: Path
) -> None:
    # The pictures are of the model's shape, and are enlarged for the file's.
    report = to_litert(
        tiny, tmp_path / "a.tflite", calibration=calibration, input="rgb", resize_from=(96, 60)
    )
    assert report.input.shape == (1, 96, 60, 3)
    assert (report.input.dtype, report.input.scale, report.input.zero_point) == ("uint8", 1.0, 0)
    assert report.stayed_float == {}
    assert report.largest_error["emotion"] < 0.1
    frames = fit_images(unseen.astype(np.float32), (96, 60, 3))
    outputs = Read((tmp_path / "a.tflite").read_bytes())(np.rint(frames))
    for name, wanted in expected.items():
        # Enlarging and reducing again blurs a little.
        error = np.abs(outputs[name] - wanted)
        assert error.mean() < 0.03
        assert np.abs(np.roll(outputs[name], 1, axis=0) - wanted).mean() > 3 * error.mean()


def test_pictures_of_either_shape_are_taken() -> None:
    gray = smooth_images(3, seed=0).astype(np.float32)
    assert fit_images(gray, SHAPE) is gray
    frames = fit_images(gray, (60, 48, 3))
    assert frames.shape == (3, 60, 48, 3)
    np.testing.assert_array_equal(frames[..., 0], frames[..., 2])
    assert frames.std() == pytest.approx(gray.std(), rel=0.1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((4, 4, 2), "rgb", None), "the model takes neither gray nor RGB pictures, but 2 channels"),
        (((4, 4, 1), None, (8, 5000)), r"integers in \[1, 4096\]. Received: .*\(8, 5000\)"),
        (((4, 4, 1), None, (8, True)), "argument `resize_from`"),
        (((4, 4, 1), ["rgb"], None), r"Received: input=\['rgb'\]"),
    ],
)
def test_arguments_at_fault_are_named(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check(*arguments)


def test_shapes() -> None:
    assert check((48, 48, 1), None, None) == (48, 48, 1)
    assert check((48, 48, 1), "rgb", (100, 80)) == (100, 80, 3)
    assert check((48, 48, 3), "gray", None) == (48, 48, 1)
    assert check((48, 48, 2), None, (9, 9)) == (9, 9, 2)
