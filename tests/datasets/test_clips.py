"""Stretches of clips: which frames they hold, what fills them, and what labels they have."""

import numpy as np
import pytest
from PIL import Image

from keras_affect.datasets import clips
from keras_affect.datasets.clips import Clip


def make_clip(folder, name, length, boxes=None, labelled=()):
    """A clip whose frame `i` is of one gray, 10 + i; rated i / 100, labelled as told."""
    (folder / name).mkdir()
    files = []
    for frame in range(length):
        files.append(str(folder / name / f"{frame}.png"))
        Image.new("L", (48, 48), 10 + frame).save(files[-1])
    emotion = np.zeros((length, 8), np.float32)
    for frame, label in labelled:
        emotion[frame, label] = 1
    points = np.arange(2 * length, dtype=np.float32).reshape(length, 2) / 100
    return Clip(name, f"{name}.json", tuple(files), points, emotion, boxes or (None,) * length)


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    return [
        make_clip(folder, "long", 10, labelled=[(0, 1), (1, 1), (3, 2), (9, 5)]),
        make_clip(folder, "short", 3),
    ]


@pytest.mark.parametrize(
    ("length", "time", "stride", "starts"),
    [
        (10, 4, 4, [0, 4, 8]),
        (8, 4, 4, [0, 4]),
        (9, 4, 2, [0, 2, 4, 6]),
        (8, 4, 2, [0, 2, 4]),
        (3, 4, 4, [0]),
        (2, 10, 1, [0]),
        (10, 2, 5, [0, 5]),
        (0, 4, 4, []),
    ],
)
def test_stretches_cover_a_clip(two, length, time, stride, starts):
    clip = Clip("a", "a", ("x",) * length, np.zeros((length, 2)), np.zeros((length, 8)), ())
    assert clips.stretches([clip], time, stride) == [(0, start) for start in starts]
    if stride <= time:
        seen = {frame for start in starts for frame in range(start, start + time)}
        assert seen >= set(range(length))


def test_batches(two):
    (batch,) = clips.load(two, 4, size=16, batch_size=9)
    frames, labels = batch[0].numpy(), {name: of.numpy() for name, of in batch[1].items()}
    assert frames.shape == (4, 4, 16, 16, 1)
    expected = [[10, 11, 12, 13], [14, 15, 16, 17], [18, 19, -1, -1], [10, 11, 12, -1]]
    np.testing.assert_array_equal(frames, np.broadcast_to(
        np.array(expected, np.float32)[..., None, None, None], frames.shape
    ))  # fmt: skip
    padded = np.array(expected) < 0
    points = labels["valence_arousal"]
    assert np.isnan(points[padded]).all()
    np.testing.assert_allclose(points[1], two[0].valence_arousal[4:8])
    np.testing.assert_allclose(points[3, :3], two[1].valence_arousal)
    # The mean over labelled frames; nothing where none is.
    np.testing.assert_allclose(labels["emotion"][0, :4], [0, 2 / 3, 1 / 3, 0])
    assert labels["emotion"][1].sum() == 0
    assert labels["emotion"][2, 5] == 1


def test_each_epoch_has_its_own_order_and_the_same_for_the_same_seed(two):
    def orders(seed):
        dataset = clips.load(two, 2, batch_size=1, shuffle=True, seed=seed)
        return [
            [float(frames[0, 0, 0, 0, 0]) for frames, _ in dataset] for _ in range(2)
        ]  # fmt: skip

    first, second = orders(1)
    assert orders(1) == [first, second]
    assert sorted(first) == sorted(second)
    assert first != second


def test_faces_are_cut_and_colours_kept(tmp_path):
    picture = Image.new("RGB", (60, 40), (10, 20, 30))
    picture.paste((200, 100, 50), (20, 10, 40, 30))
    path = str(tmp_path / "a.png")
    picture.save(path)
    clip = Clip("a", "a.json", (path,), np.zeros((1, 2)), np.zeros((1, 8)), ((20, 10, 40, 30),))
    assert (clip.picture(0, 8, 3) == [200, 100, 50]).all()
    gray = clip.picture(0, 8, 1)
    assert gray.shape == (8, 8, 1)
    assert np.ptp(gray) == 0


def test_pictures_that_cannot_be_read_name_labels_and_file(tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no picture")
    good = tmp_path / "good.png"
    Image.new("L", (9, 9)).save(good)
    files = (str(bad), str(tmp_path / "none.png"), str(good))
    clip = Clip(
        "a", "a.json", files, np.zeros((3, 2)), np.zeros((3, 8)), (None, None, (9, 0, 12, 4))
    )
    for index, message in enumerate(
        (
            r"a\.json: picture .*bad\.png can't be decoded \(not a picture\)",
            r"a\.json: picture .*none\.png is missing",
            r"a\.json: the face's box \(9, 0, 12, 4\) lies outside of picture .*good\.png, 9 x 9",
        )
    ):
        with pytest.raises(ValueError, match=message):
            clip.picture(index, 48, 1)


@pytest.mark.parametrize("name", ["time", "stride", "size", "batch_size"])
@pytest.mark.parametrize("value", [0, 1.5, True])
def test_arguments(two, name, value):
    with pytest.raises(ValueError, match=rf"argument `{name}`\. Expected an integer of 1 or more"):
        clips.load(two, **{name: value})


def test_no_clips_and_other_channels(two):
    with pytest.raises(ValueError, match=r"argument `clips`\. Expected clips with frames"):
        clips.load([])
    with pytest.raises(ValueError, match=r"argument `channels`\. Expected 1 \(gray\) or 3"):
        clips.load(two, channels=4)
