import io
import tarfile
import zipfile

import pytest

from keras_affect.datasets.archives import extract

WANTED = ("fer2013.csv", "icml_face_data.csv")
CONTENT = bytes(range(256)) * 40


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def zipped(path, members, **options):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content, **options)
    return path


def tarred(path, members):
    with tarfile.open(path, "w:gz") as archive:
        for info, content in members:
            info = tarfile.TarInfo(info) if isinstance(info, str) else info
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_takes_one_file_and_no_other(tmp_path, folder, pack):
    members = [("fer2013/README", b"text"), ("fer2013/fer2013.csv", CONTENT)]
    path = extract(pack(tmp_path / "a.zip", members), WANTED, folder)
    assert path == folder / "fer2013.csv"
    assert path.read_bytes() == CONTENT
    assert [entry.name for entry in folder.iterdir()] == ["fer2013.csv"]


@pytest.mark.parametrize("pack", [zipped, tarred])
@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/etc/evil", "..\\evil", "C:\\evil"])
def test_a_path_out_of_the_folder_makes_the_archive_suspect(tmp_path, folder, pack, name):
    archive = pack(tmp_path / "a.zip", [("fer2013.csv", CONTENT), (name, b"evil")])
    with pytest.raises(ValueError, match=r"a\.zip: names a path out of its folder: .*evil"):
        extract(archive, WANTED, folder)
    assert not list(folder.iterdir())


def test_links(tmp_path, folder):
    link = zipfile.ZipInfo("fer2013.csv")
    link.external_attr = 0o120777 << 16
    archive = zipped(tmp_path / "a.zip", [(link, b"/etc/passwd")])
    with pytest.raises(ValueError, match=r"a\.zip: 'fer2013\.csv' is a link"):
        extract(archive, WANTED, folder)
    info = tarfile.TarInfo("fer2013.csv")
    info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
    archive = tarred(tmp_path / "b.tar.gz", [(info, b"")])
    with pytest.raises(ValueError, match=r"b\.tar\.gz: 'fer2013\.csv' is a link"):
        extract(archive, WANTED, folder)
    assert not list(folder.iterdir())


def test_two_files_of_one_name(tmp_path, folder):
    members = [("a/fer2013.csv", CONTENT), ("b/fer2013.csv", CONTENT)]
    archive = zipped(tmp_path / "a.zip", members)
    with pytest.raises(ValueError, match=r"two files of one name: a/fer2013\.csv, b/fer2013\.csv"):
        extract(archive, WANTED, folder)


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_bomb(tmp_path, folder, pack):
    archive = pack(tmp_path / "a.zip", [("fer2013.csv", bytes(5_000_000))])
    with pytest.raises(ValueError, match=r"fer2013\.csv would unpack to 5,000,000 bytes; not done"):
        extract(archive, WANTED, folder)
    with pytest.raises(ValueError, match="would unpack to 10,240 bytes"):
        extract(pack(tmp_path / "b.zip", [("fer2013.csv", CONTENT)]), WANTED, folder, largest=9_000)
    assert not list(folder.iterdir())


def test_a_size_that_lies(tmp_path, folder):
    archive = zipped(tmp_path / "a.zip", [("fer2013.csv", CONTENT)])
    content = bytearray(archive.read_bytes())
    # The central directory's size of the file, 24 bytes after its signature.
    place = content.rindex(b"PK\x01\x02") + 24
    content[place : place + 4] = (100).to_bytes(4, "little")
    archive.write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.zip: "):
        extract(archive, WANTED, folder)
    assert not list(folder.iterdir())


def test_nothing_wanted_inside(tmp_path, folder):
    archive = zipped(tmp_path / "a.zip", [("train.csv", CONTENT)])
    with pytest.raises(ValueError, match=r"holds none of fer2013\.csv, icml_face_data\.csv"):
        extract(archive, WANTED, folder)


@pytest.mark.parametrize("cut", [10, 60, 400])
@pytest.mark.parametrize("pack", [zipped, tarred])
def test_damaged(tmp_path, folder, pack, cut):
    archive = pack(tmp_path / "a.zip", [("fer2013.csv", CONTENT)])
    archive.write_bytes(archive.read_bytes()[:-cut])
    with pytest.raises(ValueError, match=r"a\.zip: damaged, or no archive"):
        extract(archive, WANTED, folder)
    assert not list(folder.iterdir())
