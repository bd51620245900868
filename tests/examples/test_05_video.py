"""The short run of the example, and reading clips of every kind that it takes."""

import re

import numpy as np
import pytest
from PIL import Image

from tests.examples.running import refused, run_example

NAME = "05_video.py"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """What the short run prints, and the model that it keeps."""
    path = tmp_path_factory.mktemp("kept") / "stream.tflite"
    return printed("--smoke", "--keep", path), path


def printed(*arguments):
    with pytest.MonkeyPatch.context() as patch:
        lines = []
        patch.setattr("builtins.print", lambda *parts, **_: lines.append(" ".join(map(str, parts))))
        run_example(NAME, *arguments)
    return "\n".join(lines).splitlines()


def test_it_trains_exports_and_streams(run):
    lines, path = run
    assert path.stat().st_size > 100_000
    assert any(line.startswith("training on 8 drawn clips of 12 frames") for line in lines)
    (error,) = (line for line in lines if line.startswith("largest error"))
    assert float(re.search(r"valence_arousal ([\d.e-]+)", error)[1]) < 0.05
    assert sum(re.match(r"[ \d]\d\.\d\ds ", line) is not None for line in lines) == 12
    scores = [line for line in lines if "CCC" in line]
    assert [line[:17].strip() for line in scores] == ["streaming", "each frame alone"]


def test_a_clip_in_every_form(run, tmp_path):
    _, model = run
    rng = np.random.default_rng(0)
    pictures = [
        Image.fromarray(rng.integers(0, 256, (6, 6), dtype=np.uint8)).resize((48, 48))
        for _ in range(3)
    ]
    folder = tmp_path / "folder"
    folder.mkdir()
    for place, picture in enumerate(pictures):
        picture.save(folder / f"{place}.png")
    animated = tmp_path / "clip.gif"
    pictures[0].save(animated, save_all=True, append_images=pictures[1:])
    of_folder, of_gif = (
        printed("--model", model, "--video", video, "--cropped", "--rate", 10)
        for video in (folder, animated)
    )
    assert of_folder == of_gif
    assert [line[:6] for line in of_folder[1:]] == [" 0.00s", " 0.10s", " 0.20s"]
    assert len({line[6:] for line in of_folder[1:]}) > 1


def test_frames_without_a_face_are_said(run, tmp_path):
    pytest.importorskip("cv2")
    Image.new("L", (100, 100), 90).save(tmp_path / "0.png")
    lines = printed("--model", run[1], "--video", tmp_path)
    assert lines[1:] == [" 0.00s  no face"]


def test_bad_arguments_end_in_a_line(capsys, run, tmp_path):
    assert "no such file" in refused(capsys, NAME, "--model", tmp_path / "none.tflite")
    assert "is there already" in refused(capsys, NAME, "--keep", run[1])
    assert "holds no picture" in refused(capsys, NAME, "--model", run[1], "--video", tmp_path)
    for place in (tmp_path / "stream.bin", tmp_path / "none" / "stream.tflite"):
        said = refused(capsys, NAME, "--keep", place)
        assert "expected a .tflite in a folder that is there" in said
    missing = tmp_path / "none.mp4"
    assert "none.mp4: no such file" in refused(capsys, NAME, "--video", missing)
    assert "none.mp4: no such file" in refused(capsys, NAME, "--model", run[1], "--video", missing)
