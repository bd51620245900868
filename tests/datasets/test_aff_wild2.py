"""Aff-Wild2 on small folders in its format, which are written here."""

import numpy as np
import pytest
from PIL import Image

from keras_affect import emotions
from keras_affect.datasets import aff_wild2, clips

EXPRESSIONS = "Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise,Other"


def write(folder, name, header, lines):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.txt").write_text("\n".join([header, *lines]) + "\n")
    return folder


def draw(pictures, name, numbers):
    (pictures / name).mkdir(parents=True)
    for number in numbers:
        Image.new("RGB", (112, 112), (number,) * 3).save(pictures / name / f"{number:05}.jpg")


@pytest.fixture
def folders(tmp_path):
    ratings = write(
        tmp_path / "VA_Estimation_Challenge" / "Train_Set",
        "12-24-1920x1080",
        "valence,arousal",
        ["0.5,-0.25", "-1,1", "-5,-5", "0.1,-5", "0,0"],
    )
    write(ratings, "b_left", "valence,arousal", ["0.2,0.3", "0.4,0.5"])
    expressions = write(
        tmp_path / "EXPR_Classification_Challenge" / "Train_Set",
        "12-24-1920x1080",
        EXPRESSIONS,
        ["4", "-1", "7", "3", "6", "1"],
    )
    pictures = tmp_path / "cropped_aligned"
    draw(pictures, "12-24-1920x1080", [1, 2, 3, 4, 6])  # no face in frame 5
    draw(pictures, "b_left", [2])
    return ratings, expressions, pictures


def test_ratings_alone(folders):
    ratings, _, pictures = folders
    first, second = aff_wild2.read(ratings, pictures)
    assert (first.name, second.name) == ("12-24-1920x1080", "b_left")
    # Frame 3 has no rating, frame 5 no picture, and frame 4 no arousal, which is no reason to go.
    np.testing.assert_allclose(
        first.valence_arousal, np.array([[0.5, -0.25], [-1, 1], [0.1, np.nan]], np.float32)
    )
    assert [name[-9:-4] for name in first.frames] == ["00001", "00002", "00004"]
    assert not first.emotion.any()
    # A frame's number is its line: the second picture has the second line's rating.
    np.testing.assert_allclose(second.valence_arousal, [[0.4, 0.5]])
    assert abs(second.picture(0, 48, 1).astype(int) - 2).max() <= 1


def test_expressions_alone(folders):
    _, expressions, pictures = folders
    (clip,) = aff_wild2.read(expressions, pictures)
    assert np.isnan(clip.valence_arousal).all()
    names = [emotions.NAMES[row.argmax()] for row in clip.emotion]
    # "Other" (frame 3) and -1 (frame 2) are no emotion of this package's.
    assert names == ["happiness", "fear", "anger"]
    assert (clip.emotion.sum(axis=1) == 1).all()


def test_both_of_one_video(folders):
    ratings, expressions, pictures = folders
    first, second = aff_wild2.read([ratings, expressions], pictures)
    assert [name[-9:-4] for name in first.frames] == ["00001", "00002", "00004", "00006"]
    assert first.emotion.sum(axis=1).tolist() == [1, 0, 1, 1]
    assert np.isnan(first.valence_arousal).any(axis=1).tolist() == [False, False, True, True]
    assert not second.emotion.any()
    frames, labels = next(iter(clips.load([first, second], 4, size=16)))
    assert frames.shape == (2, 4, 16, 16, 1)
    np.testing.assert_allclose(labels["emotion"][0].numpy().sum(), 1, atol=1e-6)


def test_every_code_has_its_name(tmp_path):
    codes = [str(code) for code in range(8)]
    folder = write(tmp_path / "labels", "v", EXPRESSIONS, codes)
    draw(tmp_path / "pictures", "v", range(1, 9))
    (clip,) = aff_wild2.read(folder, tmp_path / "pictures")
    names = [emotions.NAMES[row.argmax()] for row in clip.emotion]
    said = [emotions.canonical(word) for word in EXPRESSIONS.lower().split(",")[:-1]]
    assert names == said


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["valence,arousal", "0.5"], r"v\.txt, line 2: expected valence and arousal .*'0\.5'"),
        (["valence,arousal", "0,0", "0,1.5"], r"v\.txt, line 3: expected .* found '0,1\.5'"),
        (["valence,arousal", "", "0,0"], r"v\.txt, line 2: expected .* found ''"),
        ([EXPRESSIONS, "8"], r"v\.txt, line 2: expected an expression from 0 to 7.*'8'"),
        ([EXPRESSIONS, "happy"], r"v\.txt, line 2: expected an expression .*'happy'"),
        (["0.5,0.5"], r"v\.txt, line 1: expected a header as 'valence,arousal'.*found '0\.5,0\.5'"),
        ([""], r"v\.txt, line 1: expected a header"),
    ],
)
def test_lines_that_are_not_what_the_header_says(tmp_path, lines, message):
    folder = write(tmp_path / "labels", "v", lines[0], lines[1:])
    with pytest.raises(ValueError, match=message):
        aff_wild2.read(folder, folder)


def test_folders_that_do_not_go_together(folders, tmp_path):
    ratings, _, pictures = folders
    with pytest.raises(NotADirectoryError, match="none: no such folder"):
        aff_wild2.read(ratings, tmp_path / "none")
    with pytest.raises(ValueError, match=r"holds no annotations, as NAME\.txt"):
        aff_wild2.read(pictures, pictures)
    with pytest.raises(ValueError, match=r"holds no picture of the 2 videos .*1080/00001\.jpg"):
        aff_wild2.read(ratings, tmp_path)
    again = write(tmp_path / "again", "b_left", "Valence, Arousal", ["0,0"])
    with pytest.raises(ValueError, match=r"again/b_left\.txt: .*Train_Set/b_left\.txt annotates"):
        aff_wild2.read([ratings, again], pictures)
