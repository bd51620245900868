import json
import shutil

import numpy as np
import pytest
import tensorflow as tf

from keras_affect.augmentation import face_pipeline
from keras_affect.datasets import record_writer, records, valence_arousal
from tests.datasets.picture_folders import pixels_of, save, write_csv

COUNT = 20


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A csv of 20 pictures; number i has a valence of i / 20."""
    root = tmp_path_factory.mktemp("pictures")
    rows = []
    for number in range(COUNT):
        save(root / f"{number}.png", pixels_of(number, 16))
        rows.append([f"{number}.png", "" if number == 3 else "joy", number / COUNT, ""])
    return write_csv(root / "faces.csv", ["path", "emotion", "valence", "arousal"], rows)


def read(table, **options):
    return valence_arousal.read(table, size=16, check="none", **options)


@pytest.fixture(scope="module")
def written(pictures, tmp_path_factory):
    folder = tmp_path_factory.mktemp("records") / "train"
    record_writer.write(read(pictures), folder, split="train", source="a test", shards=6)
    return folder


def numbers(dataset):
    """Which pictures a pass gives, by their valence; and the pass as arrays."""
    parts = [(x.numpy(), y["emotion"].numpy(), y["valence_arousal"].numpy()) for x, y in dataset]
    images, emotion, points = (np.concatenate(column) for column in zip(*parts, strict=True))
    return np.rint(points[:, 0] * COUNT).astype(int).tolist(), images, emotion, points


# === Round trip


def test_what_is_read_is_what_was_written(written, pictures):
    order, images, emotion, points = numbers(records.load(written, batch_size=7, shuffle=False))
    data = read(pictures)
    assert order == list(range(COUNT))
    assert images.dtype == np.float32
    for index in range(COUNT):
        np.testing.assert_array_equal(images[index], data.picture(index))
    np.testing.assert_array_equal(emotion, data.emotion)
    np.testing.assert_array_equal(points, data.valence_arousal)
    assert np.isnan(points[:, 1]).all()
    assert emotion[3].sum() == 0


def test_any_reader_of_tfrecords_reads_it(written):
    files = sorted(map(str, written.glob("*.tfrecord")))
    assert [file.rsplit("/", 1)[1] for file in files] == [
        f"train-{number:05d}-of-00006.tfrecord" for number in range(6)
    ]
    examples = [
        tf.train.Example.FromString(raw)
        for raw in tf.data.TFRecordDataset(files).as_numpy_iterator()
    ]
    assert len(examples) == COUNT
    image = examples[5].features.feature["image"].bytes_list.value[0]
    np.testing.assert_array_equal(np.frombuffer(image, np.uint8).reshape(16, 16), pixels_of(5, 16))
    assert set(examples[5].features.feature) == {"image", "emotion", "valence_arousal"}


def test_index(written):
    index = records.verify(written)
    assert (len(index), index.shape, index.skipped) == (COUNT, (16, 16, 1), 0)
    assert [shard.records for shard in index.shards] == [3, 3, 4, 3, 3, 4]
    assert sorted(path.name for path in written.iterdir())[0] == "index.json"
    assert len(list(written.iterdir())) == 7


def test_equal_data_give_equal_bytes(written, pictures, tmp_path):
    record_writer.write(read(pictures), tmp_path / "again", split="train", source="x", shards=6)
    assert records.read_index(tmp_path / "again").shards == records.read_index(written).shards


# === Order


def orders(written, passes=2, **options):
    dataset = records.load(written, batch_size=8, **options)
    return [numbers(dataset)[0] for _ in range(passes)]


@pytest.mark.parametrize("mixed", [2, 8])
def test_order_is_a_function_of_seed_and_epoch(written, mixed):
    first = orders(written, seed=1, mixed_shards=mixed)
    assert [sorted(order) for order in first] == [list(range(COUNT))] * 2
    assert first[0] != first[1]
    assert orders(written, seed=1, mixed_shards=mixed) == first
    assert orders(written, 1, seed=1, mixed_shards=mixed, initial_epoch=1) == first[1:]
    assert orders(written, 1, seed=2, mixed_shards=mixed) != first[:1]


def test_a_few_shards_are_read_at_a_time(written):
    shard_of = np.repeat(np.arange(6), [3, 3, 4, 3, 3, 4])
    seen = set()
    for order in orders(written, 8, mixed_shards=2):
        shards = shard_of[order]
        # Two shards are gone through before a third is begun.
        firsts = list(dict.fromkeys(shards))
        for place in range(0, 6, 2):
            group = set(firsts[place : place + 2])
            positions = np.flatnonzero(np.isin(shards, list(group)))
            assert positions.max() - positions.min() + 1 == len(positions)
        seen.add(tuple(firsts))
    assert len(seen) > 4


def test_endless_and_resumed(written):
    def batches(**options):
        dataset = records.load(written, batch_size=8, seed=4, repeat=True, **options)
        return [y["valence_arousal"].numpy()[:, 0].tolist() for _, y in dataset.take(6)]

    assert batches()[3:] == batches(initial_epoch=1)[:3]


def test_augmentation_is_a_function_of_seed_epoch_and_index(written):
    def augmented(**options):
        order, images, *_ = numbers(
            records.load(written, augment=face_pipeline("strong"), seed=6, **options)
        )
        return images[np.argsort(order)]

    plain = augmented(shuffle=False)
    # Sums over a picture are rounded otherwise in batches of another size.
    np.testing.assert_allclose(augmented(shuffle=True, batch_size=3), plain, atol=0.01)
    assert not np.array_equal(augmented(shuffle=False, initial_epoch=1), plain)


def test_a_pipeline_may_mix_labels(written):
    dataset = records.load(
        written, shuffle=False, batch_size=COUNT, augment=face_pipeline("light", mixup=0.4)
    )
    images, labels, *_ = next(iter(dataset))
    assert images.shape == (COUNT, 16, 16, 1)
    # The picture without an emotion leaves others with less than a whole one.
    sums = labels["emotion"].numpy().sum(axis=1)
    assert (sums <= 1 + 1e-6).all()
    assert (sums < 0.999).any()


# === Stopping and going on


def test_a_run_that_was_stopped_goes_on(written, pictures, tmp_path):
    folder = tmp_path / "out"

    def stop(done, of):
        if done == 12:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        record_writer.write(
            read(pictures), folder, split="train", source="x", shards=6, progress=stop
        )
    # Three shards are whole; of the fourth there is nothing, and there is no index.
    assert sorted(path.name for path in folder.iterdir()) == [
        "progress.json",
        *(f"train-{number:05d}-of-00006.tfrecord" for number in range(3)),
    ]
    with pytest.raises(FileNotFoundError, match=r"index\.json: missing"):
        records.load(folder)
    with pytest.raises(ValueError, match="holds part of another data set, or of this one in other"):
        record_writer.write(read(pictures), folder, split="train", source="x", shards=5)
    begun = []
    record_writer.write(
        read(pictures), folder, split="train", source="x", shards=6,
        progress=lambda done, of: begun.append(done),
    )  # fmt: skip
    assert begun[0] == 11
    assert records.verify(folder).shards == records.read_index(written).shards


@pytest.mark.parametrize("other", ["another folder", "other boxes"])
def test_pictures_of_the_same_names_are_not_mixed(pictures, tmp_path, other):
    header = ["path", "valence", "left", "top", "width", "height"]
    for name, side in (("boxes.csv", 12), ("others.csv", 9)):
        rows = [[f"{number}.png", 0, 2, 2, side, side] for number in range(COUNT)]
        write_csv(tmp_path / name, header, rows)
    elsewhere = tmp_path / "elsewhere"
    for number in range(COUNT):
        save(elsewhere / f"{number}.png", 255 - pixels_of(number, 16))

    def stop(done, of):
        if done == 12:
            raise KeyboardInterrupt

    def write(table, root):
        data = read(tmp_path / table, root=root)
        record_writer.write(
            data, tmp_path / "out", split="train", source="x", shards=6, progress=stop
        )

    with pytest.raises(KeyboardInterrupt):
        write("boxes.csv", pictures.parent)
    with pytest.raises(ValueError, match="holds part of another data set"):
        write(
            *{
                "another folder": ("boxes.csv", elsewhere),
                "other boxes": ("others.csv", pictures.parent),
            }[other]
        )


def test_a_finished_folder_is_left_alone(written, pictures):
    with pytest.raises(FileExistsError, match=r"index\.json: exists already"):
        record_writer.write(read(pictures), written, split="train", source="x")


def test_pictures_at_fault(pictures, tmp_path):
    root = tmp_path / "pictures"
    shutil.copytree(pictures.parent, root)
    (root / "0.png").write_text("no picture")
    (root / "7.png").unlink()
    data = read(root / "faces.csv")
    with pytest.raises(ValueError, match=r"faces\.csv, row 2: picture .*0\.png can't be decoded"):
        record_writer.write(data, tmp_path / "a", split="train", source="x")
    with pytest.warns(UserWarning, match="2 of 20 rows or pictures skipped"):
        index = record_writer.write(
            data, tmp_path / "a", split="train", source="x", on_error="skip", shards=4
        )
    assert (len(index), index.skipped) == (18, 2)
    assert numbers(records.load(tmp_path / "a", shuffle=False))[0] == [
        n for n in range(COUNT) if n not in (0, 7)
    ]


def test_no_picture_at_all(pictures, tmp_path):
    root = tmp_path / "pictures"
    shutil.copytree(pictures.parent, root)
    for path in root.glob("*.png"):
        path.unlink()
    with pytest.raises(ValueError, match=r"no picture can be decoded; the last: .*row 21"):
        record_writer.write(
            read(root / "faces.csv"), tmp_path / "a", split="x", source="x", on_error="skip"
        )


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"shards": 0}, r"argument `shards`\. Expected an integer from 1 to 20"),
        ({"shards": 21}, r"argument `shards`\. Expected an integer from 1 to 20"),
        ({"split": "../x"}, r"argument `split`\. Expected a name"),
        ({"on_error": "go on"}, "argument `on_error`"),
    ],
)
def test_arguments_of_write(pictures, tmp_path, options, match):
    settings = {"split": "train", "source": "x"} | options
    with pytest.raises(ValueError, match=match):
        record_writer.write(read(pictures), tmp_path / "a", **settings)


# === Damage


def damaged(written, tmp_path):
    folder = tmp_path / "records"
    shutil.copytree(written, folder)
    return folder, sorted(folder.glob("*.tfrecord"))[2]


def test_cut_shard(written, tmp_path):
    folder, shard = damaged(written, tmp_path)
    shard.write_bytes(shard.read_bytes()[:-5])
    with pytest.raises(ValueError, match=r"train-00002-of-00006\.tfrecord: .* it may be cut short"):
        records.load(folder)


def test_missing_shard(written, tmp_path):
    folder, shard = damaged(written, tmp_path)
    shard.unlink()
    with pytest.raises(FileNotFoundError, match=r"train-00002-of-00006\.tfrecord: missing, though"):
        records.load(folder)


def test_one_byte_changed(written, tmp_path):
    folder, shard = damaged(written, tmp_path)
    content = bytearray(shard.read_bytes())
    content[200] ^= 1
    shard.write_bytes(content)
    with pytest.raises(ValueError, match=r"train-00002-of-00006\.tfrecord: damaged; its SHA-256"):
        records.verify(folder)


@pytest.mark.parametrize(
    ("key", "value", "match"),
    [
        ("format", "other 2", "its format is 'other 2', expected 'keras_affect records 1'"),
        ("shape", [16, 16], "not an index of records"),
        ("shape", [0, 16, 1], r"not an index of records \(its classes or shape\)"),
        ("classes", ["joy"], r"not an index of records \(its classes or shape\)"),
        ("shards", [], "the train split is empty"),
        ("shards", [{"file": "../x", "records": 1, "sha256": ""}], "a shard in another folder"),
        ("shards", [{"file": "x"}], "not an index of records"),
        (None, None, "not an index of records"),
    ],
)
def test_damaged_index(written, tmp_path, key, value, match):
    folder, _ = damaged(written, tmp_path)
    path = folder / "index.json"
    if key is None:
        path.write_text("{")
    else:
        path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    with pytest.raises(ValueError, match=rf"index\.json: .*{match}"):
        records.load(folder)


@pytest.mark.parametrize("name", ["batch_size", "mixed_shards"])
def test_arguments_of_load(written, name):
    with pytest.raises(ValueError, match=f"argument `{name}`"):
        records.load(written, **{name: 0})
