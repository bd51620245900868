"""Make the files that ship in the wheel from a finished training run, with their catalog.

    python export/build_all.py --run runs/ferplus_v1 --data PATH/TO/FERPLUS --name ferplus_v1

Writes into keras_affect/weights/, where tools/model_table.py then counts and times it:

- MODEL_NAME.weights.h5: the weights in half precision, statistics of batch normalisation in
  float32. The run's model is then filled from this file, and everything below is made from that:
  the two files that ship are one model, and the scores are those of the rounded weights.
- MODEL_NAME_int8.tflite: full int8, calibrated on 512 images of FER+ train; without the names of
  tensors inside, which no runtime reads.
- catalog.json: an entry for each, with hash, size, configuration, its score on FER+ valid, and how
  many pictures it was trained on: those that the run's recipe takes of the data.

--run takes a name that ships too, as ferplus_v4: what is made then are its weights once more, with
what follows done to them.

--match-frequencies disgust fear contempt shifts the logits of these emotions until each is answered
as often on train as most people answered it, before anything is written. --scale-temperature then
divides all logits by the one number at which the cross-entropy on valid is least. The catalog says
of both where it says what was learnt from.

A name that ships stays what it was: an existing one is refused unless --overwrite is given.
Takes about two minutes on two cores.

    python export/build_all.py --rebuild --data PATH/TO/FERPLUS

Makes every .tflite that ships once more, from the weights beside it, and compares it with the one
that ships, byte for byte, both with equal vectors written once. Writes nothing; the exit code is 2
if one differs. Another release of TensorFlow than the one that made a file may order its operators
otherwise, and another kind of processor rounds what calibration sees otherwise.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

# Before TensorFlow loads: its start-up notes would stand above the progress.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from keras_affect import emotions, evaluation, models
from keras_affect._files import written_whole
from keras_affect.datasets import ferplus, votes
from keras_affect.export import ExportReport, calibration, flatbuffer, metadata, to_litert
from keras_affect.runtime.metadata import read as read_metadata
from keras_affect.training import Recipe, match_frequencies, scale_temperature
from keras_affect.weights import catalog
from keras_affect.weights.storage import load_weights, save_weights_float16

LICENCE = "Apache-2.0"
_NO_PICTURE = "; no picture is in this package"
# Stands in what was fitted for the weights themselves, until others learn from them.
_ITS = " its "
# In these it stands too of what was fitted for weights that they learnt from.
_FIRST_FITTED = (
    "ferplus_v3",
    "ferplus_v4",
    "ferplus_tiny_v2",
    "ferplus_tiny_v3",
    "ferplus_tiny_v4",
)


def main(arguments: list[str] | None = None) -> None:
    options = _options(arguments)
    if options.rebuild:
        if options.run or options.name or options.scale_temperature or options.match_frequencies:
            raise ValueError(
                "--rebuild makes all that ships: it takes no --run, --name, --match-frequencies or "
                "--scale-temperature"
            )
        _rebuild(options.out, options.data)
        return
    if not options.run or not options.name:
        raise ValueError("Expected --run and --name, or --rebuild")
    if not re.fullmatch(r"[a-z0-9_]+_v[1-9][0-9]*", options.name):
        raise ValueError(
            "Invalid value for argument `name`. Expected a name with a version, as ferplus_v1. "
            f"Received: name={options.name!r}"
        )
    trained = models.load(str(options.run))
    fitted = []
    if options.match_frequencies:
        fitted.append(_match_frequencies(trained, options.data, options.match_frequencies))
    if options.scale_temperature:
        fitted.append(_fit_temperature(trained, options.data))
    data = _data(options.run, options.data, fitted)
    architecture = type(trained).__name__
    shipped = json.loads((options.out / "catalog.json").read_text(encoding="utf-8"))
    others = [row for row in shipped if (row["model"], row["name"]) != (architecture, options.name)]
    if len(others) < len(shipped) and not options.overwrite:
        raise FileExistsError(
            f"{architecture} ships {options.name} already, and a name stays what it was: choose "
            "another, or --overwrite"
        )

    stem = f"{re.sub('(?<=[a-z])(?=[A-Z])', '_', architecture).lower()}_{options.name}"
    # Beside their place, so that the renames at the end are all or nothing as far as they can be.
    with tempfile.TemporaryDirectory(dir=options.out, prefix=".build") as scratch:
        weights = Path(scratch) / f"{stem}.weights.h5"
        litert = Path(scratch) / f"{stem}_int8.tflite"

        print(f"{weights.name}: rounding and scoring", flush=True)
        save_weights_float16(trained, weights)
        config = trained.get_config() | {"dtype": "float32"}
        model = type(trained).from_config(config)
        load_weights(model, weights)
        scores = evaluation.evaluate(model, options.data, split="valid", corrupted=True)

        print(f"{litert.name}: exporting and scoring", flush=True)
        report = _export(model, options.name, data, options.data, litert)
        litert_scores = evaluation.evaluate(litert, options.data, split="valid", corrupted=True)
        print(dataclasses.replace(report, path=litert.name))

        facts = {"model": architecture, "name": options.name, "config": config, "data": data}
        entries = [
            _entry(weights, kind="keras", scores=scores, **facts),
            _entry(litert, kind="litert", scores=litert_scores, **facts),
        ]
        for file in (weights, litert):
            file.replace(options.out / file.name)
    rows = others + [dataclasses.asdict(entry) for entry in entries]
    rows.sort(key=lambda row: (row["model"], *catalog.version(row["name"]), row["kind"]))
    with written_whole(options.out / "catalog.json", overwrite=True) as beside:
        beside.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    for entry in entries:
        print(f"{entry.file}: {entry.size:,} bytes, accuracy {entry.scores['accuracy']:.2%}")


def _match_frequencies(model: Any, root: str, rare: Sequence[str]) -> str:
    """What is to be said of the model's logits, once those of rare emotions were shifted."""
    train = ferplus.labelled(root, "train", "majority", drop_duplicates="valid")
    shifts = match_frequencies(
        model,
        train.data.images.astype("float32"),
        train.emotion.argmax(axis=1),
        [emotions.NAMES.index(name) for name in rare],
    )
    numbers = ", ".join(f"{name} {shifts[emotions.NAMES.index(name)]:+.3f}" for name in rare)
    return f"a number on{_ITS}logits for each rare emotion, {numbers}, from FER+ train"


