"""AFEW-VA on a small folder in its format, which is written here."""

import json

import numpy as np
import pytest
from PIL import Image

from keras_affect.datasets import afew_va, clips


def landmarks(left, top, side):
    """68 points on a circle that touches a square's four sides."""
    angles = np.linspace(0, 2 * np.pi, 68, endpoint=False)
    x, y = left + side / 2 * (1 + np.cos(angles)), top + side / 2 * (1 + np.sin(angles))
    return np.stack([x, y], axis=1).tolist()


def write_clip(root, name, ratings, side=40):
    folder = root / name
    folder.mkdir(parents=True)
    frames = {}
    for number, (valence, arousal) in enumerate(ratings):
        picture = Image.new("RGB", (120, 90), (0, 0, 0))
        # Brighter where the face is, by the frame's number.
        picture.paste((100 + number,) * 3, (10 + number, 20, 90 + number, 90))
        picture.save(folder / f"{number:05}.png")
        frames[f"{number:05}"] = {
            "landmarks": landmarks(30 + number, 40, side),
            "valence": valence,
            "arousal": arousal,
        }
    content = {"video_id": name, "actor": "nobody", "frames": frames}
    (folder / f"{name}.json").write_text(json.dumps(content))
    return folder / f"{name}.json"


@pytest.fixture
def root(tmp_path):
    write_clip(tmp_path, "002", [(0.0, -10.0)] * 12)
    write_clip(tmp_path, "001", [(10.0, -5.0), (2.0, 0.0), (-10.0, 1.0)])
    (tmp_path / "readme").mkdir()
    (tmp_path / "labels.txt").write_text("no clip")
    return tmp_path


def test_clips_in_order_and_on_the_scale_of_this_package(root):
    first, second = afew_va.read(root)
    assert (first.name, len(first), second.name, len(second)) == ("001", 3, "002", 12)
    np.testing.assert_allclose(first.valence_arousal, [[1, -0.5], [0.2, 0], [-1, 0.1]], atol=1e-6)
    assert first.valence_arousal.dtype == np.float32
    assert first.emotion.shape == (3, 8)
    assert not first.emotion.any()
    assert [name[-9:-4] for name in second.frames] == [f"{i:05}" for i in range(12)]


def test_faces_by_their_landmarks(root):
    first, _ = afew_va.read(root, margin=0.25)
    assert first.boxes == tuple((20 + i, 30, 80 + i, 90) for i in range(3))
    for frame in range(3):
        assert (first.picture(frame, 48, 1) == 100 + frame).all()
    wide, _ = afew_va.read(root, margin=1)
    # The negative control: a wider box has what is beside the face in it.
    assert wide.picture(0, 48, 1).min() == 0


def test_it_goes_into_batches(root):
    frames, labels = next(iter(clips.load(afew_va.read(root), 8, size=16)))
    assert frames.shape == (3, 8, 16, 16, 1)
    assert np.isnan(labels["valence_arousal"][0, 3:]).all()
    assert not np.isnan(labels["valence_arousal"][0, :3]).any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text[:-30], r"001\.json: not a clip of AFEW-VA \(JSONDecodeError"),
        (lambda text: "[]", r"001\.json: not a clip of AFEW-VA \(TypeError"),
        (lambda text: '{"frames": {}}', r"001\.json: holds no frames"),
        (lambda text: text.replace("00001", "first"), r"001\.json: not a clip .*first"),
        (
            lambda text: text.replace('"arousal": 0.0', '"arousal": 11'),
            r"001\.json, frame 00001: expected valence and arousal from -10 to 10 .*\(2, 11\)",
        ),
        (
            lambda text: text.replace('"arousal": 0.0', '"arousal": NaN'),
            r"frame 00001: expected valence and arousal",
        ),
        (
            lambda text: text.replace('"valence": 2.0, ', ""),
            r"frame 00001: expected valence and arousal .*KeyError: 'valence'",
        ),
        (
            lambda text: text.replace('"landmarks": [[', '"landmarks": [[1, 2], [', 1),
            r"frame 00000: expected 68 landmarks \(x, y\) around a face .*shape \(69, 2\)",
        ),
    ],
)
def test_damaged_files_name_themselves_and_the_frame(root, change, message):
    file = root / "001" / "001.json"
    file.write_text(change(file.read_text()))
    with pytest.raises(ValueError, match=message):
        afew_va.read(root)


def test_folders_that_are_not_it(tmp_path):
    with pytest.raises(NotADirectoryError, match="none: no such folder"):
        afew_va.read(tmp_path / "none")
    with pytest.raises(ValueError, match=r"holds no clip of AFEW-VA, as 001/001\.json"):
        afew_va.read(tmp_path)
    with pytest.raises(ValueError, match=r"argument `margin`\. .*Received: margin=-1"):
        afew_va.read(tmp_path, margin=-1)
