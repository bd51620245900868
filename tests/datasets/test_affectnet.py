import numpy as np
import pytest

from keras_affect import emotions
from keras_affect.datasets import affectnet
from tests.datasets.picture_folders import (
    AFFECTNET_HEADER,
    pixels_of,
    save,
    write_affectnet_folders,
    write_affectnet_list,
    write_csv,
)

#: Each of the eleven codes once, as AffectNet has them: ratings of -2 where they are not known.
ELEVEN = [(code, 0.1 * code - 0.4, 0.25) for code in range(9)] + [(9, -2, -2), (10, -2, -2)]
NAMES = ["neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt"]


def check_eleven(data):
    assert len(data) == 9
    expected = np.zeros((9, 8), np.float32)
    for row, name in enumerate(NAMES):
        expected[row, emotions.index(name)] = 1
    np.testing.assert_array_equal(data.emotion, expected)
    np.testing.assert_allclose(
        data.valence_arousal, [[0.1 * code - 0.4, 0.25] for code in range(9)], atol=1e-7
    )
    assert data.left_out == {"uncertain": 1, "no face": 1}


# === The lists of 2017


def test_list_maps_eleven_codes(tmp_path):
    write_affectnet_list(tmp_path, ELEVEN)
    data = affectnet.read(tmp_path)
    check_eleven(data)
    assert data.rows.tolist() == list(range(2, 11))
    np.testing.assert_array_equal(data.picture(4)[..., 0], pixels_of(4))


def test_none_can_be_left_out(tmp_path):
    write_affectnet_list(tmp_path, ELEVEN)
    data = affectnet.read(tmp_path, keep_none=False)
    assert len(data) == 8
    assert data.left_out == {"none": 1, "uncertain": 1, "no face": 1}


def test_list_without_a_header_and_in_its_own_folder(tmp_path):
    write_affectnet_list(tmp_path, ELEVEN, "Manually_Annotated_file_lists/validation.csv", None)
    data = affectnet.read(tmp_path, "valid")
    check_eleven(data)
    assert data.rows.tolist() == list(range(1, 10))


def test_pictures_in_a_folder_of_their_own(tmp_path):
    write_affectnet_list(tmp_path, ELEVEN)
    (tmp_path / "Manually_Annotated").mkdir()
    images = tmp_path / "Manually_Annotated_Images"
    images.rename(tmp_path / "Manually_Annotated" / images.name)
    assert len(affectnet.read(tmp_path)) == 9


def test_crops(tmp_path):
    write_affectnet_list(tmp_path, [(1, 0.5, 0.5)])
    whole = affectnet.read(tmp_path, crop="whole", size=100).picture(0)
    picture = np.zeros((80, 100), np.uint8)
    picture[20:68, 30:78] = pixels_of(0)
    # Not squeezed: the border is repeated above and below.
    np.testing.assert_array_equal(whole[10:90, :, 0], picture)
    box = affectnet.read(tmp_path, crop="box").picture(0)
    np.testing.assert_array_equal(box[..., 0], picture[20:68, 30:78])
    wide = affectnet.read(tmp_path, crop="box", margin=0.25, size=72).picture(0)
    np.testing.assert_array_equal(wide[..., 0], picture[8:80, 18:90])
    marked = affectnet.read(tmp_path, crop="landmarks", size=43).picture(0)
    np.testing.assert_array_equal(marked[..., 0], picture[22:65, 32:75])


