import pytest

from keras_affect.datasets.tables import open_table

KNOWN = {"picture": ("path", "image"), "valence": ("valence",), "arousal": ("arousal",)}


def rows(path, text, written_in="utf-8", **options):
    path.write_bytes(text.encode(written_in) if isinstance(text, str) else text)
    table = open_table(path, KNOWN, ("picture",), **options)
    return table, list(table.rows)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "faces.csv"


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_separators_line_ends_and_marks(path, separator, end, encoding):
    lines = [["path", "valence", "arousal"], ["é.png", "0.5", ""], [], ["b.png", "1", "2"]]
    text = end.join(separator.join(fields) for fields in lines)
    table, found = rows(path, text, encoding)
    assert table.columns == {"picture": 0, "valence": 1, "arousal": 2}
    assert table.header == ("path", "valence", "arousal")
    assert found == [(2, ["é.png", "0.5", ""]), (4, ["b.png", "1", "2"])]


def test_korean_encoding_is_read_when_named_and_asked_for_when_not(path):
    text = "path,valence\n표정.png,0.5\n"
    _, found = rows(path, text, "cp949", encoding="cp949")
    assert found == [(2, ["표정.png", "0.5"])]
    with pytest.raises(ValueError, match=r"faces\.csv, row 2: not utf-8 .*encoding='cp949'"):
        rows(path, text, "cp949")


def test_wrong_named_encoding_names_the_row(path):
    with pytest.raises(ValueError, match=r"faces\.csv, row 2: not ascii \(ordinal"):
        rows(path, "path,valence\n표정.png,0.5\n", encoding="ascii")


def test_unknown_encoding(path):
    with pytest.raises(ValueError, match=r"argument `encoding`\. .*Received: encoding='cp9999'"):
        rows(path, "path\na\n", encoding="cp9999")


def test_cut_utf16(path):
    with pytest.raises(ValueError, match=r"faces\.csv, row 1: not utf-16"):
        rows(path, "path,valence\n".encode("utf-16")[:-1])


def test_headings_of_ones_own_go_first_and_capitals_do_not_matter(path):
    table, _ = rows(path, "Path,IMG,Valence\n", columns={"picture": "img"})
    assert table.columns == {"picture": 1, "valence": 2}


def test_unknown_column_key(path):
    with pytest.raises(ValueError, match=r"argument `columns`\. Expected keys among picture, "):
        rows(path, "path\n", columns={"mood": "x"})


def test_wrong_header_says_what_was_found(path):
    with pytest.raises(ValueError, match="row 2") as caught:
        rows(path, "\nname,valence\na.png,1\n")
    assert str(caught.value) == (
        f"{path}, row 2: expected a header with a column for picture (path, image); "
        "found name, valence"
    )


def test_headerless(path):
    table, found = rows(path, "a.png,1\nb.png,2\n", headerless=("picture", "valence"))
    assert table.header == ()
    assert table.columns == {"picture": 0, "valence": 1}
    assert found == [(1, ["a.png", "1"]), (2, ["b.png", "2"])]


@pytest.mark.parametrize("text", ["", "\n\n", "\ufeff"])
def test_empty(path, text):
    with pytest.raises(ValueError, match=r"faces\.csv: the table is empty"):
        rows(path, text)


def test_missing(path):
    with pytest.raises(FileNotFoundError, match=r"faces\.csv"):
        open_table(path, KNOWN, ())


def test_delimiter_is_one_character(path):
    with pytest.raises(ValueError, match="argument `delimiter`"):
        rows(path, "path\n", delimiter="--")


def test_quotes_and_lines_within_them(path):
    _, found = rows(path, 'path,valence\n"a, b.png",1\n"c\nd",2\ne,3\n')
    assert found == [(2, ["a, b.png", "1"]), (4, ["c\nd", "2"]), (5, ["e", "3"])]


def test_a_quote_that_never_ends_is_one_line_and_not_the_memory(path):
    with pytest.raises(ValueError, match=r"faces\.csv, row \d+: not a row of a csv \(field larger"):
        rows(path, 'path,valence\n"a,1\n' + "b.png,2\n" * 40_000)
