"""Linear regression by gradient descent, from scratch: valence and arousal from face embeddings.

The hypothesis is `H(X) = X W + b`: X has a row of features for each face, W a column for valence
and one for arousal. The cost is `J = mean((H(X) - Y)^2) over faces and both columns`, and a step
of gradient descent is

    W <- W - rate * X^T (H(X) - Y) / n        b <- b - rate * mean(H(X) - Y)

The features are what LightweightCNN's backbone, with the weights that ship, sees in a face: 88
numbers, of which the first principal components are kept, scaled so that the widest has a
variance of 1. The cost's steepest curvature is then 1, so that rates above 2 overshoot further
with each step, and rates far below 1 crawl.

It is solved three ways: gradient descent in NumPy, the closed form (least squares), and a Keras
Dense layer trained by SGD. The three agree to 1e-3 in every weight.

    python examples/01_regression_from_scratch.py
    python examples/01_regression_from_scratch.py --data PATH/TO/FERPLUS
    python examples/01_regression_from_scratch.py --smoke      # seconds, to see that it runs

Time: half a minute of processor time on drawn faces. What was seen, of 1,500 of them:

    rate 0.02 cost 0.124 at step 0, 0.122 at step 1, 0.101 at step 10, 0.0457 at step 100, \
              0.0334 at step 1,000
    rate 1    cost 0.124 at step 0, 0.0483 at step 1, 0.0345 at step 10, 0.033 at step 100, \
              0.033 at step 1,000
    rate 2.05 cost 0.124 at step 0, 0.108 at step 1, 0.164 at step 10, 849 at step 100, \
              1.17e+41 at step 1,000
    NumPy, gradient descent   cost 0.032998, largest difference 5.3e-16
    closed form               cost 0.032998, largest difference 0.0e+00
    Keras, Dense and SGD      cost 0.032998, largest difference 1.5e-07
    held out, valence: CCC 0.740, RMSE 0.231 in [-1, 1], 1.16 in [-5, +5]; \
              arousal: CCC 0.821, RMSE 0.125 in [-1, 1], 0.62 in [-5, +5]
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

import keras_affect as ka

#: Too small, right, and just too large.
RATES = (0.02, 1.0, 2.05)
COLOURS = ("#0072B2", "#009E73", "#D55E00")
#: Drawn faces: pictures to fit, and to hold out.
DRAWINGS, HELD_OUT = 1_500, 500
COMPONENTS = 8
#: How closely the three solutions must agree.
TOLERANCE = 1e-3


@dataclass(frozen=True)
class Faces:
    """Features `(faces, components)`, and valence and arousal `(faces, 2)` in [-1, 1]."""

    features: np.ndarray
    points: np.ndarray


def drawn_faces(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    images, labels = ka.datasets.synthetic.arrays(count, seed)
    return images, labels["valence_arousal"]


def ferplus_faces(root: Path, split: str, count: int) -> tuple[np.ndarray, np.ndarray]:
    kept = ka.datasets.ferplus.labelled(
        root, split, "majority", drop_duplicates="valid" if split == "train" else None
    )
    chosen = np.flatnonzero(np.isfinite(kept.valence_arousal).all(axis=1))[:count]
    images = np.stack([kept.data.picture(index) for index in chosen])
    return images, kept.valence_arousal[chosen]


def embed(backbone: Any, images: np.ndarray) -> np.ndarray:
    return backbone.predict(images.astype(np.float32), batch_size=256, verbose=0).astype(float)


def principal_components(train: np.ndarray, held_out: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both on the train set's first components, the widest of variance 1."""
    mean = train.mean(axis=0)
    _, _, directions = np.linalg.svd(train - mean, full_matrices=False)
    parts = [(values - mean) @ directions[:COMPONENTS].T for values in (train, held_out)]
    return parts[0] / parts[0][:, 0].std(), parts[1] / parts[0][:, 0].std()


# === Three ways to the same line


def cost(x: np.ndarray, y: np.ndarray, w: np.ndarray, b: np.ndarray) -> float:
    return float(np.mean((x @ w + b - y) ** 2))


def descend(
    x: np.ndarray, y: np.ndarray, rate: float, steps: int
) -> tuple[np.ndarray, np.ndarray, list[float]]:
    """Weights, biases, and the cost before each step and after the last."""
    w, b = np.zeros((x.shape[1], y.shape[1])), np.zeros(y.shape[1])
    costs = [cost(x, y, w, b)]
    for _ in range(steps):
        error = x @ w + b - y
        w = w - rate * x.T @ error / len(x)
        b = b - rate * error.mean(axis=0)
        costs.append(cost(x, y, w, b))
    return w, b, costs


