import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from keras_affect import emotions
from keras_affect.datasets import valence_arousal
from tests.datasets.picture_folders import pixels_of, save, write_csv

HEADER = ["path", "emotion", "valence", "arousal"]


@pytest.fixture
def folder(tmp_path):
    for number in range(6):
        save(tmp_path / f"{number}.png", pixels_of(number))
    return tmp_path


def read(folder, rows, header=HEADER, **options):
    return valence_arousal.read(write_csv(folder / "faces.csv", header, rows), **options)


def refuse(folder, match, rows, header=HEADER, **options):
    with pytest.raises(ValueError, match=match) as caught:
        read(folder, rows, header, **options)
    assert "\n" not in str(caught.value)
    assert "faces.csv" in str(caught.value)


# === What is read


def test_any_label_may_be_missing(folder):
    data = read(
        folder,
        [
            ["0.png", "happy", "0.5", "-0.25"],
            ["1.png", "", "0.5", "0.1"],
            ["2.png", "Fear", "nan", ""],
            ["3.png", "none", "-1", "NULL"],
        ],
    )
    assert list(data.names) == ["0.png", "1.png", "2.png", "3.png"]
    assert data.rows.tolist() == [2, 3, 4, 5]
    assert data.emotion.argmax(axis=1).tolist() == [1, 0, 6, 0]
    assert data.emotion.sum(axis=1).tolist() == [1, 0, 1, 0]
    np.testing.assert_array_equal(
        data.valence_arousal,
        np.array([[0.5, -0.25], [0.5, 0.1], [np.nan, np.nan], [-1, np.nan]], np.float32),
    )
    np.testing.assert_array_equal(data.picture(2)[..., 0], pixels_of(2))


def test_votes_become_shares(folder):
    header = ["image", *emotions.NAMES[:3], "angry"]
    data = read(folder, [["0.png", 6, 2, "", 2], ["1.png", 0, 0, 1, 0]], header)
    np.testing.assert_allclose(data.emotion[0], [0.6, 0.2, 0, 0, 0.2, 0, 0, 0], atol=1e-7)
    np.testing.assert_allclose(data.emotion[1], np.eye(8)[2])


@pytest.mark.parametrize(
    ("codes", "names"),
    [
        ("ferplus", ["neutral", "sadness"]),
        ("affectnet", ["neutral", "surprise"]),
        ("fer2013", ["anger", "happiness"]),
        ({0: "joy", 3: "scared"}, ["happiness", "fear"]),
    ],
)
def test_codes(folder, codes, names):
    data = read(folder, [["0.png", 0], ["1.png", 3]], ["path", "label"], codes=codes)
    assert [emotions.NAMES[i] for i in data.emotion.argmax(axis=1)] == names


@pytest.mark.parametrize(("scale", "low", "high"), [("five", -5, 5), ("sam", 1, 9), ((0, 2), 0, 2)])
def test_scales(folder, scale, low, high):
    rows = [["0.png", "", low, high]]
    data = read(folder, rows, scale=scale)
    np.testing.assert_allclose(data.valence_arousal, [[-1, 1]])
    refuse(folder, r"row 2: expected valence in \[", [["0.png", "", low - 1, high]], scale=scale)


def test_splits(folder):
    rows = [[f"{i}.png", "joy", "train" if i % 3 else "test"] for i in range(6)]
    header = ["path", "emotion", "split"]
    assert list(read(folder, rows, header, split="test").names) == ["0.png", "3.png"]
    assert len(read(folder, rows, header)) == 6
    refuse(folder, r"faces\.csv: the valid split is empty", rows, header, split="valid")


def test_box_cuts_a_square_around_the_face(tmp_path):
    picture = np.zeros((70, 90), np.uint8)
    picture[10:58, 20:68] = pixels_of(1)
    save(tmp_path / "a.png", picture)
    header = ["path", "valence", "left", "top", "width", "height"]
    data = read(tmp_path, [["a.png", 0, 20, 10, 48, 48]], header)
    np.testing.assert_array_equal(data.picture(0)[..., 0], pixels_of(1))
    # Taller than wide: a square of the longer side, not squeezed.
    data = read(tmp_path, [["a.png", 0, 30, 10, 28, 48]], header)
    np.testing.assert_array_equal(data.picture(0)[..., 0], pixels_of(1))
    refuse(
        tmp_path,
        r"row 2: the face's box \(90, 0, 95, 5\) lies outside",
        [["a.png", 0, 90, 0, 5, 5]],
        header,
    )
    refuse(
        tmp_path,
        "row 2: expected a face's width and height above 0",
        [["a.png", 0, 9, 0, 0, 5]],
        header,
    )
    refuse(
        tmp_path,
        "row 1: a face's box needs left, top, width, height; found only left",
        [["a.png", 0, 9]],
        header[:3],
    )


def test_size_channels_and_upright(tmp_path):
    colour = pixels_of(3, 60, 3)
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its side
    Image.fromarray(colour).save(tmp_path / "a.png", exif=exif)
    data = read(tmp_path, [["a.png", "joy"]], ["path", "emotion"], size=60, channels=3)
    np.testing.assert_array_equal(data.picture(0), np.rot90(colour, -1))
    assert read(tmp_path, [["a.png", "joy"]], HEADER[:2], size=32).picture(0).shape == (32, 32, 1)


