"""Write the card of every model that ships, keras_affect/weights/NAME.md, from catalog and scores.

    python tools/model_cards.py
    python tools/model_cards.py --run runs/ferplus_v1_cycle2 --name ferplus_v1

The sections are those of Mitchell et al. 2019, "Model Cards for Model Reporting"
(arXiv:1810.03993). All figures come from keras_affect/weights/: catalog.json, and training.json,
which holds how a model was trained; what other seeds scored is from the ledger. The second form
writes training.json first, from the folder of the run that ships and those of the runs that it
started from or was taught by; --run takes a name too, of which the other was made without
training. A name's card is to be written anew whenever its entries in the catalog are, or the ledger
has another seed of it; a test sees to it.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import os
import string
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

# Before TensorFlow loads: its start-up notes would stand above what this prints.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import ledger

from keras_affect import emotions
from keras_affect._files import written_whole
from keras_affect.evaluation.scoring import wilson_interval
from keras_affect.weights import catalog

TRAINING = "training.json"
TEMPLATE = Path(__file__).with_name("model_card_template.md")
UNKNOWN = "not recorded"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", type=Path, help="the run that ships as --name")
    parser.add_argument("--name", help="a name that ships, as ferplus_v1")
    parser.add_argument("--out", type=Path, default=catalog.FOLDER, help="where what ships lies")
    options = parser.parse_args(arguments)
    if (options.run is None) != (options.name is None):
        raise ValueError("--run and --name go together")
    models = shipped(options.out)
    trained = trainings(options.out)
    if options.run is not None:
        if options.name not in {name for _, name in models}:
            known = ", ".join(sorted({name for _, name in models}))
            raise ValueError(
                f"Invalid value for argument `name`. Expected one of {known}. "
                f"Received: name={options.name!r}"
            )
        of_name = trained.get(str(options.run))
        trained[options.name] = of_name if of_name is not None else runs_behind(options.run)
        with written_whole(options.out / TRAINING, overwrite=True) as beside:
            beside.write_text(json.dumps(trained, indent=1) + "\n", encoding="utf-8")
    for (_, name), entries in models.items():
        path = options.out / card_name(entries)
        with written_whole(path, overwrite=True) as beside:
            beside.write_text(card(entries, trained.get(name, ())), encoding="utf-8")
        print(path)


def shipped(folder: Path = catalog.FOLDER) -> dict[tuple[str, str], list[catalog.Entry]]:
    """The catalog's entries by (model, name): one for each file."""
    found: dict[tuple[str, str], list[catalog.Entry]] = {}
    for row in json.loads((folder / "catalog.json").read_text(encoding="utf-8")):
        entry = catalog.Entry(**row)
        found.setdefault((entry.model, entry.name), []).append(entry)
    return found


def trainings(folder: Path = catalog.FOLDER) -> dict[str, list[dict[str, Any]]]:
    """By name, the runs that made it, as `runs_behind` gives them."""
    path = folder / TRAINING
    if not path.is_file():
        return {}
    return dict(json.loads(path.read_text(encoding="utf-8")))


def card_name(entries: Sequence[catalog.Entry]) -> str:
    """The card's file name."""
    return entries[0].card.name


def runs_behind(run: Path) -> list[dict[str, Any]]:
    """How a run was made: the runs it stands on first, each once, then itself.

    Each is a dict: "run", its folder's name; "role", one of "trained", "start" and "teacher", of
    two the first that is met; "recipe"; and "hours", "images" and "commits", None or empty where
    the run does not say.
    """
    found: dict[str, dict[str, Any]] = {}
    _add_run(run, "trained", found)
    return list(found.values())


