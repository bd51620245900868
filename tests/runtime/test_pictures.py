from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from keras_affect.runtime import Picture, PictureError, read_picture
from keras_affect.runtime.pictures import read_pictures
from tests.runtime import tiny_models


def _bytes(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _scene(width=64, height=40):
    """RGB with another colour in each corner, so that no turn or mirror looks like another."""
    y, x = np.mgrid[0:height, 0:width]
    red, green = 255 * x / (width - 1), 255 * y / (height - 1)
    return Image.fromarray(np.rint(np.dstack([red, green, 255 - red])).astype(np.uint8))


def _pixels(source):
    return np.asarray(read_picture(source).image)


# === Formats


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM", "GIF", "WEBP", "JPEG", "JPEG2000"])
def test_formats(kind):
    lossless = {"WEBP": {"lossless": True}, "JPEG": {"quality": 95}}.get(kind, {})
    picture = read_picture(_bytes(_scene(), kind, **lossless))
    assert picture.size == picture.image.size == (64, 40)
    assert picture.image.mode == "RGB"
    error = abs(np.asarray(picture.image).astype(int) - np.asarray(_scene()))
    assert error.mean() < {"GIF": 8, "JPEG": 4, "JPEG2000": 4}.get(kind, 0.001)


def test_avif_where_pillow_has_it():
    Image.init()
    if "AVIF" not in Image.SAVE:
        pytest.skip("this Pillow was built without AVIF")
    error = abs(_pixels(_bytes(_scene(), "AVIF", quality=90)).astype(int) - np.asarray(_scene()))
    assert error.mean() < 6


def test_the_first_bytes_tell_the_format_not_the_name(tmp_path):
    path = tmp_path / "really_a_png.jpg"
    path.write_bytes(_bytes(_scene(), "PNG"))
    np.testing.assert_array_equal(_pixels(path), np.asarray(_scene()))
    assert read_picture(path).name == str(path)


def test_gray_is_luma_of_itu_r_601():
    image = _scene()
    red, green, blue = np.moveaxis(np.asarray(image, np.float64), -1, 0)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    # The model's gray, through the one function that makes it.
    from keras_affect.runtime.crops import fit

    assert abs(fit(read_picture(image).image, 40, 64, 1)[..., 0] - luma).max() <= 0.51


# === What a picture can be


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone(orientation):
    upright = _scene()
    # How a camera would have stored it, by the standard's own words: row 0, column 0.
    turns = {
        1: (),
        2: (Image.Transpose.FLIP_LEFT_RIGHT,),
        3: (Image.Transpose.ROTATE_180,),
        4: (Image.Transpose.FLIP_TOP_BOTTOM,),
        5: (Image.Transpose.TRANSPOSE,),
        6: (Image.Transpose.ROTATE_90,),
        7: (Image.Transpose.TRANSVERSE,),
        8: (Image.Transpose.ROTATE_270,),
    }[orientation]
    stored = upright
    for turn in turns:
        stored = stored.transpose(turn)
    exif = Image.Exif()
    exif[0x0112] = orientation
    expected = np.asarray(upright)
    for kind in ("PNG", "WEBP", "TIFF"):
        content = _bytes(stored, kind, exif=exif, **({"lossless": True} if kind == "WEBP" else {}))
        picture = read_picture(content)
        assert picture.size == picture.image.size == (64, 40), kind
        np.testing.assert_array_equal(np.asarray(picture.image), expected, kind)
    content = _bytes(stored, "JPEG", exif=exif, quality=95)
    assert abs(_pixels(content).astype(int) - expected).mean() < 4
    assert abs(_pixels(Image.open(io.BytesIO(content))).astype(int) - expected).mean() < 4


@pytest.mark.parametrize("exif", [b"Exif\x00\x00" + b"\xff" * 40, b"Exif\x00\x00MM\x00*\x00\x00"])
def test_a_broken_exif_leaves_the_picture_as_stored(exif):
    content = _bytes(_scene(), "JPEG", exif=exif)
    assert read_picture(content).size == (64, 40)


def test_transparent_parts_lie_on_white():
    rgba = np.zeros((4, 4, 4), np.uint8)
    rgba[:, 0] = (200, 100, 0, 255)
    rgba[:, 1] = (200, 100, 0, 0)
    rgba[:, 2] = (0, 0, 0, 128)
    expected = [[200, 100, 0], [255, 255, 255], [127, 127, 127], [255, 255, 255]]
    for source in (rgba, Image.fromarray(rgba), _bytes(Image.fromarray(rgba), "PNG")):
        assert _pixels(source)[0].tolist() == expected
    for mode in ("RGBa", "LA", "La"):
        image = Image.fromarray(rgba)
        image = image.convert("LA").convert("La") if mode == "La" else image.convert(mode)
        assert _pixels(image)[0, 1].tolist() == [255, 255, 255], mode
    palette = Image.new("P", (2, 1), 3)
    palette.putpalette([9, 9, 9] * 4)
    palette.putpixel((1, 0), 1)
    content = _bytes(palette, "PNG", transparency=3)
    assert _pixels(content)[0].tolist() == [[255, 255, 255], [9, 9, 9]]
    gray = _bytes(Image.fromarray(np.array([[7, 80]], np.uint8)), "PNG", transparency=7)
    assert _pixels(gray)[0].tolist() == [[255] * 3, [80] * 3]


def test_16_bits_keep_the_upper_eight():
    values = np.array([[0, 255, 256, 0x80FF, 0xFFFF]], np.uint16)
    for kind in ("PNG", "TIFF", "PPM"):
        assert _pixels(_bytes(Image.fromarray(values), kind)).tolist() == [[0, 0, 1, 128, 255]]
    big_endian = Image.frombytes("I;16B", (5, 1), values.astype(">u2").tobytes())
    assert _pixels(big_endian).tolist() == [[0, 0, 1, 128, 255]]
    dark = _bytes(Image.fromarray(values[:, :2]), "PPM")  # nothing in it is beyond 8 bits
    assert _pixels(dark).tolist() == [[0, 0]]
    ten_bits = b"P5\n3 1\n1023\n" + np.array([0, 512, 1023], ">u2").tobytes()
    assert _pixels(ten_bits).tolist() == [[0, 128, 255]]


def test_16_bit_colour():
    rows = b"".join(
        b"\x00" + struct.pack(">3H", value, 0x8080, 0xFFFF - value) for value in (0, 0xABCD)
    )
    content = _png(1, 2, 16, 2, rows)
    assert _pixels(content).tolist() == [[[0, 128, 255]], [[0xAB, 128, 0x54]]]


@pytest.mark.parametrize("mode", ["I", "F"])
def test_32_bits_are_read_where_their_range_is_known(mode):
    values = np.array([[0, 100, 255]], {"I": np.int32, "F": np.float32}[mode])
    np.testing.assert_array_equal(_pixels(_bytes(Image.fromarray(values), "TIFF")), values)
    with pytest.raises(PictureError, match=r"the bytes given: .*pixels in \[0, 255\]"):
        read_picture(_bytes(Image.fromarray(values * 300), "TIFF"))


def test_float_tiff_scaled_to_one_is_refused():
    with pytest.raises(PictureError, match=r"look scaled to \[0, 1\]"):
        read_picture(_bytes(Image.fromarray(np.array([[0, 0.5]], np.float32)), "TIFF"))


def test_cmyk():
    cmyk = _scene().convert("CMYK")
    for content in (_bytes(cmyk, "JPEG", quality=95), _bytes(cmyk, "TIFF")):
        error = abs(_pixels(content).astype(int) - np.asarray(_scene()))
        assert error.mean() < 4


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK", "YCbCr", "HSV", "LAB"])
def test_other_modes_become_gray_or_rgb(mode):
    image = Image.new("RGB", (6, 4), (255, 255, 255))
    image = Image.new(mode, (6, 4), (255, 128, 128)) if mode == "LAB" else image.convert(mode)
    picture = read_picture(image)
    assert picture.image.mode == ("L" if mode in ("1", "L") else "RGB")
    assert np.asarray(picture.image).min() >= 250


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_an_animation_the_first_frame_is_read(kind):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    content = _bytes(frames[0], kind, save_all=True, append_images=frames[1:])
    assert np.ptp(_pixels(content).reshape(-1, 3), axis=0).max() == 0
    assert _pixels(content)[0, 0].tolist() == pytest.approx([255, 0, 0], abs=3)


def test_a_picture_given_is_not_changed():
    image = _scene().convert("RGBA")
    exif = Image.Exif()
    exif[0x0112] = 6
    image.info["exif"] = exif.tobytes()
    before = image.copy()
    read_picture(image)
    assert image == before
    array = tiny_models.faces(1)[0]
    read_picture(array)
    np.testing.assert_array_equal(array, tiny_models.faces(1)[0])


# === What is refused, and how


def _png(width, height, depth, colour, rows):
    def chunk(kind, content):
        check = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


PNG, JPEG = _bytes(_scene(), "PNG"), _bytes(_scene(), "JPEG")
BAD = {
    "empty": (b"", "empty, 0 bytes"),
    "text": (b"This is a letter, and no picture.\n" * 20, "not a picture"),
    "cut PNG": (PNG[: len(PNG) // 2], "a broken picture"),
    "cut JPEG": (JPEG[: len(JPEG) // 2], "a broken picture"),
    "JPEG header": (JPEG[:20], "a broken picture"),
    "PNG signature": (PNG[:8], "a broken picture"),
    "damaged PNG": (PNG[:60] + bytes(40) + PNG[100:], "a broken picture"),
    "30000 x 30000 PNG": (_png(30000, 30000, 8, 0, b""), "900000000 pixels, more than the 67,"),
    "12000 x 12000 PNG": (_png(12000, 12000, 8, 0, b""), "12000 x 12000 pixels, more than"),
    "EPS": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture"),
    "SVG": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a picture"),
    "HEIC": (b"\x00\x00\x00\x18ftypheic" + bytes(40), "HEIC, which Pillow does not read"),
    "GIF header": (b"GIF89a", "a broken picture"),
    "TIFF header": (b"II*\x00\x08\x00\x00\x00", "a broken picture"),
    "WebP header": (b"RIFF\x20\x00\x00\x00WEBPVP8 " + bytes(20), "a broken picture"),
}


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_named_in_one_line(case, tmp_path):
    content, reason = BAD[case]
    path = tmp_path / "photo.jpg"
    path.write_bytes(content)
    with pytest.raises(PictureError, match=reason) as caught:
        read_picture(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
    with pytest.raises(PictureError, match=reason) as caught:
        read_picture(content)
    assert str(caught.value).startswith("the bytes given: ")


def test_a_large_picture_below_the_limit_is_read():
    side = 6000
    content = _png(side, side, 1, 0, (b"\x00" + b"\xff" * (side // 8)) * side)
    assert read_picture(content).size == (side, side)


def test_a_bad_path_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.jpg: no such file"):
        read_picture(tmp_path / "nowhere.jpg")
    with pytest.raises(IsADirectoryError, match=r": a folder; expected a picture"):
        read_picture(tmp_path)
    with pytest.raises(ValueError, match=r"Expected a path, bytes, .* Received: NoneType"):
        read_picture(None)
    with pytest.raises(ValueError, match=r"Expected one picture.* shape \(2, 48, 48, 1\)"):
        read_picture(tiny_models.faces(2))


def test_a_lazily_opened_image_that_breaks_is_named():
    image = Image.open(io.BytesIO(PNG[: len(PNG) // 2]))
    with pytest.raises(PictureError, match=r"my picture: a broken picture"):
        read_picture(image, "my picture")


_START = [PNG[:40], JPEG[:40], b"GIF89a", b"II*\x00", b"MM\x00*", b"BM", b"P6 9 9 255 ", b"P1 "]
_START += [b"RIFF\xff\x00\x00\x00WEBPVP8L", b"\x00\x00\x00\x20ftypavif", b"\xff\x4f\xff\x51", b""]


def _is_read_or_refused(content):
    problem = "fuzz: "
    try:
        picture = read_picture(content, "fuzz")
    except PictureError as error:
        problem = str(error)
    else:
        assert picture.image.mode in ("L", "RGB", "F")
        assert picture.size == picture.image.size
    assert problem.startswith("fuzz: ")
    assert "\n" not in problem


# Pillow warns of much in broken files, and goes on.
@pytest.mark.filterwarnings("ignore")
@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(_START), st.binary(max_size=200))
@example(b"", b"\x00")
def test_any_bytes_are_read_or_refused_by_name(start, rest):
    _is_read_or_refused(start + rest)


_WHOLE = [
    _bytes(_scene(16, 12), kind)
    for kind in ("PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP", "PPM", "JPEG2000")
] + [_bytes(_scene(16, 12), "JPEG", progressive=True, exif=b"Exif\x00\x00MM\x00*\x00\x00\x00\x08")]


@pytest.mark.filterwarnings("ignore")
@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_any_damage_to_a_picture_is_read_or_refused_by_name(data):
    content = bytearray(data.draw(st.sampled_from(_WHOLE)))
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] = data.draw(st.integers(0, 255))
    _is_read_or_refused(bytes(content[: data.draw(st.integers(0, len(content)))]))


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_every_truncation_is_refused(kind):
    content = {"PNG": PNG, "JPEG": JPEG}[kind]
    # Behind the pixels stands an end marker that a reader can do without.
    last = content.index(b"IEND") - 8 if kind == "PNG" else len(content) - 40
    for length in range(0, last, 7):
        with pytest.raises(PictureError):
            read_picture(content[:length])
    read_picture(content)


# === One or many


def test_pictures_are_read_when_their_turn_comes():
    opened = []

    def sources():
        for place in range(3):
            opened.append(place)
            yield tiny_models.faces(1, seed=place)[0]

    pictures, is_one = read_pictures(sources())
    assert not is_one
    assert opened == []
    next(pictures)
    assert opened == [0]


def test_a_picture_read_before_comes_back():
    picture = read_picture(PNG)
    assert isinstance(picture, Picture)
    assert read_picture(picture) is picture
    pictures, is_one = read_pictures(picture)
    assert is_one
    assert next(pictures) is picture


def test_almost_black_pictures_in_a_batch_are_not_taken_for_scaled_ones():
    images = np.stack([np.full((8, 8), value, np.float32) for value in (1.0, 200.0)])
    pictures, _ = read_pictures(images)
    assert [picture.image.getextrema() for picture in pictures] == [(1, 1), (200, 200)]
