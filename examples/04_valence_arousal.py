"""Valence and arousal on human ratings: fine-tune on one half of a set, score on the other.

The weights that ship learnt valence and arousal from emotion votes, through a table. Here they
meet a set whose pictures have ratings of their own: a folder with a csv of path, valence and
arousal, in [-1, 1] or in the scale that `--scale` names. The set is divided by the SHA-1 of each
file name without its number, so that pictures of one series stay together; each half is learnt
from once while the other is scored, and the figures are means of both ways.

    python examples/04_valence_arousal.py ratings.csv --out circumplex.png
    python examples/04_valence_arousal.py ratings.csv --out circumplex.png --seeds 3
    python examples/04_valence_arousal.py --smoke --out circumplex.png   # on drawn faces

The plot shows the circumplex before and after: where each picture was rated, where the model puts
it, and the way between.

Time: 50 s of processor time a fit on 640 pictures with `--weights ferplus_v3`, two fits a seed;
ferplus_v5, which sees mirror images, does 2.8 times the multiply-adds. Expected score of
ferplus_v3, seen on DiffusionFER (1,285 generated faces, CC0) with `--seeds 3`: before CCC 0.777
valence, 0.541 arousal; after 0.895 +- 0.002 and 0.901 +- 0.014, mean and deviation of six fits.
ferplus_v5: before 0.777 and 0.522; after 0.891 +- 0.014 and 0.904 +- 0.014. The set's files have
plain numbers, so its halves are drawn file by file from one source: on pictures from elsewhere
expect less.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import re
import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

import keras_affect as ka


def half_of(name: str) -> int:
    """0 or 1, by the file name's stem without its number: `happy_woman_12.png` is happy_woman."""
    series = re.sub(r"_\d+$", "", Path(name).stem)
    return hashlib.sha1(series.encode()).digest()[0] % 2


def concordance(target: np.ndarray, predicted: np.ndarray) -> tuple[float, float]:
    """Lin's coefficient of valence and of arousal."""
    found = []
    for axis in ("valence", "arousal"):
        metric = ka.metrics.ConcordanceCorrelation(axis)
        metric.update_state(target, predicted)
        found.append(float(metric.result()))
    return found[0], found[1]


def predict(model: Any, images: np.ndarray) -> np.ndarray:
    """Valence and arousal, `(pictures, 2)`, the mean of each picture and its mirror image."""
    both = (images, images[:, :, ::-1])
    return np.mean([model.predict(one, verbose=0)["valence_arousal"] for one in both], axis=0)