def test_windows_paths_and_pictures_elsewhere(tmp_path):
    save(tmp_path / "pictures" / "x" / "a.png", pixels_of(0))
    table = write_csv(tmp_path / "tables" / "faces.csv", HEADER[:2], [["x\\a.png", "joy"]])
    data = valence_arousal.read(table, tmp_path / "pictures")
    assert list(data.names) == ["x/a.png"]
    assert data.picture(0).shape == (48, 48, 1)


def test_korean_names_in_cp949(tmp_path):
    save(tmp_path / "표정.png", pixels_of(0))
    table = write_csv(tmp_path / "faces.csv", HEADER[:2], [["표정.png", "joy"]], "cp949", ";")
    assert list(valence_arousal.read(table, encoding="cp949").names) == ["표정.png"]


# === What is wrong with rows and pictures


@pytest.mark.parametrize(
    ("row", "match"),
    [
        (["0.png", "hapy", 0, 0], r"row 2: expected an emotion \(neutral, .*found 'hapy'"),
        (["0.png", "3", 0, 0], "found '3'; what numbers stand for is said with codes="),
        (["0.png", "joy", "1.5", 0], r"row 2: expected valence in \[-1, 1\], found '1\.5'"),
        (["0.png", "joy", 0, "much"], "row 2: expected a number for arousal, found 'much'"),
        (["0.png", "joy", "inf", 0], "row 2: expected a number for valence, found 'inf'"),
        (["0.png", "", "", ""], "row 2: holds no label"),
        (["0.png", "joy"], "row 2: expected at least 4 columns, found 2"),
        (["9.png", "joy", 0, 0], r"row 2: picture .*9\.png is missing"),
        (["", "joy", 0, 0], "row 2: expected the name of a picture, found ''"),
        (["../0.png", "joy", 0, 0], r"row 2: picture '\.\./0\.png' is not inside the folder"),
        (["a/../../0.png", "joy", 0, 0], "row 2: picture .* is not inside the folder"),
        (["..\\0.png", "joy", 0, 0], "row 2: picture .* is not inside the folder"),
        (["/etc/passwd", "joy", 0, 0], "row 2: picture '/etc/passwd' is not inside the folder"),
        (["C:/0.png", "joy", 0, 0], "row 2: picture 'C:/0.png' is not inside the folder"),
        (["link.png", "joy", 0, 0], "row 2: picture 'link.png' is a symbolic link that leads out"),
        (["out/1.png", "joy", 0, 0], "row 2: picture 'out/1.png' is a symbolic link that leads"),
        (["dangling.png", "joy", 0, 0], r"row 2: picture .*dangling\.png is missing"),
        (["text.png", "joy", 0, 0], r"row 2: picture .*text\.png can't be decoded \(not a pict"),
        (["cut.png", "joy", 0, 0], r"row 2: picture .*cut\.png can't be decoded"),
        (["folder", "joy", 0, 0], "row 2: picture .*folder can't be decoded"),
    ],
)
def test_fault_names_file_and_row_or_is_counted(folder, tmp_path_factory, row, match):
    outside = tmp_path_factory.mktemp("outside")
    save(outside / "1.png", pixels_of(1))
    (folder / "link.png").symlink_to(outside / "1.png")
    (folder / "out").symlink_to(outside)
    (folder / "dangling.png").symlink_to("nowhere.png")
    (folder / "text.png").write_text("no picture")
    (folder / "cut.png").write_bytes((folder / "0.png").read_bytes()[:900])
    (folder / "folder").mkdir()
    rows = [row, ["1.png", "joy", 0, 0]]
    refuse(folder, match, rows)
    with pytest.warns(UserWarning, match="1 of 2 rows or pictures skipped; the first: .*row 2: "):
        data = read(folder, rows, on_error="skip")
    assert list(data.names) == ["1.png"]


def test_links_within_the_folder_are_followed(folder):
    (folder / "again.png").symlink_to("2.png")
    data = read(folder, [["again.png", "joy", 0, 0]])
    np.testing.assert_array_equal(data.picture(0)[..., 0], pixels_of(2))


def test_one_picture_in_two_rows(folder):
    rows = [["0.png", "joy", 0, 0], ["1.png", "sad", 0, 0], ["./0.png", "sad", 0, 0]]
    refuse(folder, r"row 4: picture 0\.png stands in row 2 already", rows)
    with pytest.warns(UserWarning, match="1 of 3 rows"):
        data = read(folder, rows, on_error="skip")
    assert data.rows.tolist() == [2, 3]


@pytest.mark.parametrize(
    ("header", "match"),
    [
        (
            ["name", "emotion"],
            r"row 1: expected a header with a column for picture \(picture, path",
        ),
        (["path", "mood"], "row 1: expected a header with a column for emotion, for votes, for va"),
        (["path", "emotion", "anger"], r"a column for the emotion and columns of votes \(anger\)"),
    ],
)
def test_wrong_header(folder, header, match):
    refuse(folder, match, [["0.png", "joy", 1]], header)


