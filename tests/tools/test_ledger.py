"""tools/ledger.py, on folders as runs leave them; and the ledger that is kept."""

from __future__ import annotations

import csv
import json
import os
from dataclasses import replace

import pytest

from keras_affect.training import Recipe, shipped_recipes
from tests.tools.loading import script

ledger = script("ledger")
LITE = Recipe.load("ferplus_lite")
SCORES = {
    "data": "FER+ valid",
    "accuracy": 0.85432109,
    "without_duplicates": {"accuracy": 0.85},
    "balanced_accuracy": 0.64,
    "cross_entropy": {"raw_votes": 0.7, "outlier_free_votes": 0.5},
    "calibration_error": 0.0123,
}


def a_run(folder, recipe=LITE, scores=SCORES, record=None):
    folder.mkdir()
    recipe.save(folder / "recipe.json")
    os.utime(folder / "recipe.json", (1.8e9, 1.8e9))  # 2027-01-15
    (folder / "scores.json").write_text(json.dumps(scores))
    (folder / "log.csv").write_text("epoch,seconds\n1,1800\n2,900\n")
    if record:
        (folder / "run.json").write_text(json.dumps(record))
    return folder


def add(csv_file, *runs):
    ledger.main([*map(str, runs), "--ledger", str(csv_file)])
    with csv_file.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_run_that_says_little_leaves_fields_empty(tmp_path, capsys):
    run = a_run(tmp_path / "old", replace(LITE, seed=4, mixup=0.2, teachers=("a", "b")))
    (row,) = add(tmp_path / "ledger.csv", run)
    assert row == {
        "run": "old", "date": "2027-01-15", "commit": "", "seed": "4", "epochs": str(LITE.epochs),
        "recipe": "ferplus_lite: mixup=0.2, teachers=a+b", "images": "", "hours": "0.75",
        "accuracy": "0.8543", "without_duplicates": "0.8500", "balanced_accuracy": "0.6400",
        "cross_entropy": "0.5000", "calibration_error": "0.0123", "corrupted_mean": "",
    }  # fmt: skip
    assert capsys.readouterr().out == "old: added\n"


def test_a_run_that_recorded_itself(tmp_path):
    session = {"started": "2026-12-01T10:00:00+00:00", "epochs_done": 0, "version": "0.1.0"}
    record = {
        "images": 28218,
        "teachers": None,
        "hours": 0.75,
        "sessions": [
            session | {"commit": "a" * 40, "changed": False},
            session | {"commit": "b" * 40, "changed": True, "epochs_done": 1},
            session | {"commit": None, "changed": None, "epochs_done": 1},
        ],
    }
    scores = SCORES | {"without_duplicates": None, "corrupted": {"mean": 0.8}}
    (row,) = add(tmp_path / "ledger.csv", a_run(tmp_path / "run", scores=scores, record=record))
    assert row["date"] == "2026-12-01"
    assert row["commit"] == f"{'a' * 10} {'b' * 10} with changes"
    assert (row["recipe"], row["images"]) == ("ferplus_lite", "28218")
    assert (row["without_duplicates"], row["corrupted_mean"]) == ("", "0.8000")


@pytest.mark.parametrize("named", [{"start_from": "runs/a, b"}, {"teachers": ("runs/v3+v2",)}])
def test_names_that_a_row_cannot_hold(tmp_path, named):
    run = a_run(tmp_path / "run", replace(LITE, **named))
    with pytest.raises(ValueError, match=r"recipe\.json: 'runs/.*': a row holds no name with"):
        ledger.main([str(run), "--ledger", str(tmp_path / "ledger.csv")])
    assert not (tmp_path / "ledger.csv").exists()


def test_never_twice_but_anew_where_scored_anew(tmp_path, capsys):
    runs = [a_run(tmp_path / name) for name in ("two", "one")]
    first = add(tmp_path / "ledger.csv", *runs)
    assert [row["run"] for row in first] == ["one", "two"]
    before = (tmp_path / "ledger.csv").read_bytes()
    assert add(tmp_path / "ledger.csv", *runs) == first
    assert (tmp_path / "ledger.csv").read_bytes() == before
    (runs[0] / "scores.json").write_text(json.dumps(SCORES | {"accuracy": 0.9}))
    again = add(tmp_path / "ledger.csv", runs[0])
    assert [row["accuracy"] for row in again] == ["0.8543", "0.9000"]
    assert capsys.readouterr().out.splitlines()[2:] == [
        "two: is there already", "one: is there already", "two: written anew",
    ]  # fmt: skip