def test_automatic_labels(tmp_path):
    save(tmp_path / "Automatically_Annotated_Images" / "0" / "a.png", pixels_of(0))
    row = ["0/a.png", 0, 0, 48, 48, "", 3, 0.1, 0.2]
    write_csv(tmp_path / "automatically_annotated.csv", AFFECTNET_HEADER, [row])
    assert affectnet.read(tmp_path, "automatic").emotion[0].argmax() == emotions.index("surprise")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({6: 11}, r"training\.csv, row 2: expected an expression, 0 to 10, found '11'"),
        ({6: "joy"}, "row 2: expected an expression, 0 to 10, found 'joy'"),
        ({7: 1.5}, r"row 2: expected valence in \[-1, 1\], or -2 where .* found '1\.5'"),
        ({8: ""}, r"row 2: expected arousal in \[-1, 1\], or -2"),
        (
            {3: "NULL"},
            "row 2: expected face_x, face_y, face_width, face_height, found 30, 20, NULL",
        ),
        ({3: 0}, "row 2: expected face_x, face_y, face_width, face_height, found 30, 20, 0, 48"),
        ({0: "../x.png"}, "row 2: picture '../x.png' is not inside the folder"),
        ({0: "0/9999.png"}, r"row 2: picture .*9999\.png is missing"),
    ],
)
def test_fault_in_a_list(tmp_path, change, match):
    table = write_affectnet_list(tmp_path, [(1, 0.5, 0.5), (2, 0.5, 0.5)])
    lines = [line.split(",") for line in table.read_text().splitlines()]
    for place, value in change.items():
        lines[1][place] = value
    write_csv(table, None, lines)
    with pytest.raises(ValueError, match=match):
        affectnet.read(tmp_path)
    with pytest.warns(UserWarning, match="1 of 2 rows or pictures skipped"):
        assert affectnet.read(tmp_path, on_error="skip").rows.tolist() == [3]


def test_landmarks_at_fault_are_seen_where_they_are_used(tmp_path):
    table = write_affectnet_list(tmp_path, [(1, 0.5, 0.5)])
    lines = [line.split(",") for line in table.read_text().splitlines()]
    lines[1][5] = "1;2;3;4"
    write_csv(table, None, lines)
    with pytest.raises(ValueError, match="row 2: expected 68 landmarks as 136 numbers, found 4"):
        affectnet.read(tmp_path, crop="landmarks")
    assert len(affectnet.read(tmp_path, crop="box")) == 1


def test_pictures_are_decoded_at_once_when_asked(tmp_path):
    write_affectnet_list(tmp_path, [(1, 0.5, 0.5), (2, 0.5, 0.5)])
    (tmp_path / "Manually_Annotated_Images" / "0" / "0000.png").write_text("no picture")
    assert len(affectnet.read(tmp_path)) == 2
    with pytest.raises(ValueError, match=r"row 2: picture .*0000\.png can't be decoded"):
        affectnet.read(tmp_path, check="decode")


# === The folders of eight labels


@pytest.mark.parametrize("as_text", [True, False])
def test_folders_map_codes_and_ratings(tmp_path, as_text):
    write_affectnet_folders(tmp_path, ELEVEN, as_text=as_text)
    data = affectnet.read(tmp_path, size=224, channels=3)
    check_eleven(data)
    # By number, not by name: 10 after 9.
    assert list(data.names) == [f"{i}.png" for i in range(9)]
    np.testing.assert_array_equal(data.picture(3), pixels_of(3, 224, 3))


def test_folders_without_the_name_of_a_split(tmp_path):
    write_affectnet_folders(tmp_path, [(0, 0, 0)], split="val_set")
    assert len(affectnet.read(tmp_path, "valid")) == 1
    assert len(affectnet.read(tmp_path / "val_set", "valid")) == 1


@pytest.mark.parametrize(("own", "other"), [("train", "valid"), ("valid", "train")])
def test_a_splits_own_folder_is_not_read_as_the_other(tmp_path, monkeypatch, own, other):
    folder = affectnet.SPLITS[own][2]
    write_affectnet_folders(tmp_path, [(0, 0, 0)], split=folder)
    monkeypatch.chdir(tmp_path / folder)
    for place in (tmp_path / folder, "."):
        assert len(affectnet.read(place, own)) == 1
        with pytest.raises(FileNotFoundError, match=f"no AffectNet {other} split here"):
            affectnet.read(place, other)


