import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from tests.examples.running import refused, run_example

NAME = "07_augmentation.py"


def figures(path):
    """The page's rows: what stands above each, and its pictures."""
    text = path.read_text(encoding="utf-8")
    found = {}
    for figure in re.findall(r"<figure>(.*?)</figure>", text, re.DOTALL):
        caption = re.search(r"<figcaption>(?:<code>(.*?)</code>)?(.*?)</figcaption>", figure)
        images = []
        for data in re.findall(r"base64,([^\"]+)", figure):
            with Image.open(io.BytesIO(base64.b64decode(data))) as image:
                images.append(np.asarray(image, np.float32))
        found[caption[1] or caption[2]] = np.stack(images)
    return found, text


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "page.html"
    run_example(NAME, "--out", path)
    return path


def test_each_row_shows_its_own_change_in_every_draw(page):
    rows, text = figures(page)
    (original,) = rows.pop("As it is")
    assert original.std() > 30
    assert len(rows) == 16
    for code, images in rows.items():
        assert images.shape == (8, 48, 48), code
        changed = (np.abs(images - original) > 2).mean(axis=(1, 2))
        assert changed.max() > 0.05, code
        kinds = len({image.tobytes() for image in images})
        if "flip" in code:  # a face is mirrored or not
            assert kinds == 2
        else:  # mixup's share may be all of the photograph
            assert kinds >= (6 if code.startswith("Mixup") else 8), code
    for setting in ("flip", "rotation", "scale", "shift", "contrast", "brightness", "noise"):
        assert any(setting in code for code in rows)
    assert [code for code in rows if code.startswith("Mixup")] == [
        "Mixup(0.2)(images, labels)",
        "Mixup(1.0)(images, labels)",
    ]
    assert len(re.findall(r"photograph \d\.\d\d", text.split("<br>")[-1])) == 8
    # One file: nothing is fetched when it is looked at.
    assert not re.search(r"(src|href)=\"(?!data:)", text)


def test_a_picture_of_one_s_own(tmp_path):
    gray = Image.fromarray(np.tile(np.arange(100, dtype=np.uint8) * 2, (60, 1)))
    gray.save(tmp_path / "face.png")
    run_example(NAME, "--picture", tmp_path / "face.png", "--out", tmp_path / "a.html")
    (original,) = figures(tmp_path / "a.html")[0]["As it is"]
    # The square in the middle: columns 20 to 79.
    assert original[:, 0].max() < 44
    assert original[:, -1].min() > 154
    run_example(
        NAME, "--picture", tmp_path / "face.png", "--out", tmp_path / "a.html", "--overwrite",
        "--seed", 1,
    )  # fmt: skip


def test_a_picture_is_read_as_the_package_reads_it(tmp_path):
    """Upright, and of 16 bits the upper eight."""
    rows = np.repeat(np.arange(60, dtype=np.uint16) * 256 * 4, 60).reshape(60, 60)
    Image.fromarray(rows).save(tmp_path / "deep.png")
    upright = Image.fromarray((rows >> 8).astype(np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = upright.transpose(Image.Transpose.ROTATE_90)
    turned.save(tmp_path / "turned.png", exif=exif)
    for name in ("deep", "turned"):
        run_example(NAME, "--picture", tmp_path / f"{name}.png", "--out", tmp_path / f"{name}.html")
        (original,) = figures(tmp_path / f"{name}.html")[0]["As it is"]
        assert original[0].max() < 10
        assert original[-1].min() > 226


def test_refusals(page, capsys, tmp_path):
    assert "is there already; --overwrite replaces it" in refused(capsys, NAME, "--out", page)
    out = tmp_path / "page.html"
    assert "no.png: no such file" in refused(
        capsys, NAME, "--picture", tmp_path / "no.png", "--out", out
    )
    (tmp_path / "text.png").write_text("text")
    assert "text.png: not a picture" in refused(
        capsys, NAME, "--picture", tmp_path / "text.png", "--out", out
    )
    assert "--seed must be 0 or more" in refused(capsys, NAME, "--seed", -1, "--out", out)
    assert "is no folder" in refused(capsys, NAME, "--out", tmp_path / "none" / "page.html")
    assert not out.exists()