def _add_run(run: Path, role: str, found: dict[str, Any]) -> None:
    from keras_affect.training import Recipe, run_record

    recipe = Recipe.load(run / "recipe.json")
    behind = [(source, "teacher") for source in recipe.teachers]
    if recipe.start_from:
        behind.insert(0, (recipe.start_from, "start"))
    for source, its_role in behind:
        if source in catalog.names():
            continue  # it has a card of its own
        # A relative one starts where the training was run; there runs stood beside each other.
        folder = Path(source) if Path(source).is_dir() else run.resolve().parent / Path(source).name
        if folder.resolve().name not in found:
            _add_run(folder, its_role, found)
    record = run_record.read(run) or {}
    commits = [session["commit"] for session in record.get("sessions", ()) if session["commit"]]
    found[run.resolve().name] = {
        "run": run.resolve().name,
        "role": role,
        "recipe": dataclasses.asdict(recipe),
        "hours": run_record.hours_of(run),
        "images": record.get("images"),
        "commits": list(dict.fromkeys(commits)),
    }


def hours_behind(
    runs: Sequence[Mapping[str, Any]], trained: Mapping[str, Sequence[Mapping[str, Any]]]
) -> dict[str, float]:
    """The hours of each run that made those weights that ship which runs started from or had as
    teachers, and those before them; each run once.

    Args:
        runs: As `runs_behind` gives them.
        trained: As `trainings` gives them; names without a version are not looked up.
    """
    found: dict[str, float] = {}
    for run in runs:
        recipe = run["recipe"]
        for source in filter(None, (recipe["start_from"], *recipe.get("teachers", ()))):
            of_source = trained.get(source, ())
            found |= {one["run"]: one["hours"] for one in of_source}
            found |= hours_behind(of_source, trained)
    return found


def card(entries: Sequence[catalog.Entry], training: Sequence[dict[str, Any]]) -> str:
    """The card's text, Markdown."""
    first = entries[0]
    # What runs on devices is what most people have in hand.
    device = next((entry for entry in entries if entry.kind == "litert"), first)
    scores = device.scores
    confusion = scores["confusion"]
    template = string.Template(TEMPLATE.read_text(encoding="utf-8"))
    return template.substitute(
        model=first.model,
        name=first.name,
        what=_what(entries),
        files=_table(
            ["file", "bytes", "SHA-256", "licence"],
            [[f"`{e.file}`", f"{e.size:,}", f"`{e.sha256}`", e.licence] for e in entries],
        ),
        training=_training(first.name, training),
        evaluated=scores["data"],
        images=f"{scores['images']:,}",
        images_in_split=f"{scores['images_in_split']:,}",
        duplicates=f"{scores['duplicates']:,}",
        data=_data(first),
        scores=_scores(entries),
        file=device.file,
        classes=_classes(scores),
        confusion=_table(
            ["", *emotions.NAMES],
            [[name, *map(str, confusion[place])] for place, name in enumerate(emotions.NAMES)],
        ),
        confused=_confused(confusion),
        answered=_answered(scores),
        corrupted=_corrupted(scores),
        weak=_weak(scores),
    )


def _what(entries: Sequence[catalog.Entry]) -> str:
    first = entries[0]
    config = first.config
    height, width, channels = config["input_shape"]
    counts = [f", {e.scores['parameters']:,} parameters" for e in entries if e.kind == "keras"]
    stem = config.get("stem_convolutions", 1)  # weights of before the argument have one
    closer = f" and {stem} convolutions before the first pooling" if stem > 1 else ""
    # Weights of before the argument see no mirror image.
    both = (
        "It sees each picture mirrored too, and averages its features of both. "
        if config.get("mirrored", False)
        else ""
    )
    outputs = "; and valence and arousal, each in [-1, 1]" if config["valence_arousal"] else ""
    return (
        f"A convolutional network for one face: `keras_affect.models.{first.model}` of width "
        f"{config['width']:g}{closer}{''.join(counts)}. {both}It takes pictures of "
        f"{height}x{width}x{channels}, raw pixels in [0, 255], and gives a probability for each of "
        f"{', '.join(config['classes'])}{outputs}."
    )


