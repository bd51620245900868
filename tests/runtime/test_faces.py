from __future__ import annotations

import builtins
import csv
import sys
import threading
import types

import numpy as np
import pytest
from PIL import Image

from keras_affect.runtime import Face, PictureError, faces, find_faces, read_picture

# Where Grace Hopper's eyes and mouth are in the photograph, (x, y), found by eye.
EYES, MOUTH = ((222, 188), (312, 188)), (262, 268)

pytest.importorskip("cv2")


def _overlap(a, b):
    """Intersection over union of two boxes."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    both = max(0, width) * max(0, height)
    area = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b))
    return both / (area - both)


@pytest.fixture(scope="module")
def face(photograph) -> Face:
    found = find_faces(photograph)
    assert len(found) == 1
    return found[0]


def test_the_photograph_has_one_face_where_it_is(face):
    left, top, right, bottom = face.box
    for x, y in (*EYES, MOUTH):
        assert left < x < right
        assert top < y < bottom
    assert 1.8 < face.width / (EYES[1][0] - EYES[0][0]) < 3
    assert abs(face.width - face.height) <= 2


def test_the_crop_is_the_box_widened(face, photograph):
    assert face.crop.mode == "RGB"
    assert face.crop.size[0] == face.crop.size[1] == pytest.approx(1.04 * face.width, abs=2)
    left = round((face.box[0] + face.box[2]) / 2 - face.crop.width / 2)
    top = round((face.box[1] + face.box[3]) / 2 - face.crop.height / 2)
    near = [
        photograph.crop((x, y, x + face.crop.width, y + face.crop.height))
        for x in (left - 1, left, left + 1)
        for y in (top - 1, top, top + 1)
    ]
    assert face.crop in near


@pytest.mark.parametrize("size", [(128, 150), (256, 300), (1024, 1200), (2560, 3000)])
def test_boxes_are_in_the_picture_s_own_pixels(face, photograph, size):
    scale = size[0] / photograph.width
    found = find_faces(photograph.resize(size, Image.Resampling.BICUBIC))
    assert len(found) == 1
    assert _overlap(found[0].box, [edge * scale for edge in face.box]) > 0.75
    assert found[0].crop.width == pytest.approx(face.crop.width * scale, rel=0.12)


def test_boxes_of_a_jpeg_decoded_in_part_are_in_full_size(face, photograph, tmp_path, monkeypatch):
    path = tmp_path / "large.jpg"
    photograph.resize((2048, 2400)).save(path)
    monkeypatch.setattr("keras_affect.runtime.pictures.PIXEL_LIMIT", 1000 * 1200)
    picture = read_picture(path)
    assert picture.size == (2048, 2400)
    assert picture.image.size == (512, 600)
    [found] = find_faces(picture)
    assert _overlap(found.box, [edge * 4 for edge in face.box]) > 0.75
    assert found.crop.width == pytest.approx(face.crop.width, rel=0.12)


def test_several_faces_come_largest_first(photograph):
    scene = Image.new("RGB", (1200, 700), (70, 110, 150))
    for size, place in (((256, 300), (40, 200)), ((512, 600), (600, 60)), ((171, 200), (350, 300))):
        scene.paste(photograph.resize(size), place)
    found = find_faces(scene)
    assert len(found) == 3
    assert [face.width for face in found] == sorted((face.width for face in found), reverse=True)
    assert found[0].box[0] > 600


def test_a_face_that_fills_its_picture_is_found(face):
    found = find_faces(face.crop)
    assert len(found) == 1
    left, top, right, bottom = found[0].box
    assert left >= 0
    assert top >= 0
    assert right <= face.crop.width
    assert bottom <= face.crop.height
    assert found[0].width > 0.8 * face.crop.width


def _gradient():
    return np.add.outer(np.arange(400), np.arange(500)).astype(np.float32) * 255 / 900


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((300, 400), np.uint8),
        np.full((300, 400, 3), 200, np.uint8),
        np.random.default_rng(0).integers(0, 256, (300, 400, 3)).astype(np.uint8),
        _gradient(),
        np.zeros((1, 1), np.uint8),
        np.zeros((2, 3000), np.uint8),
    ],
    ids=["black", "one colour", "noise", "gradient", "one pixel", "a line"],
)
def test_there_is_no_face_in(picture):
    assert find_faces(picture) == ()


def test_there_is_no_face_in_the_photograph_upside_down(photograph):
    assert find_faces(photograph.transpose(Image.Transpose.ROTATE_180)) == ()
    assert find_faces(photograph.crop((0, 340, 512, 600))) == ()


def test_every_form_of_picture_is_taken(face, photograph, photograph_path):
    gray = np.asarray(photograph.convert("L"))
    for form in (photograph_path, photograph_path.read_bytes(), np.asarray(photograph)):
        assert find_faces(form) == (face,)
    for form in (gray, gray[..., None], gray.astype(np.float32)):
        assert find_faces(form) == (face,)
    with pytest.raises(PictureError, match=r"not a picture"):
        find_faces(b"some text, no picture")
    with pytest.raises(ValueError, match=r"Expected one picture"):
        find_faces(np.zeros((2, 48, 48, 1), np.uint8))


def test_threads_do_not_share_a_classifier(face, photograph):
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(find_faces(photograph))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [(face,)] * 4


@pytest.fixture
def cascade_forgotten():
    faces._cascade_path.cache_clear()
    yield
    faces._cascade_path.cache_clear()


@pytest.mark.usefixtures("cascade_forgotten")
def test_without_opencv_the_extra_is_named(monkeypatch):
    imported = builtins.__import__

    def without_cv2(name, *arguments, **options):
        if name == "cv2":
            raise ImportError("No module named 'cv2'")
        return imported(name, *arguments, **options)

    monkeypatch.delitem(sys.modules, "cv2")
    monkeypatch.setattr(builtins, "__import__", without_cv2)
    with pytest.raises(ImportError, match=r'cv2.*pip install "keras-affect\[faces\]"'):
        find_faces(np.zeros((100, 100), np.uint8))


@pytest.mark.usefixtures("cascade_forgotten")
@pytest.mark.parametrize("contents", [{}, {"data": types.SimpleNamespace(haarcascades="/none/")}])
def test_opencv_without_cascades_is_named(monkeypatch, contents):
    """OpenCV 5 is so."""
    module = types.ModuleType("cv2")
    vars(module).update(contents, __version__="5.0.0")
    monkeypatch.setitem(sys.modules, "cv2", module)
    with pytest.raises(ImportError, match=r"OpenCV 5\.0\.0 ships no Haar cascades: pip install"):
        faces.check_available()


def test_the_crop_is_as_wide_as_ferplus_s(ferplus_root):
    """The measurement behind `CROP_SCALE`, on fewer pictures."""
    folder = ferplus_root / "FER2013Valid"
    with (folder / "label.csv").open(newline="") as file:
        names = [row[0] for row in csv.reader(file)][:: 3579 // 120]
    widths, centres = [], []
    for name in names:
        pixels = np.pad(np.asarray(Image.open(folder / name)), 24, mode="edge")
        enlarged = Image.fromarray(pixels).resize((192, 192), Image.Resampling.BICUBIC)
        found = find_faces(enlarged)
        if found:
            box = np.array(found[0].box) / 2 - 24
            widths.append(found[0].crop.width / 2 / 48)
            centres.append(((box[0] + box[2]) / 2 - 24, (box[1] + box[3]) / 2 - 24))
    assert len(widths) > 0.65 * len(names)
    assert np.median(widths) == pytest.approx(1, abs=0.03)
    assert abs(np.median(centres, axis=0)).max() < 1