def test_split_without_its_column(folder):
    refuse(
        folder,
        "split='test' was asked for, and no column says",
        [["0.png", "joy", 0, 0]],
        split="test",
    )


def test_no_row_is_left(folder):
    refuse(folder, r"faces\.csv: the whole split is empty", [])


def test_a_picture_that_breaks_after_it_was_checked_is_named(folder):
    data = read(folder, [["0.png", "joy", 0, 0]], check="exists")
    (folder / "0.png").write_text("no picture")
    with pytest.raises(ValueError, match=r"faces\.csv, row 2: picture .*0\.png can't be decoded"):
        data.picture(0)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"codes": "raf"}, "argument `codes`. Expected one of ferplus, affectnet, fer2013"),
        ({"scale": "ten"}, "argument `target`. Expected one of 'unit'"),
        ({"size": 0}, "argument `size`. Expected an integer of 1 or more"),
        ({"channels": 2}, r"argument `channels`\. Expected 1 \(gray\) or 3"),
        ({"check": "all"}, "argument `check`. Expected one of none, exists, decode"),
        ({"on_error": "ignore"}, "argument `on_error`"),
    ],
)
def test_arguments(folder, options, match):
    with pytest.raises(ValueError, match=match):
        read(folder, [["0.png", "joy", 0, 0]], **options)


def test_missing_folder_and_table(folder):
    with pytest.raises(FileNotFoundError, match=r"none\.csv"):
        valence_arousal.read(folder / "none.csv")
    table = write_csv(folder / "faces.csv", HEADER, [["0.png", "joy", 0, 0]])
    with pytest.raises(FileNotFoundError, match="nowhere: no folder of pictures here"):
        valence_arousal.read(table, folder / "nowhere")


# === For model.fit


def test_division_keeps_pictures_where_they_are(folder):
    rows = [[f"{i}.png", "joy", 0, 0] for i in range(6)]
    train, test = read(folder, rows).divide(0.5, seed=3)
    assert sorted([*train.names, *test.names]) == [f"{i}.png" for i in range(6)]
    fewer = read(folder, rows[1:]).divide(0.5, seed=3)
    assert {*fewer[1].names} == {*test.names} - {"0.png"}
    assert {*read(folder, rows).divide(0.5, seed=5)[1].names} != {*test.names}
    with pytest.raises(ValueError, match=r"argument `share`. Expected a float in \(0, 1\)"):
        train.divide(1.0)
    with pytest.raises(ValueError, match=r"cannot be divided with share=0\.001"):
        train.divide(0.001)


def test_batches_keep_to_the_contract(folder):
    rows = [[f"{i}.png", "" if i == 2 else "joy", 0.5, "" if i == 3 else 0.25] for i in range(6)]
    table = write_csv(folder / "faces.csv", HEADER, rows)
    dataset = valence_arousal.load(table, batch_size=4, shuffle=False)
    batches = [(x.numpy(), {k: v.numpy() for k, v in y.items()}) for x, y in dataset]
    images = np.concatenate([x for x, _ in batches])
    assert images.dtype == np.float32
    np.testing.assert_array_equal(images[5, ..., 0], pixels_of(5))
    assert [len(x) for x, _ in batches] == [4, 2]
    labels = batches[0][1]
    assert labels["emotion"].sum(axis=1).tolist() == [1, 1, 0, 1]
    assert np.isnan(labels["valence_arousal"]).sum(axis=1).tolist() == [0, 0, 0, 1]
    with pytest.raises(ValueError, match=r"argument `cache`\. Expected None or 'memory'"):
        valence_arousal.load(table, cache="faces.npy")


def test_order_is_a_function_of_seed_and_epoch(folder):
    rows = [[f"{i}.png", "joy", i / 10, 0] for i in range(6)]
    data = read(folder, rows)

    def orders(**options):
        dataset = data.batches(shuffle=True, seed=5, **options)
        return [
            [round(float(v), 1) for _, y in dataset for v in y["valence_arousal"][:, 0]]
            for _ in range(2)
        ]

    first = orders()
    assert first == orders(cache="memory")
    assert first[0] != first[1]
    assert orders(initial_epoch=1)[0] == first[1]


# === Whatever the bytes


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_any_bytes_are_read_or_refused_in_one_line(folder, data):
    table = write_csv(
        folder / "faces.csv", HEADER, [[f"{i}.png", "joy", 0.5, 0.25] for i in range(3)]
    )
    content = bytearray(table.read_bytes())
    place = data.draw(st.integers(0, len(content)))
    cut = data.draw(st.integers(0, 8))
    content[place : place + cut] = data.draw(st.binary(max_size=8))
    table.write_bytes(content)
    said = ""
    try:
        read_back = valence_arousal.read(table, check="exists")
    except ValueError as error:
        said = str(error)
    if said:
        assert said.startswith(f"{table}")
        assert "\n" not in said
    else:
        assert np.nanmax(np.abs(read_back.valence_arousal), initial=0) <= 1
        assert (read_back.emotion.sum(axis=1) <= 1).all()
