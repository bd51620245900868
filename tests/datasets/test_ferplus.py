import csv
import subprocess
import sys
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from keras_affect.datasets import ferplus
from keras_affect.datasets.votes import COLUMNS

HAPPY = [0, 8, 2, 0, 0, 0, 0, 0, 0, 0]
SAD = [0, 0, 0, 6, 4, 0, 0, 0, 0, 0]
SPLIT_VOTE = [5, 5, 0, 0, 0, 0, 0, 0, 0, 0]
NO_FACE = [0, 0, 0, 0, 0, 0, 0, 0, 0, 10]


def pixels_of(number):
    return np.random.default_rng(number).integers(0, 256, (48, 48), dtype=np.uint8)


def write_folder(root, split, rows, box="(0, 0, 48, 48)"):
    """`rows`: (number of the picture, votes); FER+'s own layout."""
    folder = root / ferplus.SPLITS[split][0]
    folder.mkdir(parents=True)
    with (folder / "label.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        for number, votes in rows:
            name = f"fer{number:07d}.png"
            Image.fromarray(pixels_of(number)).save(folder / name)
            writer.writerow([name, *([box] if box else []), *votes])
    return folder


def write_kaggle(root, rows, name="fer2013.csv"):
    """`rows`: (number, usage, votes or None for a picture that FER+ left out)."""
    header = ["emotion", "pixels", "Usage"]
    if name == "icml_face_data.csv":
        header = ["emotion", " Usage", " pixels"]
    with (root / name).open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        for number, usage, _ in rows:
            text = " ".join(map(str, pixels_of(number).ravel()))
            fields = {"emotion": 0, "pixels": text, "Usage": usage}
            writer.writerow([fields[column.strip()] for column in header])
    with (root / "fer2013new.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["Usage", "Image name", *COLUMNS])
        for number, usage, votes in rows:
            writer.writerow([usage, f"fer{number:07d}.png" if votes else "", *(votes or [0] * 10)])


@pytest.fixture
def folders(tmp_path):
    write_folder(tmp_path, "train", [(i, HAPPY if i % 2 else SAD) for i in range(10)])
    # 3 and 4 stand pixel for pixel in train.
    write_folder(tmp_path, "valid", [(3, HAPPY), (4, SAD), (11, HAPPY), (12, NO_FACE)])
    return tmp_path


def elements(dataset):
    """All of a pass: images, emotion, valence_arousal."""
    parts = [(x.numpy(), y["emotion"].numpy(), y["valence_arousal"].numpy()) for x, y in dataset]
    return [np.concatenate(column) for column in zip(*parts, strict=True)]


# === Reading


def test_reads_folders(folders):
    data = ferplus.read(folders, "train")
    assert len(data) == 10
    assert data.names[3] == "fer0000003.png"
    assert data.images.shape == (10, 48, 48, 1)
    np.testing.assert_array_equal(data.images[3, ..., 0], pixels_of(3))
    np.testing.assert_array_equal(data.votes[3], HAPPY)


@pytest.mark.parametrize("name", ["fer2013.csv", "icml_face_data.csv"])
def test_reads_kaggle_the_same_as_folders(tmp_path, name):
    rows = [
        (0, "Training", SAD),
        (1, "Training", None),
        (2, "PublicTest", HAPPY),
        (3, "Training", HAPPY),
        (4, "PrivateTest", SAD),
    ]
    (tmp_path / "kaggle").mkdir()
    write_kaggle(tmp_path / "kaggle", rows, name)
    write_folder(tmp_path, "train", [(0, SAD), (3, HAPPY)])
    ours, theirs = ferplus.read(tmp_path / "kaggle", "train"), ferplus.read(tmp_path, "train")
    assert ours.names == theirs.names == ("fer0000000.png", "fer0000003.png")
    np.testing.assert_array_equal(ours.images, theirs.images)
    np.testing.assert_array_equal(ours.votes, theirs.votes)
    assert ours.digests == theirs.digests
    assert ferplus.read(tmp_path / "kaggle", "valid").names == ("fer0000002.png",)
    assert ferplus.read(tmp_path / "kaggle", "test").names == ("fer0000004.png",)


def test_label_csv_without_boxes_and_with_a_byte_order_mark(tmp_path):
    folder = write_folder(tmp_path, "train", [(0, HAPPY)], box=None)
    text = (folder / "label.csv").read_text()
    (folder / "label.csv").write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    assert ferplus.read(tmp_path, "train").names == ("fer0000000.png",)


def test_box_cuts_the_face(tmp_path):
    folder = write_folder(tmp_path, "train", [(0, HAPPY)], box="(8, 4, 56, 52)")
    picture = np.random.default_rng(5).integers(0, 256, (64, 64), dtype=np.uint8)
    Image.fromarray(picture).save(folder / "fer0000000.png")
    read = ferplus.read(tmp_path, "train").images
    np.testing.assert_array_equal(read[0, ..., 0], picture[4:52, 8:56])


def test_official_counts(ferplus_root):
    """The counts that the official tools leave; see FER+'s paper, section 4, for the rules."""
    train, valid = ferplus.read(ferplus_root, "train"), ferplus.read(ferplus_root, "valid")
    assert (len(train), len(valid)) == (28_561, 3_579)
    assert ferplus.duplicates(valid, train).sum() == 279
    for data, majority, spread, multi in (
        (train, 25_060, 27_956, 27_671),
        (valid, 3_199, 3_505, 3_472),
    ):
        assert (ferplus.majority(data.votes) >= 0).sum() == majority
        assert ferplus.distribution(data.votes).any(axis=1).sum() == spread
        assert ferplus.multi_label(data.votes).any(axis=1).sum() == multi
    label = ferplus.majority(valid.votes)
    assert np.bincount(label[label >= 0]).tolist() == [1182, 865, 415, 351, 287, 24, 62, 13]


# === What is wrong with files


def damage(folders, name):
    """Bring one fault into the train split; give what the message must hold."""
    folder = folders / "FER2013Train"
    table = folder / "label.csv"
    lines = table.read_text().splitlines()
    if name == "missing picture":
        (folder / "fer0000002.png").unlink()
        return r"label\.csv, row 3: picture .*fer0000002\.png is missing"
    if name == "text as picture":
        (folder / "fer0000002.png").write_text("no picture")
        return r"label\.csv, row 3: picture .*fer0000002\.png can't be decoded \(not a picture\)"
    if name == "cut picture":
        whole = (folder / "fer0000002.png").read_bytes()
        (folder / "fer0000002.png").write_bytes(whole[: len(whole) // 2])
        return r"label\.csv, row 3: picture .*fer0000002\.png can't be decoded"
    if name == "empty picture":
        (folder / "fer0000002.png").write_bytes(b"")
        return r"label\.csv, row 3: picture .*fer0000002\.png can't be decoded"
    if name == "nine votes":
        lines[2] = lines[2].rsplit(",", 1)[0]
        message = r"label\.csv, row 3: expected ten votes, found 9"
    elif name == "negative vote":
        lines[2] = lines[2].rsplit(",", 1)[0] + ",-1"
        message = r"label\.csv, row 3: expected ten vote counts of 0 or more, found .*-1"
    elif name == "word as vote":
        lines[2] = lines[2].rsplit(",", 1)[0] + ",many"
        message = r"label\.csv, row 3: expected ten vote counts of 0 or more, found .*many"
    elif name == "cut in a row":
        text = "\n".join(lines)
        table.write_text(text[: text.index("fer0000007") + 20])
        return r"label\.csv, row 8: expected ten votes, found 0"
    elif name == "cut between rows":
        lines = lines[:7]
        message = r"label\.csv: 3 of the 10 pictures beside it have no row"
    elif name == "path out of the folder":
        lines[2] = "../" + lines[2]
        message = r"label\.csv, row 3: expected a file name, found '\.\./fer0000002\.png'"
    elif name == "no box":
        lines[2] = lines[2].replace("(0, 0, 48, 48)", "(0, 0, 0, 48)")
        message = r"label\.csv, row 3: expected a face box .* found '\(0, 0, 0, 48\)'"
    table.write_text("\n".join(lines) + "\n")
    return message


FAULTS = [
    "missing picture", "text as picture", "cut picture", "empty picture", "nine votes",
    "negative vote", "word as vote", "cut in a row", "cut between rows",
    "path out of the folder", "no box",
]  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_names_file_and_row(folders, fault):
    message = damage(folders, fault)
    with pytest.raises(ValueError, match=message):
        ferplus.read(folders, "train")


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_skipped_is_counted(folders, fault):
    message = damage(folders, fault)
    with pytest.warns(UserWarning, match=r"rows or pictures skipped; the first: .*" + message):
        data = ferplus.read(folders, "train", on_error="skip")
    left = {"cut in a row": 7, "cut between rows": 7}.get(fault, 9)
    assert len(data) == left
    # What is left keeps its own pixels and votes.
    for name, picture, votes in zip(data.names, data.images, data.votes, strict=True):
        number = int(name[3:-4])
        np.testing.assert_array_equal(picture[..., 0], pixels_of(number))
        np.testing.assert_array_equal(votes, HAPPY if number % 2 else SAD)


KAGGLE_ROWS = [(i, "Training", HAPPY) for i in range(4)]


def damage_kaggle(root, name):
    table, votes = root / "fer2013.csv", root / "fer2013new.csv"
    lines, rows = table.read_text().splitlines(), votes.read_text().splitlines()
    message = {
        "cut pixels": r"fer2013\.csv, row 5: expected a usage",
        "a pixel too few": r"fer2013\.csv, row 3: expected 2304 pixels .* found 2303 words",
        "pixel 256": r"fer2013\.csv, row 3: expected 2304 pixels from 0 to 255",
        "votes cut": r"fer2013new\.csv: ends before .*fer2013\.csv, row 5",
        "pixels cut between rows": r"fer2013\.csv: ends before .*fer2013new\.csv, row 5",
        "nine votes": r"fer2013new\.csv, row 3: expected 12 columns, found 11",
        "negative vote": r"fer2013new\.csv, row 3: expected ten vote counts",
        "another file's votes": r"fer2013new\.csv, row 3: usage 'PublicTest', but 'Training'",
        "wrong header": r"fer2013new\.csv, row 1: expected a header .* contempt not found",
        "no votes": r"fer2013new\.csv: missing",
    }[name]
    if name == "cut pixels":
        lines[4] = lines[4][:3000]
    elif name == "a pixel too few":
        lines[2] = lines[2].replace(",", ", ", 1).rsplit(" ", 1)[0] + ",Training"
    elif name == "pixel 256":
        first, rest = lines[2].split(" ", 1)
        lines[2] = first.split(",")[0] + ",256 " + rest
    elif name == "votes cut":
        rows = rows[:4]
    elif name == "pixels cut between rows":
        lines = lines[:4]
    elif name == "nine votes":
        rows[2] = rows[2].rsplit(",", 1)[0]
    elif name == "negative vote":
        rows[2] = rows[2].rsplit(",", 1)[0] + ",-3"
    elif name == "another file's votes":
        rows[2] = rows[2].replace("Training", "PublicTest")
    elif name == "wrong header":
        rows[0] = rows[0].replace("contempt", "boredom")
    table.write_text("\n".join(lines) + "\n")
    votes.write_text("\n".join(rows) + "\n")
    if name == "no votes":
        votes.unlink()
    return message


@pytest.mark.parametrize(
    "fault",
    [
        "cut pixels", "a pixel too few", "pixel 256", "votes cut", "pixels cut between rows",
        "nine votes", "negative vote", "another file's votes", "wrong header", "no votes",
    ],
)  # fmt: skip
def test_kaggle_fault_names_file_and_row(tmp_path, fault):
    write_kaggle(tmp_path, KAGGLE_ROWS)
    message = damage_kaggle(tmp_path, fault)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        ferplus.read(tmp_path, "train")


def test_nothing_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no FER\+ train split here. Expected FER2013"):
        ferplus.read(tmp_path, "train")
    with pytest.raises(ValueError, match=r"argument `split`. Expected one of train, valid, test"):
        ferplus.read(tmp_path, "dev")
    with pytest.raises(ValueError, match="argument `on_error`"):
        ferplus.read(tmp_path, "train", on_error="ignore")


def test_empty_split(tmp_path):
    write_folder(tmp_path, "train", [])
    with pytest.raises(ValueError, match=r"label\.csv: the train split is empty"):
        ferplus.read(tmp_path, "train")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(garbage=st.binary(max_size=400))
def test_any_bytes_as_label_csv(tmp_path_factory, garbage):
    root = tmp_path_factory.mktemp("fuzz")
    folder = root / "FER2013Train"
    folder.mkdir()
    (folder / "label.csv").write_bytes(garbage)
    with pytest.raises(ValueError, match=r"label\.csv"):
        ferplus.read(root, "train")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(where=st.integers(0, 9_000), garbage=st.binary(min_size=1, max_size=8))
def test_kaggle_with_bytes_changed(tmp_path_factory, where, garbage):
    """Whatever bytes stand in the pixels' csv, the answer is pictures or one ValueError."""
    root = tmp_path_factory.mktemp("fuzz")
    write_kaggle(root, [(i, "Training", HAPPY) for i in range(2)])
    whole = bytearray((root / "fer2013.csv").read_bytes())
    whole[where : where + len(garbage)] = garbage
    (root / "fer2013.csv").write_bytes(whole)
    try:
        data = ferplus.read(root, "train")
    except ValueError as error:
        assert "fer2013" in str(error)  # noqa: PT017
    else:
        assert data.images.shape[1:] == (48, 48, 1)


# === tf.data


def test_structure_and_targets(folders):
    dataset = ferplus.load(folders, "train", "distribution", batch_size=4, shuffle=False)
    assert dataset.cardinality().numpy() == 3
    images, emotion, points = elements(dataset)
    assert images.dtype == emotion.dtype == points.dtype == np.float32
    assert images.shape == (10, 48, 48, 1)
    np.testing.assert_array_equal(images[3, ..., 0], pixels_of(3))
    np.testing.assert_allclose(emotion[3], [0, 1, 0, 0, 0, 0, 0, 0])
    # Row 3: 8 happiness, 2 surprise; the circumplex gives their weighted mean.
    np.testing.assert_allclose(
        points[3], [0.8 * 0.81 + 0.2 * 0.40, 0.8 * 0.51 + 0.2 * 0.67], rtol=1e-5
    )


def test_label_rules_drop_images(tmp_path):
    write_folder(tmp_path, "train", [(0, HAPPY), (1, SPLIT_VOTE), (2, NO_FACE), (3, SAD)])
    expected = {"majority": 2, "distribution": 3, "multi_label": 3, "outlier_free": 3, "votes": 4}
    for labels, count in expected.items():
        _, emotion, points = elements(ferplus.load(tmp_path, "train", labels))
        assert len(emotion) == count
        assert emotion.shape[1] == (10 if labels == "votes" else 8)
        assert np.isnan(points).any() == (labels == "votes")


@pytest.mark.parametrize("cache", [None, "memory", "file"])
def test_caches_give_the_same(folders, tmp_path, cache):
    path = tmp_path / "cached" if cache == "file" else cache
    plain = elements(ferplus.load(folders, "train", seed=5))
    for _ in range(2):  # the file is written at first and read at second
        cached = elements(ferplus.load(folders, "train", seed=5, cache=path))
        for a, b in zip(plain, cached, strict=True):
            np.testing.assert_array_equal(a, b)
    if cache == "file":
        assert [p.name for p in tmp_path.glob("*cached*")] == ["cached.npy"]


def test_cache_of_other_pictures_is_refused(folders, tmp_path):
    ferplus.load(folders, "train", cache=tmp_path / "c.npy")
    with pytest.raises(ValueError, match=r"c\.npy: holds other pictures"):
        ferplus.load(folders, "valid", cache=tmp_path / "c.npy")
    (tmp_path / "c.npy").write_bytes(b"no array")
    with pytest.raises(ValueError, match=r"c\.npy: not a cache of pictures"):
        ferplus.load(folders, "train", cache=tmp_path / "c.npy")


def test_file_cache_holds_one_batch_in_memory(tmp_path):
    """The arrays behind a batch are bounded by it, and not by the split."""
    code = """
import sys, tracemalloc
import numpy as np
from pathlib import Path
from keras_affect.datasets.batches import batches_of
import hashlib
class Many:
    n = 40_000
    digests = tuple(hashlib.blake2b(bytes([i % 251]) * 2304, digest_size=16).digest()
                    for i in range(n))
    def __len__(self): return self.n
    def picture(self, i): return np.full((48, 48, 1), i % 251, np.uint8)
many = Many()
labels = np.full((many.n, 8), 1 / 8, np.float32)
points = np.zeros((many.n, 2), np.float32)
def resident():  # without the page cache that a mapped file shares
    return int(next(l for l in open('/proc/self/status') if l.startswith('RssAnon')).split()[1])
dataset = batches_of(many, labels, points, draw_labels=False, batch_size=64, shuffle=True, seed=0,
    cache=None if sys.argv[1] == 'none' else sys.argv[1], augment=None, initial_epoch=0,
    repeat=False)
next(iter(dataset))
before = resident()
if sys.argv[1] == 'memory':
    before = 0
for images, _ in dataset: pass
print(resident() - before)
"""
    grown = {}
    for cache in ("none", str(tmp_path / "many"), "memory"):
        done = subprocess.run(
            [sys.executable, "-c", code, cache], capture_output=True, text=True, check=True
        )
        grown[cache] = int(done.stdout.split()[-1])
    whole = 40_000 * 2_304 / 1024
    assert grown["none"] < whole / 3
    assert grown[str(tmp_path / "many")] < whole / 3
    # The measure sees what is held: all pictures, when they are asked to be in memory.
    assert grown["memory"] > whole


def test_epochs_have_orders_of_their_own(folders):
    dataset = ferplus.load(folders, "train", seed=3)
    first, second = elements(dataset), elements(dataset)
    assert not np.array_equal(first[0], second[0])
    order = np.lexsort(first[0].reshape(10, -1).T)
    again = np.lexsort(second[0].reshape(10, -1).T)
    np.testing.assert_array_equal(first[0][order], second[0][again])
    np.testing.assert_array_equal(first[1][order], second[1][again])
    other_seed = elements(ferplus.load(folders, "train", seed=4))
    assert not np.array_equal(first[0], other_seed[0])


def test_interrupted_run_continues_exactly(folders):
    """Epochs 2 and 3 are the same, whether or not 0 and 1 went before in this process."""
    from keras_affect.augmentation import FacePipeline

    arguments = {"labels": "drawn", "seed": 7, "batch_size": 4, "augment": FacePipeline(noise=5)}
    unbroken = list(ferplus.load(folders, "train", repeat=True, **arguments).take(12))
    resumed = list(
        ferplus.load(folders, "train", repeat=True, initial_epoch=2, **arguments).take(6)
    )
    finite = ferplus.load(folders, "train", initial_epoch=2, **arguments)
    passes = [*finite, *finite]
    for one, two, three in zip(unbroken[6:], resumed, passes, strict=True):
        np.testing.assert_array_equal(one[0], two[0])
        np.testing.assert_array_equal(one[0], three[0])
        np.testing.assert_array_equal(one[1]["emotion"], two[1]["emotion"])
        np.testing.assert_array_equal(one[1]["emotion"], three[1]["emotion"])
    assert not np.array_equal(unbroken[0][0], unbroken[6][0])


def test_drawn_labels_follow_the_distribution(tmp_path):
    votes = [6, 3, 0, 0, 0, 0, 0, 0, 0, 0]
    write_folder(tmp_path, "train", [(i, votes) for i in range(64)])
    dataset = ferplus.load(tmp_path, "train", "drawn", cache="memory", shuffle=False)
    drawn = np.stack([elements(dataset)[1] for _ in range(50)])
    assert set(np.unique(drawn)) == {0.0, 1.0}
    np.testing.assert_array_equal(drawn.sum(axis=-1), 1)
    share = drawn.mean(axis=(0, 1))
    # 3,200 draws: five standard deviations of a share of 2/3 are 0.042.
    np.testing.assert_allclose(share[:2], [2 / 3, 1 / 3], atol=0.042)
    assert drawn[..., 2:].sum() == 0
    # Anew each epoch, and not one draw for all images.
    assert 0 < np.mean(drawn[0] != drawn[1]) < 1
    assert 0 < drawn[0].mean(axis=0)[0] < 1


def test_drop_duplicates(folders):
    names = ferplus.labelled(folders, "valid", "votes", drop_duplicates="train").data.names
    assert names == ("fer0000011.png", "fer0000012.png")
    names = ferplus.labelled(folders, "train", "votes", drop_duplicates=["valid"]).data.names
    assert "fer0000003.png" not in names
    assert len(names) == 8
    with pytest.raises(ValueError, match=r"argument `drop_duplicates`.*split='train'"):
        ferplus.load(folders, "train", drop_duplicates="train")


@pytest.mark.parametrize(
    ("argument", "value", "message"),
    [
        ("labels", "hard", r"argument `labels`. Expected one of distribution, majority"),
        ("batch_size", 0, r"argument `batch_size`. Expected an integer of 1 or more"),
        ("batch_size", 2.5, r"batch_size=2\.5"),
    ],
)
def test_bad_arguments(folders, argument, value, message):
    with pytest.raises(ValueError, match=message):
        ferplus.load(folders, "train", **{argument: value})


def test_no_warning_on_good_files(folders):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ferplus.read(folders, "train", on_error="skip")