def test_a_folder_of_any_name_is_the_split_that_is_asked_for(tmp_path, monkeypatch):
    write_affectnet_folders(tmp_path, [(0, 0, 0)], split="faces")
    monkeypatch.chdir(tmp_path / "faces")
    for split in ("train", "valid"):
        assert len(affectnet.read(".", split)) == 1


def test_landmarks_of_folders(tmp_path):
    write_affectnet_folders(tmp_path, [(0, 0, 0)])
    data = affectnet.read(tmp_path, crop="landmarks", size=100, channels=3)
    np.testing.assert_array_equal(data.picture(0), pixels_of(0, 224, 3)[70:170, 60:160])
    with pytest.raises(
        ValueError, match=r"argument `crop`\. Expected 'whole' or 'landmarks' for the"
    ):
        affectnet.read(tmp_path, crop="box")


@pytest.mark.parametrize(
    ("part", "content", "match"),
    [
        ("exp", None, r"0_exp\.npy: missing"),
        ("val", b"no array", r"0_val\.npy: not an array of numbers"),
        ("exp", np.array(12), r"0_exp\.npy: expected an expression, 0 to 10, found '12'"),
        ("exp", np.array(1.5), r"0_exp\.npy: expected an expression, 0 to 10, found '1\.5'"),
        ("aro", np.array([0.1, 0.2]), r"0_aro\.npy: expected one number, found 2"),
        ("aro", np.array("calm"), r"0_aro\.npy: not an array of numbers"),
        ("val", np.array(3.0), r"expected valence in \[-1, 1\], or -2"),
        ("val", np.array({"run": "me"}, dtype=object), r"0_val\.npy: not an array of numbers"),
    ],
)
def test_fault_in_folders(tmp_path, part, content, match):
    write_affectnet_folders(tmp_path, [(1, 0.5, 0.5), (2, 0.5, 0.5)])
    path = tmp_path / "train_set" / "annotations" / f"0_{part}.npy"
    if content is None:
        path.unlink()
    elif isinstance(content, bytes):
        path.write_bytes(content)
    else:
        np.save(path, content, allow_pickle=True)
    with pytest.raises(ValueError, match=match):
        affectnet.read(tmp_path)
    with pytest.warns(UserWarning, match="1 of 2 rows or pictures skipped"):
        assert list(affectnet.read(tmp_path, on_error="skip").names) == ["1.png"]


def test_two_pictures_of_one_number(tmp_path):
    write_affectnet_folders(tmp_path, [(1, 0.5, 0.5)])
    save(tmp_path / "train_set" / "images" / "0.jpg", pixels_of(0))
    with pytest.raises(ValueError, match=r"0\.png: another picture has this number too"):
        affectnet.read(tmp_path)


# === Neither


@pytest.mark.parametrize("split", ["train", "automatic"])
def test_nothing_there(tmp_path, split):
    name = affectnet.SPLITS[split][0]
    with pytest.raises(FileNotFoundError, match=rf"no AffectNet {split} split here.*{name}"):
        affectnet.read(tmp_path, split)


def test_no_label_is_left(tmp_path):
    write_affectnet_list(tmp_path, ELEVEN[-2:])
    with pytest.raises(ValueError, match=r"training\.csv: the train split is empty"):
        affectnet.read(tmp_path)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"split": "test"}, "argument `split`. Expected one of train, valid, automatic"),
        ({"crop": "face"}, "argument `crop`. Expected one of box, landmarks, whole"),
        ({"margin": -0.1}, r"argument `margin`. Expected a number in \[0, 10\)"),
    ],
)
def test_arguments(tmp_path, options, match):
    with pytest.raises(ValueError, match=match):
        affectnet.read(tmp_path, **options)


def test_load(tmp_path):
    write_affectnet_list(tmp_path, ELEVEN)
    ((images, labels),) = affectnet.load(tmp_path, batch_size=9, shuffle=False)
    assert images.shape == (9, 48, 48, 1)
    assert labels["emotion"].numpy().sum(axis=1).tolist() == [1] * 8 + [0]
    assert np.isfinite(labels["valence_arousal"]).all()
