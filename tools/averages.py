"""What averages are worth on FER+: of several models' answers, of shifts, of weights.

    python tools/averages.py --data PATH/TO/FERPLUS ferplus_v5 ferplus_v4 ferplus_v3
    python tools/averages.py --data PATH/TO/FERPLUS ferplus_v4 --shift 2
    python tools/averages.py --data PATH/TO/FERPLUS ferplus_v3 runs/distilled --weights

Prints a row of scores for each model alone and for each set of them, whose probabilities are
averaged; with --shift, for each model the mean of its answers to the picture and to it shifted by
so many pixels left, right, up and down; with --weights, for the means of two networks' weights,
of which the first has a share of 0 to 0.9: what `keras-affect train --start-share` chooses among.
A model is what `keras-affect evaluate` takes; with --weights the first is what `keras-affect train
--start-from` takes, smaller ones too, and the second a Keras model of this package. Nothing here is
chosen or kept: a share or a set that is picked by these scores is picked on these very pictures.
"""

from __future__ import annotations

import argparse
import itertools
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
from rich.console import Console
from rich.table import Table

from keras_affect import models
from keras_affect.datasets import ferplus
from keras_affect.datasets.pictures import SIDE
from keras_affect.evaluation import scores
from keras_affect.evaluation.scored_model import ScoredModel, open_model
from keras_affect.models.affect_model import AffectModel
from keras_affect.training.network import take_weights

SHARES = tuple(tenth / 10 for tenth in range(10))

# What is scored, and what it answered.
Answered = tuple[str, np.ndarray]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="+", help="names that ship, runs' folders or files")
    parser.add_argument("--data", type=Path, required=True, help="FER+")
    parser.add_argument("--split", default="valid", help="valid, test or train")
    kinds = parser.add_mutually_exclusive_group()
    kinds.add_argument("--shift", type=int, metavar="PIXELS", help="average over shifts")
    kinds.add_argument("--weights", action="store_true", help="average two networks' weights")
    options = parser.parse_args(arguments)
    if options.shift is not None and not 1 <= options.shift < SIDE:
        parser.error(f"--shift: expected 1 to {SIDE - 1} pixels, got {options.shift}")
    if len(set(options.models)) < len(options.models):
        parser.error("expected each model once")
    if options.weights and len(options.models) != 2:
        parser.error(f"--weights: expected two models, got {len(options.models)}")

    everything = ferplus.read(options.data, options.split)
    data = everything.take(ferplus.majority(everything.votes) >= 0)
    duplicate = None
    if options.split != "train":
        duplicate = ferplus.duplicates(data, ferplus.read(options.data, "train"))
    if options.weights:
        answered = of_weights(*options.models, data.images)
    elif options.shift is not None:
        answered = of_shifts(options.models, data.images, options.shift)
    else:
        answered = of_answers(options.models, data.images)

    table = Table(title=f"FER+ {options.split}: {len(data):,} images with a majority")
    table.add_column("average of")
    for name in (
        "accuracy",
        "without duplicates",
        "balanced",
        "cross-entropy",
        "calibration error",
    ):
        table.add_column(name, justify="right")
    for name, probabilities in answered:
        table.add_row(name, *_figures(scores(probabilities, data.votes, duplicate=duplicate)))
    Console(width=120).print(table)


def of_answers(names: Sequence[str], images: np.ndarray) -> Iterator[Answered]:
    """Each model alone, then the means of each set of two and more."""
    alone = {name: _probabilities(open_model(name), images) for name in names}
    for size in range(1, len(alone) + 1):
        for some in itertools.combinations(alone, size):
            yield " + ".join(some), np.mean([alone[name] for name in some], axis=0)


def of_shifts(names: Sequence[str], images: np.ndarray, pixels: int) -> Iterator[Answered]:
    """Each model as it is, then its mean over five places of the picture."""
    for name in names:
        model = open_model(name)
        straight = _probabilities(model, images)
        yield name, straight
        moves = ((0, -pixels), (0, pixels), (-pixels, 0), (pixels, 0))
        moved = [_probabilities(model, shifted(images, *move)) for move in moves]
        yield f"{name}, shifted by {pixels}", np.mean([straight, *moved], axis=0)


def of_weights(start: str, end: str, images: np.ndarray) -> Iterator[Answered]:
    """Networks between two, by the share of the first."""
    last = models.load(end)
    if not isinstance(last, AffectModel):
        raise ValueError(f"{end}: expected a model of keras_affect.models")
    first = type(last).from_config(last.get_config())
    take_weights(first, start)
    weights = [first.get_weights(), last.get_weights()]
    for share in SHARES:
        last.set_weights(
            [share * one + (1 - share) * other for one, other in zip(*weights, strict=True)]
        )
        yield f"{share:.1f} of {start}", _probabilities(open_model(last), images)


def shifted(images: np.ndarray, down: int, right: int) -> np.ndarray:
    """Pictures moved by whole pixels; what comes in is the picture's reflection."""
    border = max(abs(down), abs(right))
    height, width = images.shape[1:3]
    padded = np.pad(images, ((0, 0), (border, border), (border, border), (0, 0)), "symmetric")
    top, left = border - down, border - right
    return padded[:, top : top + height, left : left + width]


def _probabilities(model: ScoredModel, images: np.ndarray) -> np.ndarray:
    return model.run(images).probabilities


def _figures(scored: dict) -> Iterator[str]:
    without = scored["without_duplicates"]
    yield f"{scored['accuracy']:.2%}"
    yield f"{without['accuracy']:.2%}" if without else ""
    yield f"{scored['balanced_accuracy']:.2%}"
    yield f"{scored['cross_entropy']['outlier_free_votes']:.4f}"
    yield f"{scored['calibration_error']:.4f}"


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError) as error:
        print(f"averages.py: {error}", file=sys.stderr)
        raise SystemExit(2) from None