def _data(entry: catalog.Entry) -> str:
    """What it learnt from. The catalog says "its" of every number that was fitted for weights; of
    earlier weights' numbers, whose they were.
    """
    # What is fitted last, the temperature, closes the text of those that it was fitted for.
    owners = {other.data.split("; ")[-2]: other.name for other in reversed(catalog.entries())}
    parts = [
        part.replace(" its ", f" {owners[part]}'s ")
        if owners.get(part, entry.name) != entry.name
        else part
        for part in entry.data.split("; ")
    ]
    return "; ".join(parts)


def _training(name: str, runs: Sequence[dict[str, Any]]) -> str:
    if not runs:
        return "How it was trained is not recorded."
    said = {
        "start": "weights that a later run started from",
        "teacher": "a teacher of a later run",
        "trained": "the run that ships",
    }
    fields = dict.fromkeys(field for run in runs for field in run["recipe"])
    table = _table(
        ["", *(f"`{run['run']}`" for run in runs)],
        [
            ["what it is", *(said[run["role"]] for run in runs)],
            ["hours", *(f"{run['hours']:.2f}" for run in runs)],
            [
                "pictures an epoch",
                *(UNKNOWN if run["images"] is None else f"{run['images']:,}" for run in runs),
            ],
            ["commit", *(", ".join(c[:10] for c in run["commits"]) or UNKNOWN for run in runs)],
            *([f"`{name}`", *(_value(run["recipe"].get(name)) for run in runs)] for name in fields),
        ],
    )
    seeds = ledger.other_seeds(runs[-1]["run"], ledger.read(ledger.LEDGER))
    twin = next((other for other, its in trainings().items() if its == runs), name)
    mended = (
        f"These are the weights of `{twin}`, which were not trained again: what was done to their "
        'logits stands under "Training data", and the figures of the run are those of both. '
        if twin != name
        else ""
    )
    return mended + (
        "How it was trained, by `keras-affect train` (fields of `training.Recipe`); the last run "
        f"is the one that ships:\n\n{table}"
        + (f"\n\n{seeds} All runs: examples/results/ferplus.csv." if seeds else "")
    )


def _scores(entries: Sequence[catalog.Entry]) -> str:
    scored = [entry.scores for entry in entries]

    def row(heading: str, figure: Any) -> list[str]:
        return [heading, *(figure(scores) for scores in scored)]

    def apart(scores: Any, figure: Any) -> str:
        without = scores["without_duplicates"]
        return figure(without) if without else UNKNOWN

    rows = [
        row("accuracy", lambda s: f"{s['accuracy']:.2%}"),
        row(
            "  95 % interval (Wilson)",
            lambda s: " to ".join(f"{bound:.2%}" for bound in s["accuracy_interval"]),
        ),
        row(
            "accuracy without pictures that stand in train",
            lambda s: apart(s, lambda w: f"{w['accuracy']:.2%} of {w['images']:,}"),
        ),
        row(
            "balanced accuracy (its standard error)",
            lambda s: f"{s['balanced_accuracy']:.2%} ({balanced_error(s):.2%})",
        ),
        row(
            "balanced accuracy without pictures that stand in train",
            lambda s: apart(s, lambda w: f"{w['balanced_accuracy']:.2%} ({balanced_error(w):.2%})"),
        ),
        *(
            row(
                f"cross-entropy, {said} votes (least possible)",
                lambda s, votes=votes: (
                    f"{s['cross_entropy'][votes]:.3f} ({s['cross_entropy_floor'][votes]:.3f})"
                ),
            )
            for votes, said in (("raw_votes", "raw"), ("outlier_free_votes", "outlier-free"))
        ),
        row("calibration error", lambda s: f"{s['calibration_error']:.4f}"),
    ]
    for axis in ("valence", "arousal"):
        if all(scores[axis] for scores in scored):
            rows.append(
                row(
                    f"{axis}, concordance (RMSE) with what the votes imply",
                    lambda s, axis=axis: f"{s[axis]['concordance']:.3f} ({s[axis]['rmse']:.3f})",
                )
            )
    return _table(["", *(f"`{entry.file}`" for entry in entries)], rows)