def _fit_temperature(model: Any, root: str) -> str:
    """What is to be said of the model's temperature, once it was scaled on valid."""
    valid = ferplus.read(root, "valid")
    kept = votes.majority(valid.votes) >= 0  # those that scores are of
    shares = votes.outlier_free(valid.votes[kept])
    temperature = scale_temperature(model, valid.images[kept].astype("float32"), shares)
    return f"one number, the temperature of{_ITS}probabilities, {temperature:.3f}, from FER+ valid"


def _data(run: Path, root: str, fitted: Sequence[str] = ()) -> str:
    """What a run learnt from, as its recipe and those of the runs behind it take it."""
    said = dict.fromkeys([*_data_sets(run, root), *fitted])
    return f"{'; '.join(said)}{_NO_PICTURE}"


def _data_sets(run: Path, root: str) -> Iterator[str]:
    """What a run learnt from, then what those did that it started from or was taught by."""
    if str(run) in catalog.names():
        yield from _data_of_shipped(str(run))
        return
    file = run / "recipe.json"
    if not file.is_file():
        raise FileNotFoundError(f"{file}: no such file; a folder of keras-affect train has one")
    recipe = Recipe.load(file)
    without = "valid" if recipe.drop_duplicates else None
    pictures = len(ferplus.labelled(root, "train", recipe.labels, drop_duplicates=without).data)
    apart = ", without those that stand in valid too" if without else ""
    yield (
        f"FER+ train: {pictures:,} pictures of FER2013 (Goodfellow et al. 2013){apart}, with "
        "ten crowd votes each (Barsoum et al. 2016)"
    )
    for source in filter(None, (recipe.start_from, *recipe.teachers)):
        is_name = source in catalog.names()
        # A relative path starts where the training was run: there, runs stood side by side.
        behind = Path(source) if is_name else run.resolve().parent / Path(source).name
        yield from _data_sets(behind, root)


