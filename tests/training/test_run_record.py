import json
import subprocess

import pytest

import keras_affect
from keras_affect.training import run_record


def log(out, *seconds):
    rows = "".join(f"{epoch},{value}\n" for epoch, value in enumerate(seconds, 1))
    (out / "log.csv").write_text(f"epoch,seconds\n{rows}")


def test_sessions_join_and_hours_are_those_of_all_epochs(tmp_path):
    run_record.begin(tmp_path, images=50, epochs_done=0, teachers=None)
    first = run_record.read(tmp_path)
    assert (first["images"], first["hours"]) == (50, None)
    run_record.begin(tmp_path, images=50, epochs_done=2, teachers=None)
    log(tmp_path, 1800, 1800, 900)
    run_record.end(tmp_path)
    record = run_record.read(tmp_path)
    assert record["sessions"][0] == first["sessions"][0]
    assert [session["epochs_done"] for session in record["sessions"]] == [0, 2]
    assert record["hours"] == 1.25
    assert record["ended"] >= record["sessions"][1]["started"]
    # A run that begins anew forgets what was there.
    run_record.begin(tmp_path, images=40, epochs_done=0, teachers=None)
    again = run_record.read(tmp_path)
    assert (again["images"], len(again["sessions"])) == (40, 1)


def test_the_commit_is_that_of_the_package(tmp_path, monkeypatch):
    package = tmp_path / "repository" / "keras_affect"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    monkeypatch.setattr(keras_affect, "__file__", str(package / "__init__.py"))

    def session():
        run_record.begin(tmp_path, images=1, epochs_done=0, teachers=None)
        found = run_record.read(tmp_path)["sessions"][0]
        return found["commit"], found["changed"]

    def git(*arguments):
        identity = ("-c", "user.name=n", "-c", "user.email=e", "-c", "commit.gpgsign=false")
        command = ["git", "-C", str(package.parent), *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    assert session() == (None, None)
    git("init")
    # In a repository, but not of it: as in the .venv of somebody's project.
    assert session() == (None, None)
    git("add", ".")
    git("commit", "--message", "one")
    assert session() == (git("rev-parse", "HEAD"), False)
    (package / "__init__.py").write_text("# other\n")
    assert session() == (git("rev-parse", "HEAD"), True)
    monkeypatch.setenv("PATH", "")
    assert session() == (None, None)


def test_other_teachers_are_refused(tmp_path):
    run_record.begin(tmp_path, images=1, epochs_done=0, teachers="ab")
    run_record.begin(tmp_path, images=1, epochs_done=1, teachers="ab")
    with pytest.raises(ValueError, match=r"run\.json: the teachers' weights are not those"):
        run_record.begin(tmp_path, images=1, epochs_done=1, teachers="cd")
    assert len(run_record.read(tmp_path)["sessions"]) == 2


def test_it_goes_on_from_the_same_start_and_data(tmp_path):
    same = {"images": 50, "teachers": None, "start": "ab"}
    run_record.begin(tmp_path, epochs_done=0, **same)
    run_record.begin(tmp_path, epochs_done=1, **same)
    with pytest.raises(ValueError, match=r"run\.json: the weights to start from are not those"):
        run_record.begin(tmp_path, epochs_done=1, **same | {"start": "cd"})
    with pytest.raises(
        ValueError, match=r"run\.json: the run began with 50 pictures an epoch;.* 49"
    ):
        run_record.begin(tmp_path, epochs_done=1, **same | {"images": 49})
    record = run_record.read(tmp_path)
    assert (record["start"], len(record["sessions"])) == ("ab", 2)
    # Of a version that did not write where it started.
    del record["start"]
    (tmp_path / "run.json").write_text(json.dumps(record))
    run_record.begin(tmp_path, epochs_done=1, **same)


def test_a_run_of_an_earlier_version_goes_on(tmp_path):
    assert run_record.read(tmp_path) is None
    run_record.begin(tmp_path, images=3, epochs_done=7, teachers=None)
    (session,) = run_record.read(tmp_path)["sessions"]
    assert session["epochs_done"] == 7


@pytest.mark.parametrize("text", ["{", "[]", "{}", json.dumps({"sessions": 3}), '"a"'])
def test_damaged(tmp_path, text):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(ValueError, match=r"run\.json: not the record of a run"):
        run_record.read(tmp_path)


@pytest.mark.parametrize("text", ["epoch\n1\n", "epoch,seconds\n1,\n", "epoch,seconds\n1,x\n"])
def test_damaged_log(tmp_path, text):
    (tmp_path / "log.csv").write_text(text)
    with pytest.raises(ValueError, match=r"log\.csv: not the log of a run"):
        run_record.hours_of(tmp_path)