def balanced_error(scores: Mapping[str, Any]) -> float:
    """The standard error of the balanced accuracy, in [0, 1]. A few pictures of a rare emotion
    weigh in it as much as hundreds of a frequent one.

    Each emotion's share that is found has the variance that Jeffreys' prior leaves it, under which
    none of 13 is no certainty.
    """
    confusion = scores["confusion"]
    found = [(row[place], sum(row)) for place, row in enumerate(confusion) if sum(row)]
    shares = [((right + 0.5) / (total + 1), total) for right, total in found]
    variances = [share * (1 - share) / (total + 2) for share, total in shares]
    return math.sqrt(sum(variances)) / len(variances)


def _classes(scores: Mapping[str, Any]) -> str:
    confusion = scores["confusion"]
    return _table(
        ["emotion", "pictures", "found (recall)", "right where said (precision)"],
        [
            [
                name,
                f"{scores['support'][name]:,}",
                _share(confusion[place][place], sum(confusion[place])),
                _share(confusion[place][place], sum(row[place] for row in confusion)),
            ]
            for place, name in enumerate(emotions.NAMES)
        ],
    )


def _confused(confusion: Sequence[Sequence[int]]) -> str:
    """The three confusions that happen to the largest shares of an emotion's pictures."""
    pairs = [
        (row[said] / sum(row), f"{row[said]} of {sum(row)} of {name} as {emotions.NAMES[said]}")
        for place, (name, row) in enumerate(zip(emotions.NAMES, confusion, strict=True))
        for said in range(len(row))
        if said != place and sum(row)
    ]
    most = sorted(pairs, key=lambda pair: -pair[0])[:3]
    return f"Most often it takes {'; '.join(text for _, text in most)}."


def _answered(scores: Mapping[str, Any]) -> str:
    if "answered" not in scores:
        return "Not measured of this file."
    table = _table(
        ["share answered", "accuracy", "probability of the least sure one"],
        [
            [f"{p['share']:.1%}", f"{p['accuracy']:.2%}", f"{p['certainty']:.2f}"]
            for p in scores["answered"]
        ],
    )
    return f"Accuracy if only the pictures that it is surest of are answered:\n\n{table}"


def _corrupted(scores: Mapping[str, Any]) -> str:
    if "corrupted" not in scores:
        return "Not measured of this file: `keras-affect evaluate --corrupt` does."
    corrupted = scores["corrupted"]
    table = _table(
        ["", "accuracy"],
        [[name, f"{accuracy:.2%}"] for name, accuracy in corrupted["accuracy"].items()],
    )
    return (
        "Accuracy under what a camera and a face detector do to a picture (`keras-affect evaluate "
        f"--corrupt`); the mean is {corrupted['mean']:.2%}, {100 * corrupted['lost']:.2f} points "
        f"less than on the pictures as they are:\n\n{table}"
    )


def _weak(scores: Mapping[str, Any]) -> str:
    """A recommendation on the emotions that are found worst; empty where there are none."""
    weak = []
    for name, recall in scores["recall"].items():
        pictures = scores["support"][name]
        if not pictures:
            continue
        low, high = wilson_interval(round(recall * pictures), pictures)
        if low < 0.5:
            weak.append(
                f"{name} ({recall:.0%} of {pictures}, 95 % interval {low:.0%} to {high:.0%})"
            )
    if not weak:
        return ""
    return (
        "- Do not build on emotions of which it may find fewer than half of the pictures: "
        f"{', '.join(weak)}.\n"
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%} of {whole:,}" if whole else "none"


def _value(value: Any) -> str:
    if isinstance(value, list | tuple):
        value = ", ".join(value)
    return "none" if value in (None, "") else str(value)


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError) as error:
        print(f"model_cards.py: {error}", file=sys.stderr)
        raise SystemExit(2) from None