def fine_tuned(weights: str, images: np.ndarray, points: np.ndarray, epochs: int, seed: int) -> Any:
    """Weights that ship, fitted to these ratings."""
    keras.utils.set_random_seed(seed)
    model = ka.models.LightweightCNN(weights=weights)
    data = ka.augmentation.with_keys(batches(images, points, seed), seed=seed)
    pipeline = ka.augmentation.face_pipeline("strong")
    augmented = data.map(lambda keys, images, labels: (pipeline(images, keys), labels))
    ka.training.fine_tune(
        model,
        augmented,
        head_epochs=max(1, epochs // 4),
        epochs=epochs,
        learning_rate=3e-4,
        losses={"valence_arousal": ka.losses.ConcordanceLoss()},
        verbose=0,
    )
    return model


def batches(images: np.ndarray, points: np.ndarray, seed: int) -> Any:
    """Shuffled batches of 32 with the ratings alone: the emotions' output is not trained."""
    import tensorflow as tf

    data = tf.data.Dataset.from_tensor_slices((images, {"valence_arousal": points}))
    return data.shuffle(len(images), seed=seed).batch(32)


def draw(path: Path, target: np.ndarray, before: np.ndarray, after: np.ndarray) -> None:
    """Both circumplexes side by side, each with lines from ratings to predictions."""
    figure = Figure(figsize=(11, 5.6), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    for place, (title, found) in enumerate((("before", before), ("after", after)), 1):
        axes = figure.add_subplot(1, 2, place)
        angle = np.linspace(0, 2 * np.pi, 200)
        axes.plot(np.cos(angle), np.sin(angle), color="#bbbbbb", linewidth=1)
        for start, end in zip(target, found, strict=True):
            axes.plot(*zip(start, end, strict=True), color="#999999", linewidth=0.4, alpha=0.5)
        axes.scatter(*target.T, s=8, color="#0072B2", label="rated")
        axes.scatter(*found.T, s=8, color="#D55E00", label="predicted")
        valence, arousal = concordance(target, found)
        axes.set_title(f"{title}: CCC {valence:.3f} valence, {arousal:.3f} arousal", loc="left")
        axes.set(xlim=(-1.05, 1.05), ylim=(-1.05, 1.05), aspect="equal")
        axes.set_xlabel("valence")
        axes.set_ylabel("arousal")
        axes.legend(frameon=False, loc="lower left")
    with path.open("xb") as file:
        figure.savefig(file, format="png")


def draw_faces(folder: Path, count: int = 96) -> Path:
    """Drawn faces with the ratings that they were drawn from."""
    rows = []
    for number in range(count):
        picture, emotion, (valence, arousal) = ka.datasets.synthetic.draw(number)
        name = f"{ka.emotions.NAMES[emotion]}{number % 16}_{number}.png"
        Image.fromarray(picture[..., 0]).save(folder / name)
        rows.append([name, f"{valence:.3f}", f"{arousal:.3f}"])
    with (folder / "ratings.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["path", "valence", "arousal"], *rows])
    return folder / "ratings.csv"


def run(
    table: Path,
    root: Path | None,
    scale: str,
    seeds: int,
    epochs: int,
    out: Path,
    weights: str,
) -> None:
    """Both directions for each seed; prints the figures and draws the first seed's."""
    data = ka.datasets.valence_arousal.read(table, root, scale=scale, on_error="skip")
    known = np.isfinite(data.valence_arousal).all(axis=1)
    images = np.stack([data.picture(place) for place in np.flatnonzero(known)]).astype("float32")
    points = data.valence_arousal[known]
    half = np.array([half_of(data.name(place)) for place in np.flatnonzero(known)])
    sizes = np.bincount(half, minlength=2)
    if sizes.min() < 8:
        raise ValueError(
            f"{table}: {sizes[0]} and {sizes[1]} rated pictures in its halves; expected 8 in each"
        )
    print(f"{len(points)} rated pictures, {sizes[0]} and {sizes[1]} in the halves")
    before = predict(ka.models.LightweightCNN(weights=weights), images)
    print("before: CCC {:.3f} valence, {:.3f} arousal".format(*concordance(points, before)))
    scores, drawn = [], None
    for seed in range(seeds):
        after = np.empty_like(before)
        for tested in (0, 1):
            learnt, unseen = half != tested, half == tested
            model = fine_tuned(weights, images[learnt], points[learnt], epochs, seed)
            after[unseen] = predict(model, images[unseen])
            scores.append(concordance(points[unseen], after[unseen]))
            print(
                "seed {}, half {}: CCC {:.3f} valence, {:.3f} arousal".format(
                    seed, tested, *scores[-1]
                )
            )
        drawn = after if drawn is None else drawn
    mean, deviation = np.mean(scores, axis=0), np.std(scores, axis=0)
    print(
        f"after:  CCC {mean[0]:.3f} +- {deviation[0]:.3f} valence, "
        f"{mean[1]:.3f} +- {deviation[1]:.3f} arousal, over {len(scores)} fits"
    )
    draw(out, points, before, drawn)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", type=Path, nargs="?", help="the csv")
    parser.add_argument("--root", type=Path, help="the folder its paths start from, if another")
    parser.add_argument("--scale", default="unit", help="unit, five, afew_va or sam")
    parser.add_argument("--weights", default="ferplus", help="a name that ships")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--out", type=Path, required=True, help="the plot to write, a .png")
    parser.add_argument("--smoke", action="store_true", help="a minute on drawn faces")
    arguments = parser.parse_args()
    if (arguments.table is None) != arguments.smoke:
        parser.error("name a csv, or say --smoke")
    if arguments.out.exists():
        parser.error(f"{arguments.out} is there already; name another file")
    if not arguments.out.parent.is_dir():
        parser.error(f"{arguments.out.parent} is no folder")
    for option in ("seeds", "epochs"):
        if getattr(arguments, option) < 1:
            parser.error(f"--{option} must be at least 1, and is {getattr(arguments, option)}")
    with tempfile.TemporaryDirectory() as scratch:
        table = draw_faces(Path(scratch)) if arguments.smoke else arguments.table
        epochs = 1 if arguments.smoke else arguments.epochs
        try:
            run(
                table,
                arguments.root,
                arguments.scale,
                arguments.seeds,
                epochs,
                arguments.out,
                arguments.weights,
            )
        except (OSError, ValueError) as error:
            parser.error(str(error))


if __name__ == "__main__":
    main()
