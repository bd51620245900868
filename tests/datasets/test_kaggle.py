import functools
import io
import json
import sys
import urllib.error
import zipfile

import pytest

from keras_affect import cli
from keras_affect.datasets import ferplus, ferplus_origin, kaggle
from tests.datasets.kaggle_server import KEY, TOKEN, USER, KaggleServer
from tests.datasets.test_ferplus import HAPPY, SAD, write_kaggle

CHUNK = 4096
ROWS = [(i, usage, HAPPY if i % 2 else SAD) for i, usage in
        enumerate(["Training"] * 5 + ["PublicTest"] * 2 + ["PrivateTest"])]  # fmt: skip


@pytest.fixture
def data(tmp_path):
    """The two files, small, with pictures and votes of their own."""
    folder = tmp_path / "source"
    folder.mkdir()
    write_kaggle(folder, ROWS, "icml_face_data.csv")
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def server(monkeypatch, tmp_path, data):
    """Kaggle on loopback, GitHub as a file, an account in the environment, no pause between."""
    from kaggle.api.kaggle_api_extended import KaggleApi
    from kagglesdk import kaggle_env

    home = tmp_path / "home"
    (home / ".kaggle").mkdir(parents=True)
    for name in ("KAGGLE_API_TOKEN", "KAGGLE_CONFIG_DIR", "KAGGLE_KERNEL_RUN_TYPE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("KAGGLE_USERNAME", USER)
    monkeypatch.setenv("KAGGLE_KEY", KEY)
    monkeypatch.setattr(KaggleApi, "config", str(home / ".kaggle" / "kaggle.json"))
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    # What came of a chunk when the connection broke is lost: small ones, for a small file.
    small = functools.partialmethod(KaggleApi.download_file, chunk_size=CHUNK)
    monkeypatch.setattr(KaggleApi, "download_file", small)
    votes = tmp_path / "votes.csv"
    votes.write_bytes(data["fer2013new.csv"])
    monkeypatch.setattr(ferplus_origin, "VOTES_URL", votes.as_uri())
    monkeypatch.setattr(
        ferplus_origin, "VOTES_LENGTH", len(data["fer2013new.csv"].replace(b"\r", b""))
    )
    read = {split: ferplus.read(tmp_path / "source", split) for split in ("train", "valid")}
    for name, digest in (
        ("VOTE_DIGESTS", ferplus_origin.vote_digest),
        ("PICTURE_DIGESTS", ferplus_origin.picture_digest),
    ):
        monkeypatch.setattr(
            ferplus_origin, name, {split: digest(each) for split, each in read.items()}
        )
    with KaggleServer({"icml_face_data.csv": data["icml_face_data.csv"], "test.csv": b"1"}) as it:
        monkeypatch.setitem(kaggle_env._env_to_endpoint, kaggle_env.KaggleEnv.PROD, it.address)
        yield it


def left_over(out):
    return sorted(path.name for path in out.rglob("*") if path.is_file())


def check_whole(out, counts):
    assert counts == {"train": 5, "valid": 2, "test": 1}
    assert left_over(out)[-1] == "icml_face_data.csv"
    assert len(left_over(out)) == 2
    assert len(ferplus.read(out, "train")) == 5


# === What works


def test_competition(server, tmp_path, capfd):
    check_whole(tmp_path / "out", kaggle.ferplus(tmp_path / "out"))
    assert server.calls == ["ListDataFiles", "DownloadDataFile"]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("handle", ["owner/fer2013", "owner/fer2013/3"])
def test_data_set(server, tmp_path, handle):
    check_whole(tmp_path / "out", kaggle.ferplus(tmp_path / "out", handle))
    assert server.calls == ["ListDatasetFiles", "DownloadDataset"]


def test_what_is_whole_is_not_asked_for_again(server, tmp_path):
    kaggle.ferplus(tmp_path / "out")
    check_whole(tmp_path / "out", kaggle.ferplus(tmp_path / "out"))
    assert len(server.sent) == 1


def test_file_that_kaggle_zips_on_the_way(server, tmp_path, data):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("icml_face_data.csv", data["icml_face_data.csv"])
    size = len(data["icml_face_data.csv"])
    server.files = {"icml_face_data.csv": packed.getvalue()}
    server.listed = {"icml_face_data.csv": size}
    check_whole(tmp_path / "out", kaggle.ferplus(tmp_path / "out"))


@pytest.mark.parametrize(
    "credentials", ["environment", "kaggle.json", "token", "access_token", "access_token.txt"]
)
def test_credentials_from_where_kaggle_looks(server, tmp_path, monkeypatch, credentials):
    folder = tmp_path / "home" / ".kaggle"
    if credentials != "environment":
        monkeypatch.delenv("KAGGLE_USERNAME")
        monkeypatch.delenv("KAGGLE_KEY")
    if credentials == "kaggle.json":
        (folder / credentials).write_text(json.dumps({"username": USER, "key": KEY}))
        (folder / credentials).chmod(0o600)
    elif credentials == "token":
        monkeypatch.setenv("KAGGLE_API_TOKEN", TOKEN)
    elif credentials.startswith("access_token"):
        (folder / credentials).write_text(TOKEN + "\n")
    check_whole(tmp_path / "out", kaggle.ferplus(tmp_path / "out"))


def test_command(server, tmp_path, monkeypatch, capfd):
    monkeypatch.setattr("sys.argv", ["keras-affect", "download", "ferplus", "--out", "out"])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0
    out, err = capfd.readouterr()
    assert err == ""
    assert [line.split()[:2] for line in out.splitlines()[:3]] == [
        ["train", "5"],
        ["valid", "2"],
        ["test", "1"],
    ]
    monkeypatch.setenv("KAGGLE_KEY", "wrong")
    monkeypatch.setattr("sys.argv", ["keras-affect", "download", "ferplus", "--out", "other"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("keras-affect: Kaggle refuses the credentials")
    assert err.count("\n") == 1


# === What breaks


def test_without_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "kaggle.api.kaggle_api_extended", None)
    with pytest.raises(ImportError, match=r"pip install 'keras-affect\[kaggle\]'") as caught:
        kaggle.ferplus(tmp_path / "out")
    assert "\n" not in str(caught.value)


def test_cut_connection_goes_on_where_it_stopped(server, tmp_path):
    server.cut = [30_000]
    check_whole(tmp_path / "out", kaggle.ferplus(tmp_path / "out"))
    assert server.sent == [
        ("icml_face_data.csv", 0),
        ("icml_face_data.csv", 30_000 // CHUNK * CHUNK),
    ]


def test_broken_off_and_called_again(server, tmp_path):
    server.cut = [30_000, *[0] * 5]
    with pytest.raises(
        ConnectionError, match=r"the connection to Kaggle broke .*Run the same again"
    ):
        kaggle.ferplus(tmp_path / "out")
    # Half of it waits aside; nothing has the name of a whole file.
    assert not (tmp_path / "out" / "icml_face_data.csv").exists()
    server.sent.clear()
    check_whole(tmp_path / "out", kaggle.ferplus(tmp_path / "out"))
    assert server.sent[-1] == ("icml_face_data.csv", 30_000 // CHUNK * CHUNK)


def test_asked_to_wait_waits(server, tmp_path):
    server.refuse = {"DownloadDataFile": [(429, {"Retry-After": "7"})] * 2}
    check_whole(tmp_path / "out", kaggle.ferplus(tmp_path / "out"))


@pytest.mark.parametrize(
    ("answer", "error", "match"),
    [
        ((401, {}), PermissionError, "Kaggle refuses the credentials. .*settings/api"),
        ((403, {}), PermissionError, "does not give .* to this account: .*accept its rules"),
        ((404, {}), FileNotFoundError, "Kaggle has no .*challenges-in-representation"),
        ((429, {"Retry-After": "600"}), ConnectionError, "Kaggle asks to wait"),
        ((500, {}), ConnectionError, "Kaggle answered 500 when asked for"),
    ],
)
@pytest.mark.parametrize("method", ["ListDataFiles", "DownloadDataFile"])
def test_refusals_are_one_line(server, tmp_path, capfd, method, answer, error, match):
    server.refuse = {method: [answer] * 9}
    with pytest.raises(error, match=match) as caught:
        kaggle.ferplus(tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert KEY not in str(caught.value)
    assert capfd.readouterr() == ("", "")
    assert left_over(tmp_path / "out") == []


@pytest.mark.parametrize("token", [None, "KGAT_wrong"])
def test_without_credentials_one_message_and_no_wall_of_text(
    server, tmp_path, monkeypatch, capfd, token
):
    monkeypatch.delenv("KAGGLE_USERNAME")
    monkeypatch.delenv("KAGGLE_KEY")
    if token:
        monkeypatch.setenv("KAGGLE_API_TOKEN", token)
    with pytest.raises(
        PermissionError, match=r"^Kaggle knows no valid credentials of yours"
    ) as caught:
        kaggle.ferplus(tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")
    assert not (tmp_path / "out").exists()


def test_wrong_key(server, tmp_path, monkeypatch):
    monkeypatch.setenv("KAGGLE_KEY", "wrong")
    with pytest.raises(PermissionError, match="Kaggle refuses the credentials"):
        kaggle.ferplus(tmp_path / "out")


def test_listed_size_that_did_not_come(server, tmp_path):
    server.listed = {"icml_face_data.csv": 123}
    with pytest.raises(ValueError, match=r"icml_face_data\.csv: .* bytes, but Kaggle lists 123"):
        kaggle.ferplus(tmp_path / "out")
    assert left_over(tmp_path / "out") == []


def test_other_data_sets_are_told_apart(server, tmp_path):
    server.files = {"train/angry/1.jpg": b"x"}
    with pytest.raises(
        FileNotFoundError, match=r"holds none of icml_face_data\.csv, .*train/angry"
    ):
        kaggle.ferplus(tmp_path / "out", "owner/pictures")


def test_pictures_with_another_content(server, tmp_path, data):
    lines = data["icml_face_data.csv"].split(b"\n")
    lines[1], lines[2] = lines[2], lines[1]  # two Training rows: only their content tells
    server.files["icml_face_data.csv"] = b"\n".join(lines)
    with pytest.raises(ValueError, match=r"icml_face_data\.csv: its train pictures are not those"):
        kaggle.ferplus(tmp_path / "out")
    assert kaggle.ferplus(tmp_path / "out", check=False) == {}


def test_votes_with_another_content(server, tmp_path, data):
    changed = tmp_path / "changed.csv"
    changed.write_bytes(data["fer2013new.csv"].replace(b"0,8,2", b"0,2,8", 1))
    with pytest.raises(
        ValueError, match=r"fer2013new\.csv: its train votes are not those of FER\+"
    ):
        kaggle.ferplus(tmp_path / "out", votes=changed)


def test_votes_cut_short(server, tmp_path, data):
    short = tmp_path / "short.csv"
    short.write_bytes(data["fer2013new.csv"][:-9])
    with pytest.raises(ValueError, match=r"short\.csv: .* characters, but FER\+'s votes have"):
        kaggle.ferplus(tmp_path / "out", votes=short)
    # The pictures are whole and stay; the votes have no name yet.
    assert "fer2013new.csv" not in left_over(tmp_path / "out")


def test_github_out_of_reach(server, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr("urllib.request.urlopen", fail)
    with pytest.raises(ConnectionError, match=r"could not be read \(no route to host\); a copy"):
        kaggle.ferplus(tmp_path / "out")


def test_out_is_a_file(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(NotADirectoryError, match="out: a file; expected a folder"):
        kaggle.ferplus(tmp_path / "out")


# === What the pins say


def test_pins_are_those_of_the_votes_and_pictures_at_hand(ferplus_root):
    for split in ("train", "valid"):
        data = ferplus.read(ferplus_root, split)
        assert ferplus_origin.vote_digest(data) == ferplus_origin.VOTE_DIGESTS[split]
        assert ferplus_origin.picture_digest(data) == ferplus_origin.PICTURE_DIGESTS[split]
