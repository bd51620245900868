from __future__ import annotations

import csv
import hashlib
import io
import json
import sys
import zipfile
from html.parser import HTMLParser

import numpy as np
import pytest
from matplotlib.cbook import get_sample_data
from PIL import Image
from rich.console import Console

from keras_affect import emotions, runtime
from keras_affect.datasets import synthetic
from keras_affect.demo import page, photograph, sheet, without_tensorflow
from keras_affect.demo import run as demo
from keras_affect.demo.faces import photographs
from keras_affect.demo.folder import MARK, check_folder, whole_folder
from keras_affect.weights import catalog


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The whole demo, in small, and what it printed."""
    console = Console(record=True, width=120, file=io.StringIO())
    out = tmp_path_factory.mktemp("demo") / "out"
    done = demo.run(out, train_count=96, held_out_count=48, epochs=2, width=0.25, console=console)
    return done, console.export_text()


class _Page(HTMLParser):
    """What a page refers to, and its outline."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.pictures, self.links, self.headings = [], {}, [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.tags.append((tag, attributes))
        if tag == "img":
            self.pictures[attributes["src"]] = attributes["alt"]
        if tag == "a":
            self.links.append(attributes["href"])
        if tag in ("h1", "h2", "h3"):
            self.headings.append(tag)

    def attributes(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


# === The whole line, in small


def test_every_file_it_names_is_there_and_not_empty(made):
    done, _ = made
    named = [line.split("  ")[0] for line in done.lines()]
    assert {path.rpartition("/")[2] for path in named} == {
        path.name for path in done.folder.iterdir()
    }
    for path in done.folder.iterdir():
        assert path.stat().st_size > 200
    for name in page.PICTURES.values():
        with Image.open(done.folder / name) as picture:
            picture.load()
            assert min(picture.size) > 300


def test_nothing_is_left_beside_the_folder(made):
    done, _ = made
    assert [path.name for path in done.folder.parent.iterdir()] == ["out"]


def test_the_exported_file_ran_without_tensorflow_and_agrees_with_keras(made):
    done, _ = made
    child = done.facts["without_tensorflow"]
    assert child["loaded"] == []
    assert "tensorflow" in sys.modules, "else the process that trained tells nothing by contrast"
    assert child["same_emotion"] > 0.8
    assert 0 < child["largest_difference"]["emotion"] < 0.3
    assert child["milliseconds"] > 0


def test_figures_on_the_page_are_those_of_the_exported_file(made):
    done, _ = made
    images, labels = synthetic.arrays(48, seed=1)
    predictions = runtime.AffectInterpreter(done.folder / "affect_int8.tflite").predict(images)
    wanted = [emotions.NAMES[place] for place in labels["emotion"].argmax(axis=1)]
    right = np.mean([p.emotion == name for p, name in zip(predictions, wanted, strict=True)])
    assert done.facts["scores"]["int8"]["accuracy"] == pytest.approx(right)
    text = (done.folder / page.NAME).read_text(encoding="utf-8")
    assert f"{right:.1%}" in text
    assert json.loads((done.folder / MARK).read_text(encoding="utf-8")) == json.loads(
        json.dumps(done.facts)
    )


def test_the_trained_model_loads_and_is_what_was_scored(made):
    from keras_affect import models

    done, _ = made
    images, labels = synthetic.arrays(48, seed=1)
    model = models.load(done.folder / "model.keras")
    found = model.predict(images.astype(np.float32), verbose=0)["emotion"].argmax(axis=1)
    accuracy = (found == labels["emotion"].argmax(axis=1)).mean()
    assert done.facts["scores"]["keras"]["accuracy"] == pytest.approx(accuracy)
    assert done.facts["training"]["parameters"] == model.count_params()


def test_the_log_has_a_row_an_epoch(made):
    done, _ = made
    with (done.folder / "log.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert float(rows[1]["loss"]) < float(rows[0]["loss"])


def test_it_says_that_these_are_drawings(made):
    done, printed = made
    text = (done.folder / page.NAME).read_text(encoding="utf-8")
    for said in (printed, text):
        assert "drawings" in said
        assert "knows drawings" in said
    # The exported file carries it too, for whoever finds it elsewhere.
    with zipfile.ZipFile(done.folder / "affect_int8.tflite") as archive:
        limits = json.loads(archive.read("keras_affect.json"))["limits"]
    assert page.LIMIT_OF_DRAWINGS in limits


# === The page


def test_the_page_shows_pictures_that_exist_and_says_what_they_show(made):
    done, _ = made
    parsed = _Page((done.folder / page.NAME).read_text(encoding="utf-8"))
    assert set(parsed.pictures) == set(page.PICTURES.values())
    for name, alternative in parsed.pictures.items():
        assert (done.folder / name).is_file()
        assert len(alternative) > 30
    local = [link for link in parsed.links if not link.startswith("https://")]
    assert local
    for link in local:
        assert (done.folder / link).is_file()


def test_the_page_is_semantic_and_needs_no_network(made):
    done, _ = made
    text = (done.folder / page.NAME).read_text(encoding="utf-8")
    parsed = _Page(text)
    assert parsed.attributes("html") == [{"lang": "en"}]
    assert {"main", "header", "footer", "section", "figure", "figcaption", "caption"} <= {
        tag for tag, _ in parsed.tags
    }
    metas = {meta.get("name"): meta.get("content") for meta in parsed.attributes("meta")}
    assert metas["viewport"] == "width=device-width, initial-scale=1"
    assert metas["color-scheme"] == "light dark"
    assert "prefers-color-scheme: dark" in text
    assert parsed.headings[0] == "h1"
    assert set(parsed.headings[1:]) == {"h2"}
    assert all(header.get("scope") for header in parsed.attributes("th"))
    assert not {"script", "link", "iframe"} & {tag for tag, _ in parsed.tags}
    assert "$" not in text
    ids = [attributes["id"] for _, attributes in parsed.tags if "id" in attributes]
    assert sorted(ids) == sorted(
        attributes["aria-labelledby"] for attributes in parsed.attributes("section")
    )


def test_the_page_says_what_the_models_cannot_know_and_what_the_law_forbids(made):
    done, _ = made
    text = " ".join((done.folder / page.NAME).read_text(encoding="utf-8").split())
    for said in (
        "What somebody feels does not follow from it",
        "has never seen a person",
        "Article 5(1)(f)",
        "at the workplace and in education",
        "nobody's rating",
    ):
        assert said in text.replace("&#x27;", "'")


def test_the_page_of_ferplus_says_not_to_pass_it_on(made, tmp_path):
    done, _ = made
    facts = json.loads(json.dumps(done.facts))
    facts["faces"]["source"] = "ferplus"
    page.write_page(facts, tmp_path)
    text = (tmp_path / page.NAME).read_text(encoding="utf-8")
    assert "not passed on" in text
    assert "has never seen a person" not in text


# === The other process


def test_a_loaded_framework_is_seen(made, tmp_path):
    done, _ = made
    np.save(tmp_path / "images.npy", synthetic.arrays(2)[0])
    out = tmp_path / "answers.json"
    without_tensorflow.read_faces(done.folder / "affect_int8.tflite", tmp_path / "images.npy", out)
    # This process trained with TensorFlow: the same code that found nothing there finds it here.
    assert {"keras", "tensorflow"} <= set(json.loads(out.read_text())["loaded"])


def test_a_file_that_cannot_be_run_is_an_error_with_its_reason(tmp_path):
    (tmp_path / "affect_int8.tflite").write_bytes(b"no model at all, but some bytes of text")
    with pytest.raises(RuntimeError, match="could not be run"):
        demo._run_without_tensorflow(synthetic.arrays(2)[0], tmp_path, Console(quiet=True))


# === The photograph


@pytest.fixture
def shipped(made, monkeypatch):
    """A catalog that ships the model trained here, so that these tests rest on no weights."""
    file = made[0].folder / "affect_int8.tflite"
    entry = catalog.Entry(
        model="LightweightCNN",
        name="ferplus_v9",
        kind="litert",
        file=str(file),
        sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
        size=file.stat().st_size,
        config={},
        scores={},
        data="drawings",
        licence="none",
    )
    monkeypatch.setattr(catalog, "entries", lambda: (entry,))


def test_the_photograph_is_read_by_what_ships(shipped, tmp_path):
    pytest.importorskip("cv2")
    path = tmp_path / "photograph.png"
    original = get_sample_data("grace_hopper.jpg", asfileobj=False)
    found = photograph.read_photograph(path)
    assert found["weights"] == "LightweightCNN ferplus_v9"
    assert found["note"] is None
    (face,) = found["faces"]
    left, top, right, bottom = face["box"]
    # Grace Hopper's nose is near (262, 232) of 512 x 600 pixels, her face 200 pixels wide.
    assert left < 262 < right
    assert top < 232 < bottom
    assert 150 < right - left < 300
    assert sum(face["probabilities"].values()) == pytest.approx(1, abs=0.02)
    with Image.open(path) as picture, Image.open(original) as before:
        assert picture.size == before.size
        assert np.asarray(picture)[top, left : right - 1].std(axis=0).max() < 5  # the box
        assert np.abs(np.asarray(picture).astype(int) - np.asarray(before)).max() > 50


def test_without_opencv_the_whole_picture_is_one_face_and_that_is_said(
    shipped, made, tmp_path, monkeypatch
):
    def missing():
        raise ImportError("finding faces needs OpenCV")

    monkeypatch.setattr(photograph.faces, "check_available", missing)
    found = photograph.read_photograph(tmp_path / page.PICTURES["photograph"])
    assert [face["box"] for face in found["faces"]] == [None]
    assert "whole picture" in found["note"]
    page.write_page({**made[0].facts, "photograph": found}, tmp_path)
    text = (tmp_path / page.NAME).read_text(encoding="utf-8")
    assert "The whole picture was taken for one face: finding faces needs OpenCV" in text


# === FER+


@pytest.fixture
def small_ferplus(tmp_path):
    """The official folders, with drawings for pictures."""
    for folder, seed in (("FER2013Train", 0), ("FER2013Valid", 1)):
        place = tmp_path / folder
        place.mkdir()
        images, labels = synthetic.arrays(24, seed)
        rows = []
        for index, (image, one_hot) in enumerate(zip(images, labels["emotion"], strict=True)):
            Image.fromarray(image[..., 0]).save(place / f"fer{index:07}.png")
            votes = [int(10 * share) for share in one_hot] + [0, 0]
            if index == 5:
                votes = [5, 5] + [0] * 8  # no majority: left out by the official rule
            rows.append([f"fer{index:07}.png", "(0, 0, 48, 48)", *votes])
        with (place / "label.csv").open("w", newline="") as file:
            csv.writer(file).writerows(rows)
    return tmp_path


def test_ferplus_gives_faces_of_the_same_form(small_ferplus):
    faces = photographs(small_ferplus, batch_size=10)
    images, labels = synthetic.arrays(24, seed=1)
    kept = np.arange(24) != 5
    assert faces.source == "ferplus"
    assert faces.train_count == 24
    np.testing.assert_array_equal(faces.images, images[kept])
    np.testing.assert_array_equal(faces.emotion, labels["emotion"].argmax(axis=1)[kept])
    np.testing.assert_array_equal(faces.calibration, synthetic.arrays(24, seed=0)[0])
    assert faces.valence_arousal.shape == (23, 2)
    shapes = [(images.shape, labels["emotion"].shape) for images, labels in faces.train]
    assert shapes == [((n, 48, 48, 1), (n, 8)) for n in (10, 10, 4)]


def test_a_folder_without_ferplus_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=str(tmp_path)):
        demo.run(tmp_path / "out", tmp_path, console=Console(quiet=True))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("epochs", [0, 1.5, True])
def test_epochs_out_of_range_are_named(tmp_path, epochs):
    with pytest.raises(ValueError, match="argument `epochs`"):
        demo.run(tmp_path / "out", epochs=epochs, console=Console(quiet=True))
    assert not list(tmp_path.iterdir())


# === The folder


def test_a_folder_of_others_is_refused_and_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("ten years")
    with pytest.raises(FileExistsError, match=str(tmp_path)):
        demo.run(tmp_path, console=Console(quiet=True))
    assert (tmp_path / "thesis.txt").read_text() == "ten years"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_file_and_a_link_are_refused(tmp_path):
    (tmp_path / "file").write_text("text")
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    for name in ("file", "link"):
        with pytest.raises(FileExistsError, match="not a folder"):
            check_folder(tmp_path / name)


@pytest.mark.parametrize("out", [".", "..", "../../"])
def test_the_folder_that_it_runs_in_is_refused_before_the_work(tmp_path, monkeypatch, out):
    (tmp_path / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a" / "b")
    with pytest.raises(FileExistsError, match="the folder that this runs in, or one above"):
        demo.run(out, console=Console(quiet=True))
    assert [path.name for path in tmp_path.rglob("*")] == ["a", "b"]
    assert check_folder("here").name == "here"


def test_an_empty_folder_and_an_earlier_demo_are_replaced(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    for number in (1, 2):
        with whole_folder(out) as folder:
            (folder / MARK).write_text(str(number))
            (folder / f"of_{number}").write_text("")
        assert sorted(path.name for path in out.iterdir()) == [MARK, f"of_{number}"]
    assert list(tmp_path.iterdir()) == [out]


def test_folders_above_are_made(tmp_path):
    out = tmp_path / "a" / "b"
    with whole_folder(out) as folder:
        (folder / MARK).write_text("")
    assert (out / MARK).is_file()


def test_a_folder_that_filled_up_meanwhile_is_refused(tmp_path):
    out = tmp_path / "out"

    def write():
        with whole_folder(out):
            out.mkdir()
            (out / "thesis.txt").write_text("ten years")

    with pytest.raises(FileExistsError, match="no demo wrote"):
        write()
    assert (out / "thesis.txt").is_file()
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize("earlier", [False, True])
def test_an_interrupted_demo_leaves_what_was_there(tmp_path, monkeypatch, earlier):
    out = tmp_path / "out"
    if earlier:
        out.mkdir()
        (out / MARK).write_text("earlier")

    def interrupt(faces, epochs, width, folder, console):
        (folder / "model.keras").write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "_train", interrupt)
    with pytest.raises(KeyboardInterrupt):
        demo.run(out, train_count=8, held_out_count=8, console=Console(quiet=True))
    assert list(tmp_path.iterdir()) == ([out] if earlier else [])
    if earlier:
        assert [path.name for path in out.iterdir()] == [MARK]
        assert (out / MARK).read_text() == "earlier"


# === The sheet


def test_the_sheet_takes_the_first_faces_of_each_emotion():
    emotion = np.array([3, 0, 0, 3, 3, 7, 0])
    assert sheet.choose(emotion) == [1, 2, 0, 3, 5]


def test_the_sheet_shows_every_face(tmp_path):
    images = np.full((5, 48, 48, 1), 0, np.uint8)
    path = tmp_path / "sheet.png"
    sheet.draw_sheet(images, np.arange(5), np.eye(8)[[0, 1, 2, 3, 7]], path)
    with Image.open(path) as picture:
        gray = np.asarray(picture.convert("L"))
        colored = np.asarray(picture.convert("HSV"))[..., 1] > 128
    # Five black tiles of 192 x 192 on white; of the captions, the one that is wrong is colored.
    assert (gray == 0).sum() == pytest.approx(5 * 192**2, rel=0.01)
    assert 100 < colored.sum() < 5000
    rows, columns = np.nonzero(colored)
    assert rows.min() > 400
    assert columns.max() < 250
