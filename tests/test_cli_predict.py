"""`keras-affect predict`, through `cli.main`, as the shell runs it."""

from __future__ import annotations

import io
import json
import re
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import Image

from keras_affect import cli, emotions
from keras_affect.runtime import AffectInterpreter, faces
from tests.runtime import big_jpegs, tiny_models
from tests.runtime.conftest import photograph, photograph_path  # noqa: F401


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "affect.tflite"
    path.write_bytes(tiny_models.described(tiny_models.flatbuffer(int8=True)))
    return path


@pytest.fixture
def run(model, monkeypatch, capfd, tmp_path):
    """Run the command in an empty folder: (exit code, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KERAS_AFFECT_TRACEBACK", raising=False)
    monkeypatch.setenv("COLUMNS", "120")

    def run(*arguments, with_model=True):
        given = [str(argument) for argument in arguments]
        given += ["--model", str(model)] if with_model else []
        monkeypatch.setattr(sys, "argv", ["keras-affect", "predict", *given])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capfd.readouterr()
        return ended.value.code or 0, out, err

    return run


def _bytes(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


# === What is printed


def test_table(run, model, photograph_path):  # noqa: F811
    code, out, err = run(photograph_path)
    assert (code, err) == (0, "")
    [expected] = AffectInterpreter(model).predict_faces(photograph_path)
    assert f"{photograph_path}, 512 x 600" in out
    for heading in ("face at x, y", "emotion", "probability", "valence", "arousal"):
        assert heading in out
    [row] = [line for line in out.splitlines() if expected.emotion in line]
    cells = [cell.strip() for cell in row.strip("│").split("│")]
    left, top, _, _ = expected.face.box
    assert cells == [
        f"{left}, {top}",
        f"{expected.face.width} x {expected.face.height}",
        expected.emotion,
        f"{expected.probability:.1%}",
        f"{expected.valence:+.2f}",
        f"{expected.arousal:+.2f}",
    ]


def test_json_alone_on_standard_output(run, model, photograph_path):  # noqa: F811
    code, out, err = run(photograph_path, "--json")
    assert (code, err) == (0, "")
    [expected] = AffectInterpreter(model).predict_faces(photograph_path)
    assert json.loads(out) == {
        "model": str(model),
        "face_detection": "opencv",
        "photos": [
            {
                "photo": str(photograph_path),
                "width": 512,
                "height": 600,
                "faces": [expected.as_dict()],
                "problem": None,
            }
        ],
    }


def test_no_faces_takes_the_picture_as_one(run, model, photograph_path):  # noqa: F811
    code, out, err = run(photograph_path, "--json", "--no-faces")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found["face_detection"] is None
    assert found["photos"][0]["faces"] == [
        AffectInterpreter(model).predict(photograph_path).as_dict()
    ]
    code, out, _ = run(photograph_path, "--no-faces")
    assert "whole picture" in out


def test_without_opencv_it_is_said_and_the_picture_is_one_face(
    run,
    monkeypatch,
    photograph_path,  # noqa: F811
):
    def missing():
        raise ImportError('finding faces needs OpenCV: pip install "keras-affect[faces]"')

    monkeypatch.setattr(faces, "check_available", missing)
    code, out, err = run(photograph_path, "--json")
    assert code == 0
    assert json.loads(out)["photos"][0]["faces"][0]["box"] is None
    assert err == (
        'keras-affect: finding faces needs OpenCV: pip install "keras-affect[faces]". '
        "Each picture is taken as one face.\n"
    )
    # Asked for by name, faces can't be done without.
    code, out, err = run(photograph_path, "--faces")
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert "keras-affect[faces]" in err
    code, _, err = run(photograph_path, "--no-faces")
    assert (code, err) == (0, "")


def test_says_when_it_is_uncertain(run, model, photograph_path):  # noqa: F811
    code, printed, _ = run(photograph_path, "--model", model, "--json", "--uncertain-below", 1)
    assert code == 0
    faces = json.loads(printed)["photos"][0]["faces"]
    assert faces
    assert {face["emotion"] for face in faces} == {"uncertain"}
    assert all(0 < face["probability"] < 1 for face in faces)
    code, _, notes = run(photograph_path, "--model", model, "--uncertain-below", 2)
    assert code == 2
    assert "argument `uncertain_below`" in notes


def test_help_has_an_example_and_the_limits(run):
    code, out, _ = run("--help", with_model=False)
    assert code == 0
    text = " ".join(out.split())
    assert "keras-affect predict photo.jpg --annotate annotated.png" in text
    assert text.count("Reads an expression, not a feeling") == 1
    assert text.count("Article 5(1)(f) of the AI Act") == 1
    assert "at work and in education" in text


# === Bad pictures: the right answer, or one clear line and exit code 2


def _png_of_size(width, height):
    def chunk(kind, content):
        check = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


NOISE = np.random.default_rng(0).integers(0, 256, (200, 200, 3)).astype(np.uint8)
BAD = {
    "text.jpg": (b"This is a letter, and no picture.\n" * 9, "not a picture"),
    "truncated.png": (_bytes(Image.fromarray(NOISE))[:60000], "a broken picture"),
    "truncated.jpg": (_bytes(Image.fromarray(NOISE), "JPEG")[:9000], "a broken picture"),
    "empty.jpg": (b"", "empty, 0 bytes"),
    "huge.png": (_png_of_size(30000, 30000), "900000000 pixels, more than"),
    "large.png": (_png_of_size(10000, 10000), "10000 x 10000 pixels, more than"),
    "progressive.jpg": (
        big_jpegs.stated(30000, 30000, progressive=True),
        "30000 x 30000 pixels, more than",
    ),
    "noise.png": (_bytes(Image.fromarray(NOISE)), "no face found"),
    "flat.jpg": (big_jpegs.flat(30000, 30000), "no face found"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_picture_is_one_line_and_exit_code_2(run, tmp_path, name):
    content, reason = BAD[name]
    (tmp_path / name).write_bytes(content)
    code, out, err = run(name)
    assert (code, out) == (2, "")
    assert re.fullmatch(rf"keras-affect: {re.escape(name)}: {reason}[^\n]*\n", err), err


def test_a_path_that_is_no_file_is_one_line(run, tmp_path):
    (tmp_path / "folder").mkdir()
    assert run("nowhere.jpg") == (2, "", "keras-affect: nowhere.jpg: no such file\n")
    assert run("folder") == (2, "", "keras-affect: folder: a folder; expected a picture\n")


def test_what_only_looks_bad_is_read(run, photograph, tmp_path):  # noqa: F811
    """CMYK, 16 bits, alpha, a turned camera, a wrong suffix: the face is found in each."""
    gray = np.asarray(photograph.convert("L"))
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = photograph.transpose(Image.Transpose.ROTATE_90)
    alpha = photograph.copy()
    alpha.putalpha(255)
    animated = {"save_all": True, "append_images": [photograph.transpose(1)]}
    pictures = {
        "cmyk.jpg": _bytes(photograph.convert("CMYK"), "JPEG", quality=95),
        "16bit.png": _bytes(Image.fromarray(gray.astype(np.uint16) * 257)),
        "alpha.png": _bytes(alpha),
        "turned.jpg": _bytes(turned, "JPEG", quality=95, exif=exif),
        "png_in_truth.jpg": _bytes(photograph),
        "palette.gif": _bytes(photograph, "GIF", **animated),
        "gray.webp": _bytes(photograph.convert("L"), "WEBP", quality=95),
        "[red]name.png": _bytes(photograph),
    }
    for name, content in pictures.items():
        (tmp_path / name).write_bytes(content)
    code, out, err = run(*pictures, "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)["photos"]
    assert [photo["photo"] for photo in found] == list(pictures)
    for photo in found:
        assert (photo["width"], photo["height"]) == (512, 600), photo
        [face] = photo["faces"]
        assert np.allclose(face["box"], (152, 103, 377, 328), atol=12), photo
    code, out, _ = run("[red]name.png")
    assert code == 0
    assert "[red]name.png, 512 x 600" in out


def test_a_name_that_is_no_text_is_printed_somehow(run, photograph, tmp_path):  # noqa: F811
    name = b"caf\xe9.png".decode("utf-8", "surrogateescape")
    try:
        (tmp_path / name).write_bytes(_bytes(photograph))
    except (OSError, UnicodeError):
        pytest.skip("this file system takes only names that are text")
    code, out, _ = run(name)
    assert code == 0
    assert "caf\N{REPLACEMENT CHARACTER}.png, 512 x 600" in out
    code, out, _ = run(name, "--json")
    assert json.loads(out)["photos"][0]["photo"] == name


def test_one_bad_picture_does_not_stop_the_others(run, photograph_path, tmp_path):  # noqa: F811
    (tmp_path / "bad.jpg").write_bytes(b"no picture at all, this")
    (tmp_path / "noise.png").write_bytes(BAD["noise.png"][0])
    code, out, err = run("bad.jpg", photograph_path, "noise.png", "--json")
    assert code == 2
    bad, good, none = json.loads(out)["photos"]
    assert (bad["faces"], bad["width"]) == ([], None)
    assert len(good["faces"]) == 1
    assert (none["faces"], none["width"]) == ([], 200)
    assert err.splitlines() == [
        f"keras-affect: {bad['problem']}",
        f"keras-affect: {none['problem']}",
    ]
    code, out, _ = run("bad.jpg", photograph_path)
    assert code == 2
    assert "512 x 600" in out


# === Annotated pictures


def test_annotate_one_photo_to_a_file(run, photograph, photograph_path, tmp_path):  # noqa: F811
    out = tmp_path / "annotated.png"
    assert run(photograph_path, "--annotate", out)[0] == 0
    with Image.open(out) as annotated:
        assert annotated.size == (512, 600)
        changed = (np.asarray(annotated) != np.asarray(photograph)).any(axis=-1)
    assert 0.01 < changed.mean() < 0.2
    before = out.read_bytes()
    code, printed, err = run(photograph_path, "--annotate", out)
    assert (code, printed) == (2, "")
    assert re.fullmatch(r"keras-affect: .*annotated\.png: exists already.*--overwrite.*\n", err)
    assert out.read_bytes() == before
    out.write_bytes(b"old")
    assert run(photograph_path, "--annotate", out, "--overwrite")[0] == 0
    assert out.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["annotated.png"]


def test_annotate_several_photos_to_a_folder(run, photograph, tmp_path):  # noqa: F811
    for name in ("a.png", "b.png", "noise.png"):
        photograph.save(tmp_path / name)
    (tmp_path / "noise.png").write_bytes(BAD["noise.png"][0])
    code, _, err = run("a.png", "b.png", "noise.png", "--annotate", "out")
    assert code == 2
    assert err.count("\n") == 1
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.png", "b.png"]
    code, _, err = run("a.png", "--annotate", "out")
    assert code == 2
    assert "exists already" in err
    # A folder is made only when there is a model to fill it.
    code, _, _ = run("a.png", "b.png", "--annotate", "x", "--model", "none", with_model=False)
    assert code == 2
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("out", "reason"),
    [
        ("missing/out.png", "the folder missing does not exist"),
        ("photo.png", "one of the photos"),
        ("out.xyz", "expected a name ending in .png"),
    ],
)
def test_annotate_where_it_cannot_be(run, photograph, tmp_path, out, reason):  # noqa: F811
    photograph.save(tmp_path / "photo.png")
    before = (tmp_path / "photo.png").read_bytes()
    code, printed, err = run("photo.png", "--annotate", out, "--overwrite")
    assert (code, printed) == (2, "")
    assert re.fullmatch(rf"keras-affect: [^\n]*{reason}[^\n]*\n", err), err
    assert [path.name for path in tmp_path.iterdir()] == ["photo.png"]
    assert (tmp_path / "photo.png").read_bytes() == before


# === Models


def test_a_bad_model_is_one_line(run, photograph_path, tmp_path):  # noqa: F811
    for name, content, reason in (
        ("text.tflite", b"This is no model, this is a text.", "not a .tflite"),
        ("empty.tflite", b"", "empty, 0 bytes"),
        ("cut.tflite", tiny_models.flatbuffer()[:2000], "a damaged .tflite"),
    ):
        (tmp_path / name).write_bytes(content)
        code, out, err = run(photograph_path, "--model", name, with_model=False)
        assert (code, out) == (2, "")
        assert err.startswith(f"keras-affect: {name}: {reason}")
        assert err.count("\n") == 1
    code, _, err = run(photograph_path, "--model", "nowhere.tflite", with_model=False)
    assert (code, err) == (2, "keras-affect: nowhere.tflite: no such file; expected a .tflite\n")


def test_class_names_for_a_model_that_has_none(run, photograph_path, tmp_path):  # noqa: F811
    (tmp_path / "bare.tflite").write_bytes(tiny_models.flatbuffer())
    arguments = (photograph_path, "--json", "--model", "bare.tflite")
    code, _, err = run(*arguments, with_model=False)
    assert code == 2
    assert "--class-names" in err
    code, out, _ = run(*arguments, "--class-names", "a,b,c,d,e,f,g,h", with_model=False)
    assert code == 0
    assert [*json.loads(out)["photos"][0]["faces"][0]["probabilities"]] == [*"abcdefgh"]


def test_the_shipped_model_is_the_default(run, photograph_path):  # noqa: F811
    code, out, err = run(photograph_path, "--json", with_model=False)
    assert (code, err) == (0, "")
    [face] = json.loads(out)["photos"][0]["faces"]
    assert face["emotion"] in ("neutral", "happiness")
    assert set(face["probabilities"]) == set(emotions.NAMES)


def test_predict_loads_no_backend(model, photograph_path):  # noqa: F811
    code = (
        "import json, sys\nfrom keras_affect import cli\ntry: cli.main()\n"
        "except SystemExit as ended: print(json.dumps([ended.code, *sys.modules]), file=sys.stderr)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, "predict", photograph_path, "--model", model, "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    json.loads(run.stdout)
    ended, *loaded = json.loads(run.stderr)
    assert not ended
    assert {"cv2", "ai_edge_litert", "typer"} <= set(loaded)
    assert not {"keras", "tensorflow", "jax", "torch", "matplotlib"} & set(loaded)
