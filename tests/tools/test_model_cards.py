"""tools/model_cards.py: no card is stale, and a card tells what the scores say."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil

import numpy as np
import pytest

from keras_affect import emotions
from keras_affect.evaluation import CORRUPTIONS
from keras_affect.training import Recipe
from keras_affect.weights import catalog
from tests.tools.loading import script

cards = script("model_cards")
SHIPPED = cards.shipped()


@pytest.mark.parametrize("key", SHIPPED, ids=" ".join)
def test_no_card_is_stale(key):
    entries = SHIPPED[key]
    assert len({entry.card for entry in entries}) == 1, "the files of a name share a card"
    written = entries[0].card.read_text(encoding="utf-8")
    assert written == cards.card(entries, cards.trainings().get(key[1], ())), (
        "write it anew: python tools/model_cards.py"
    )


def test_every_card_is_of_something_that_ships():
    found = set(catalog.FOLDER.glob("*.md"))
    assert found == {entry.card for entry in catalog.entries()}
    assert set(cards.trainings()) <= {name for _, name in SHIPPED}


@pytest.mark.parametrize("key", SHIPPED, ids=" ".join)
def test_a_card_has_what_a_reader_must_know(key):
    text = SHIPPED[key][0].card.read_text(encoding="utf-8")
    assert re.findall("^## (.*)$", text, flags=re.M) == [
        "Model details", "Intended use", "Factors", "Metrics", "Evaluation data", "Training data",
        "Quantitative analyses", "Ethical considerations", "Caveats and recommendations",
    ]  # fmt: skip
    assert "$" not in text
    for entry in SHIPPED[key]:
        assert entry.sha256 in text
        assert f"{entry.scores['accuracy']:.2%}" in text
        for number in re.findall(r"0\.\d+", entry.data):
            assert number in text
        assert entry.data.split("; ")[0] in text
    for said in ("Article 5(1)(f)", "Nobody rated valence and arousal", "an assumption", "48x48"):
        assert said in text


def changed(**scores):
    """The shipped default's entries with other scores."""
    return [
        dataclasses.replace(entry, scores=dict(entry.scores) | scores)
        for entry in SHIPPED["LightweightCNN", "ferplus_v1"]
    ]


def test_what_was_measured_is_told_and_what_was_not_is_said():
    plain = cards.card(changed(), ())
    assert "How it was trained is not recorded." in plain
    more = cards.card(
        changed(
            answered=[{"share": 0.9, "accuracy": 0.912, "certainty": 0.53}],
            corrupted={"accuracy": dict.fromkeys(CORRUPTIONS, 0.7), "mean": 0.7, "lost": 0.169},
        ),
        (),
    )
    assert "| 90.0% | 91.20% | 0.53 |" in more
    assert "the mean is 70.00%, 16.90 points less" in more
    for name in CORRUPTIONS:
        assert f"| {name} | 70.00% |" in more
    assert "Not measured of this file" not in more


def test_rows_are_truth_and_columns_are_answers():
    confusion = [[0] * 8 for _ in range(8)]
    confusion[0][0], confusion[0][2], confusion[2][2] = 6, 4, 12
    support = dict.fromkeys(catalog.entries()[0].scores["support"], 0)
    recall = dict.fromkeys(support) | {"neutral": 0.4, "surprise": 1.0}
    text = cards.card(
        changed(confusion=confusion, support=support | {"neutral": 10}, recall=recall), ()
    )
    assert "| neutral | 10 | 60.0% of 10 | 100.0% of 6 |" in text
    assert "| surprise | 0 | 100.0% of 12 | 75.0% of 16 |" in text
    assert "| fear | 0 | none | none |" in text
    assert "Most often it takes 4 of 10 of neutral as surprise" in text


def told_of(recall, pictures):
    """The recommendation on rare emotions, where each but disgust is found in all of 400."""
    names = catalog.entries()[0].scores["support"]
    text = cards.card(
        changed(
            recall=dict.fromkeys(names, 1.0) | {"disgust": recall},
            support=dict.fromkeys(names, 400) | {"disgust": pictures},
        ),
        (),
    )
    return [line for line in text.splitlines() if "fewer than half" in line]


def test_few_pictures_found_half_of_the_time_are_nothing_to_build_on():
    (line,) = told_of(14 / 24, 24)
    assert line.endswith("of the pictures: disgust (58% of 24, 95 % interval 39% to 76%).")
    assert not told_of(14 / 24, 2400)
    assert not told_of(None, 0)


def test_the_error_of_balanced_accuracy_is_that_of_the_posterior():
    found = {"neutral": (1071, 1182), "disgust": (11, 24), "contempt": (0, 13)}
    confusion = [[0] * 8 for _ in range(8)]
    for name, (right, total) in found.items():
        place = emotions.NAMES.index(name)
        confusion[place][place], confusion[place][(place + 1) % 8] = right, total - right
    random = np.random.default_rng(0)
    drawn = [
        random.beta(right + 0.5, total - right + 0.5, 200_000) for right, total in found.values()
    ]
    assert cards.balanced_error({"confusion": confusion}) == pytest.approx(
        np.mean(drawn, axis=0).std(), rel=0.01
    )