def test_what_is_no_finished_run(tmp_path):
    run = a_run(tmp_path / "run", scores=SCORES | {"data": "FER+ test"})
    with pytest.raises(ValueError, match=r"scores\.json: scores of FER\+ test"):
        ledger.row_of(run)
    (run / "scores.json").write_text("{")
    with pytest.raises(ValueError, match=r"scores\.json: not scores"):
        ledger.row_of(run)
    (run / "scores.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"scores\.json"):
        ledger.row_of(run)
    (tmp_path / "ledger.csv").write_text("run,score\n")
    with pytest.raises(ValueError, match=r"ledger\.csv: expected the columns run, date"):
        ledger.read(tmp_path / "ledger.csv")


def test_heads_of_recipes_tell_time_and_score(tmp_path):
    text = "# A net.\n# Time: ?\n# Score: ?\n\nseed = 1\n"
    row = ledger.row_of(a_run(tmp_path / "run"))
    assert ledger.with_head(text, "ferplus_tiny", [row]) == text.replace("?", "not measured yet.")
    one = ledger.with_head(text, "ferplus_lite", [row])
    assert "# Time: 0.8 hours (seed 1).\n" in one
    assert "# Score: 85.43 % of FER+ valid, 85.00 % without what stands in train (seed 1).\n" in one
    rows = [row, row | {"accuracy": "0.8743", "hours": "1.75", "without_duplicates": ""}]
    two = ledger.with_head(text, "ferplus_lite", rows)
    assert "# Time: 1.2 hours (2 runs).\n" in two
    assert "# Score: 86.43 % +- 1.41 of FER+ valid (2 runs).\n" in two
    assert two.endswith("\n\nseed = 1\n")
    with pytest.raises(ValueError, match=r"lite\.toml: expected one line '# Time"):
        ledger.with_head("seed = 1\n", "lite", [])


def test_heads_count_runs_that_had_other_folders_and_none_that_differ_otherwise():
    text = '# Time: ?\n# Score: ?\n\nstart_from = "ferplus_v1"\nteachers = ["a", "b"]\n'
    row = {"seed": "1", "hours": "1", "accuracy": "0.5", "without_duplicates": ""}

    def score(recipe, of=text):
        return ledger.with_head(of, "taught", [row | {"recipe": recipe}]).splitlines()[1]

    here = "# Score: 50.00 % of FER+ valid (seed 1)."
    for recipe in ("taught", "taught: start_from=c, teachers=c+runs/d", "taught: teachers=c+d"):
        assert score(recipe) == here
    for recipe in (
        "taught: teachers=c", "taught: teachers=c+d+e", "taught: epochs=3", "taught_more",
        "taught: start_from=c, epochs=3", "another: start_from=c", "taught: start_from=ferplus_v2",
        "taught: teachers=ferplus_v1+runs/d",
    ):  # fmt: skip
        assert score(recipe) == "# Score: not measured yet."
    untaught = "# Time: ?\n# Score: ?\n\nseed = 1\n"
    assert score("taught", untaught) == here
    assert score("taught: start_from=c", untaught) != here
    assert score("taught: teachers=c", untaught) != here


@pytest.mark.parametrize("name", sorted(shipped_recipes()))
def test_no_head_is_stale(name):
    text = shipped_recipes()[name].read_text(encoding="utf-8")
    assert text == ledger.with_head(text, name, ledger.read(ledger.LEDGER))


def test_the_ledger_holds_what_ships():
    rows = ledger.read(ledger.LEDGER)
    assert {"ferplus_v1", "ferplus_v1_cycle2"} <= {row["run"] for row in rows}
    assert rows == sorted(rows, key=lambda row: (row["date"], row["run"]))


def test_what_other_seeds_scored():
    def row(run, recipe, seed, accuracy):
        return {"run": run, "recipe": recipe, "seed": str(seed), "accuracy": str(accuracy)}

    rows = [
        row("c", "tiny", 10, 0.85), row("a", "tiny", 9, 0.86), row("b", "tiny", 2, 0.84),
        row("d", "tiny: epochs=9", 1, 0.9), row("e", "tiny: epochs=9", 3, 0.8),
    ]  # fmt: skip
    assert ledger.other_seeds("a", rows) == (
        "The recipe scored 84.00% with seed 2, 86.00% with seed 9 (which ships) and 85.00% with "
        "seed 10, in float32 and as trained: 85.00% in the mean, with a standard deviation of "
        "1.00 points. "
        "What ships is the luckiest of them: on other pictures, expect the mean."
    )
    assert "luckiest" not in ledger.other_seeds("b", rows)
    assert ledger.other_seeds("e", rows).startswith(
        "The recipe scored 90.00% with seed 1 and 80.00% with seed 3 (which ships), in float32 "
    )
    assert ledger.other_seeds("a", rows[1:2]) == ledger.other_seeds("not there", rows) == ""
