from __future__ import annotations

from pathlib import Path

import pytest

from keras_affect._files import check_destination, written_whole


def test_writes_the_file_and_leaves_nothing_else(tmp_path: Path) -> None:
    with written_whole(tmp_path / "a.json") as beside:
        beside.write_text("whole")
        assert not (tmp_path / "a.json").exists()
        assert beside.parent == tmp_path
        assert beside.suffix == ".json"
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
    assert (tmp_path / "a.json").read_text() == "whole"


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("old")

    def fail() -> None:
        with written_whole(path, overwrite=True) as beside:
            beside.write_text("ha")
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        fail()
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
    assert path.read_text() == "old"


def test_replaces_only_when_told(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("old")
    with pytest.raises(FileExistsError, match=r"a\.json: exists already"):
        check_destination(path, overwrite=False)
    with written_whole(path, overwrite=True) as beside:
        beside.write_text("new")
    assert path.read_text() == "new"


def test_a_file_that_came_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.json"

    def write() -> None:
        with written_whole(path) as beside:
            beside.write_text("mine")
            path.write_text("another's")

    with pytest.raises(FileExistsError):
        write()
    assert path.read_text() == "another's"


def test_refuses_a_folder_and_a_place_in_none(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError, match="a folder"):
        check_destination(tmp_path, overwrite=True)
    with pytest.raises(FileNotFoundError, match="nowhere does not exist"):
        check_destination(tmp_path / "nowhere" / "a.json", overwrite=True)