def closed_form(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Least squares, with a column of ones for the bias."""
    solution, *_ = np.linalg.lstsq(np.hstack([x, np.ones((len(x), 1))]), y, rcond=None)
    return solution[:-1], solution[-1]


def with_keras(
    x: np.ndarray, y: np.ndarray, rate: float, steps: int
) -> tuple[np.ndarray, np.ndarray]:
    """The same steps by Keras: its mean squared error of two columns is the cost above."""
    model = keras.Sequential(
        [keras.Input((x.shape[1],)), keras.layers.Dense(y.shape[1], kernel_initializer="zeros")]
    )
    model.compile(keras.optimizers.SGD(rate), "mean_squared_error", jit_compile=False)
    for _ in range(steps):
        model.train_on_batch(x.astype(np.float32), y.astype(np.float32))
    w, b = model.layers[0].get_weights()
    return w.astype(float), b.astype(float)


# === What is shown


def score(faces: Faces, w: np.ndarray, b: np.ndarray) -> list[str]:
    predicted = (faces.features @ w + b).astype(np.float32)
    lines = []
    for axis in ("valence", "arousal"):
        results = []
        for metric in (
            ka.metrics.ConcordanceCorrelation(axis),
            ka.metrics.RootMeanSquaredError(axis),
            ka.metrics.RootMeanSquaredError(axis, target="five"),
        ):
            metric.update_state(faces.points.astype(np.float32), predicted)
            results.append(float(metric.result()))
        lines.append(
            f"{axis}: CCC {results[0]:.3f}, RMSE {results[1]:.3f} in [-1, 1], "
            f"{results[2]:.2f} in [-5, +5]"
        )
    return lines


def plot(courses: list[list[float]], faces: Faces, w: Any, b: Any, path: Path) -> None:
    figure = Figure(figsize=(11, 4.8), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    left.set_title("The cost, at three learning rates")
    for rate, colour, costs in zip(RATES, COLOURS, courses, strict=True):
        left.plot(costs, color=colour, label=f"rate {rate:g}")
    lowest = min(min(costs) for costs in courses)
    left.set_xscale("symlog")
    left.set_yscale("log")
    left.set_ylim(0.8 * lowest, 10 * courses[0][0])
    left.set_xlabel("step")
    left.set_ylabel("mean squared error")
    left.legend(frameon=False)
    right.set_title("Held-out faces: from their label to the prediction")
    predicted = faces.features @ w + b
    for truth, found in zip(faces.points[:200], predicted[:200], strict=True):
        right.plot(*zip(truth, found, strict=True), color="#bbbbbb", linewidth=0.6, zorder=1)
    right.scatter(*faces.points[:200].T, s=14, color="#000000", label="label", zorder=2)
    right.scatter(*predicted[:200].T, s=14, color="#009E73", label="prediction", zorder=3)
    right.set_xlim(-1.1, 1.1)
    right.set_ylim(-1.1, 1.1)
    right.set_aspect("equal")
    right.set_xlabel("valence")
    right.set_ylabel("arousal")
    right.legend(frameon=False)
    for axes in (left, right):
        axes.grid(True, color="#dddddd", linewidth=0.8)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, format="png")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, help="FER+ as keras-affect train takes it")
    parser.add_argument("--out", type=Path, default=Path("01_regression_from_scratch.png"))
    parser.add_argument("--steps", type=int, default=1_000, help="of gradient descent")
    parser.add_argument("--overwrite", action="store_true", help="replace what stands at --out")
    parser.add_argument("--smoke", action="store_true", help="few faces")
    arguments = parser.parse_args()
    if arguments.steps < 1:
        parser.error(f"--steps must be 1 or more, and is {arguments.steps}")
    if arguments.out.exists() and not arguments.overwrite:
        parser.error(f"{arguments.out} is there already; --overwrite replaces it")
    if not arguments.out.parent.is_dir():
        parser.error(f"{arguments.out.parent} is no folder")

    few = 8 if arguments.smoke else 1
    try:
        if arguments.data is None:
            given = [
                drawn_faces(count // few, seed) for seed, count in enumerate((DRAWINGS, HELD_OUT))
            ]
        else:
            given = [
                ferplus_faces(arguments.data, split, count // few)
                for split, count in (("train", 4 * DRAWINGS), ("valid", 4 * HELD_OUT))
            ]
    except (OSError, ValueError) as error:
        parser.error(str(error))
    backbone = ka.models.LightweightCNN(weights="ferplus_v3", include_top=False, pooling="avg")
    x, held_out = principal_components(*(embed(backbone, images) for images, _ in given))
    y = given[0][1].astype(float)
    valid = Faces(held_out, given[1][1])

    print(f"{len(x):,} faces, {x.shape[1]} features, {arguments.steps:,} steps")
    courses = []
    for rate in RATES:
        with np.errstate(over="ignore", invalid="ignore"):  # too large a rate leaves all bounds
            w, b, costs = descend(x, y, rate, arguments.steps)
        courses.append(costs)
        shown = sorted({0, 1, 10, 100, arguments.steps} & set(range(len(costs))))
        print(
            f"rate {rate:<5g}cost "
            + ", ".join(f"{costs[step]:.3g} at step {step:,}" for step in shown)
        )
        if rate == 1:
            descended = w, b
    solutions = {
        "NumPy, gradient descent": descended,
        "closed form": closed_form(x, y),
        "Keras, Dense and SGD": with_keras(x, y, 1.0, arguments.steps),
    }
    exact = np.vstack(solutions["closed form"])
    for name, (w, b) in solutions.items():
        distance = np.abs(np.vstack([w, b]) - exact).max()
        print(f"{name:26}cost {cost(x, y, w, b):.6f}, largest difference {distance:.1e}")
        if not distance < TOLERANCE:
            raise SystemExit(f"{name}: off by {distance:.1e}; more --steps")
    print("held out, " + "; ".join(score(valid, *descended)))
    plot(courses, valid, *descended, arguments.out)
    print(arguments.out)


if __name__ == "__main__":
    main()