def test_numbers_that_were_fitted_for_earlier_weights_are_said_to_be_theirs():
    entry = catalog.find("LightweightCNN", "ferplus_v4", "litert")
    text = cards.card([entry], ())
    assert "the temperature of ferplus_v3's probabilities, 0.895," in text
    assert "the temperature of its probabilities, 0.947," in text
    assert text.count(" of its probabilities") == 1


def test_weights_that_were_not_trained_again_say_whose_they_are():
    trained = cards.trainings()
    for name, said in {"ferplus_v4": False, "ferplus_v5": True}.items():
        text = cards.card([catalog.find("LightweightCNN", name, "litert")], trained[name])
        assert ("These are the weights of `ferplus_v4`" in text) is said


# === How a model was trained


def a_run(folder, recipe, images=None):
    folder.mkdir()
    recipe.save(folder / "recipe.json")
    (folder / "log.csv").write_text("epoch,seconds\n1,900\n")
    if images:
        session = {"commit": "c" * 40, "changed": False, "epochs_done": 0}
        record = {"images": images, "teachers": None, "sessions": [session, session]}
        (folder / "run.json").write_text(json.dumps(record))
    return folder


def test_runs_behind_a_run_come_first(tmp_path):
    a_run(tmp_path / "first", Recipe(seed=1))
    a_run(tmp_path / "teacher", Recipe(width=1.5))
    recipe = Recipe(start_from="runs/first", teachers=("runs/teacher", "ferplus"))
    last = a_run(tmp_path / "last", recipe, images=28218)
    found = cards.runs_behind(last)
    assert [(run["run"], run["role"]) for run in found] == [
        ("first", "start"), ("teacher", "teacher"), ("last", "trained"),
    ]  # fmt: skip
    assert [run["images"] for run in found] == [None, None, 28218]
    assert (found[2]["commits"], found[2]["hours"]) == (["c" * 40], 0.25)
    text = cards.card(changed(), json.loads(json.dumps(found)))
    assert "| pictures an epoch | not recorded | not recorded | 28,218 |" in text
    assert "| `width` | 1.0 | 1.5 | 1.0 |" in text
    assert "| `teachers` | none | none | runs/teacher, ferplus |" in text
    shutil.rmtree(tmp_path / "teacher")
    with pytest.raises(FileNotFoundError, match="teacher"):
        cards.runs_behind(last)


def test_a_run_that_is_start_and_teacher_is_one(tmp_path):
    a_run(tmp_path / "first", Recipe(seed=1))
    a_run(tmp_path / "second", Recipe(start_from="runs/first", seed=2))
    recipe = Recipe(start_from="runs/second", teachers=("runs/second", "runs/first"), seed=3)
    found = cards.runs_behind(a_run(tmp_path / "third", recipe))
    assert [(run["run"], run["role"]) for run in found] == [
        ("first", "start"), ("second", "start"), ("third", "trained"),
    ]  # fmt: skip


def test_hours_of_what_weights_stand_on_count_once():
    def run(name, hours, start="", teachers=()):
        recipe = {"start_from": start, "teachers": teachers}
        return {"run": name, "hours": hours, "recipe": recipe}

    trained = {
        "ferplus_v1": [run("a", 1.0), run("b", 2.0, "runs/a")],
        "ferplus_v2": [run("a", 1.0), run("c", 4.0, "ferplus_v1", ("ferplus_v1", "runs/a"))],
    }
    last = run("d", 8.0, "ferplus_v2", ("ferplus_v2", "ferplus_v1"))
    assert cards.hours_behind([last], trained) == {"a": 1.0, "b": 2.0, "c": 4.0}
    assert cards.hours_behind([run("e", 8.0, "runs/d")], trained) == {}


def test_the_command_records_a_run_and_writes_every_card(tmp_path, capsys):
    shutil.copy(catalog.FOLDER / "catalog.json", tmp_path)
    run = a_run(tmp_path / "run", Recipe(seed=77))
    out = ["--out", str(tmp_path)]
    cards.main(["--run", str(run), "--name", "ferplus_v1", *out])
    assert capsys.readouterr().out.split() == [
        str(tmp_path / cards.card_name(entries)) for entries in SHIPPED.values()
    ]
    (recorded,) = json.loads((tmp_path / "training.json").read_text())["ferplus_v1"]
    assert recorded["recipe"]["seed"] == 77
    assert "| `seed` | 77 |" in (tmp_path / "lightweight_cnn_ferplus_v1.md").read_text()
    cards.main(["--run", "ferplus_v1", "--name", "ferplus_v3", *out])
    trained = json.loads((tmp_path / "training.json").read_text())
    assert trained["ferplus_v3"] == trained["ferplus_v1"] == [recorded], "made without training"
    with pytest.raises(ValueError, match=r"`name`.*ferplus_v1.*Received: name='ferplus_v99'"):
        cards.main(["--run", str(run), "--name", "ferplus_v99", *out])
    with pytest.raises(ValueError, match="--run and --name go together"):
        cards.main(["--run", str(run), *out])