def _data_of_shipped(name: str) -> Iterator[str]:
    """What a name that ships learnt from; what was fitted for weights says for which."""

    def parts(name: str) -> list[str]:
        return catalog.find_by_name(name, "keras").data.removesuffix(_NO_PICTURE).split("; ")

    name = catalog.find_by_name(name, "keras").name  # with its version
    # The last part was fitted for the weights themselves.
    firsts = _FIRST_FITTED if name in _FIRST_FITTED else ()
    owners = {parts(first)[-1]: first for first in firsts}
    for part in parts(name):
        yield part.replace(_ITS, f" {owners.get(part, name)}'s ")


def _export(
    model: Any, name: str, data: str, root: str, path: Path, tensor_names: bool = False
) -> ExportReport:
    """The int8 file of a model whose weights ship under a name, and what it learnt from."""
    return to_litert(
        model,
        path,
        "int8",
        tensor_names=tensor_names,
        calibration=calibration.from_ferplus(root),
        description=f"{type(model).__name__} {name}: {model.count_params():,} parameters, "
        f"trained on {data}",
        licence=LICENCE,
    )


def _rebuild(out: Path, root: str) -> None:
    """Every shipped .tflite once more, beside the one that ships."""
    rows = json.loads((out / "catalog.json").read_text(encoding="utf-8"))
    shipped = [catalog.Entry(**row) for row in rows]
    weights = {(entry.model, entry.name): entry for entry in shipped if entry.kind == "keras"}
    differing = []
    for entry in (entry for entry in shipped if entry.kind == "litert"):
        model = getattr(models, entry.model).from_config(dict(entry.config))
        load_weights(model, out / weights[entry.model, entry.name].file)
        with tempfile.TemporaryDirectory(prefix="keras_affect_") as scratch:
            again = Path(scratch) / entry.file
            ships = (out / entry.file).read_bytes()
            # The first ones were written with them, and stay what they were.
            named = flatbuffer.has_inner_names(ships)
            _export(model, entry.name, entry.data, root, again, tensor_names=named)
            wanted = _as_written_today(ships, entry.file)
            other = _differing_bytes(again.read_bytes(), wanted)
        said = f"{other:,} of {len(ships):,} bytes differ" if other else "the same bytes"
        if not other and wanted != ships:
            said += ", but for equal vectors that stand in it more than once"
        print(f"{entry.file}: {said}", flush=True)
        if other:
            differing.append(entry.file)
    if differing:
        raise ValueError(f"not the bytes that ship: {', '.join(differing)}")


def _as_written_today(content: bytes, name: str) -> bytes:
    """A file with equal vectors written once: those up to `ferplus_v5` hold them all."""
    graph = flatbuffer.compacted(content)
    if content.startswith(graph):
        return content
    return metadata.append(graph, read_metadata(content, name).fields)


def _differing_bytes(one: bytes, other: bytes) -> int:
    """How many bytes differ, place by place; what one has more of differs too."""
    shared = sum(a != b for a, b in zip(one, other, strict=False))
    return shared + abs(len(one) - len(other))


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", type=Path, help="a folder of keras-affect train, or a name")
    parser.add_argument("--data", required=True, help="FER+, train and valid")
    parser.add_argument(
        "--rebuild", action="store_true", help="make what ships again, and compare the bytes"
    )
    parser.add_argument("--name", help="a name with a version, as ferplus_v1")
    parser.add_argument("--out", type=Path, default=catalog.FOLDER, help="where what ships lies")
    parser.add_argument(
        "--match-frequencies",
        nargs="+",
        choices=emotions.NAMES,
        metavar="EMOTION",
        help="shift the logits of rare emotions until each is answered as often as it occurs in "
        "train",
    )
    parser.add_argument(
        "--scale-temperature", action="store_true", help="fit the probabilities' scale on valid"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace a name that ships")
    return parser.parse_args(arguments)


def _entry(path: Path, **facts: Any) -> catalog.Entry:
    content = path.read_bytes()
    return catalog.Entry(
        file=path.name,
        sha256=hashlib.sha256(content).hexdigest(),
        size=len(content),
        licence=LICENCE,
        **facts,
    )


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError, ImportError) as error:
        print(f"build_all.py: {error}", file=sys.stderr)
        raise SystemExit(2) from None
