"""Pictures of a training and of a model's answers, as PNG files.

Each function draws one file, on a figure of its own: matplotlib's `pyplot`, its state and its
windows are left alone.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

try:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine
    from matplotlib.patches import Circle
    from matplotlib.ticker import MaxNLocator, PercentFormatter
except ImportError as error:
    raise ImportError("plots need matplotlib: pip install 'keras-affect[tensorflow]'") from error

from keras_affect import emotions
from keras_affect._files import check_destination, written_whole
from keras_affect.evaluation.calibration import BINS
from keras_affect.evaluation.calibration import reliability as binned
from keras_affect.evaluation.checks import check_pair, check_rows
from keras_affect.evaluation.occlusion import occlusion
from keras_affect.evaluation.selective import answered as answered_curve

__all__ = ["answered", "circumplex", "confusion", "curves", "reliability", "saliency"]

_TRAIN, _VALID = "#0072B2", "#D55E00"
_GRID = {"color": "#dddddd", "linewidth": 0.8}
_DPI = 120


def _figure(width: float, height: float) -> Figure:
    layout = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.12)
    figure = Figure(figsize=(width, height), dpi=_DPI, layout=layout)
    FigureCanvasAgg(figure)
    return figure


def _save(figure: Figure, path: str | Path, overwrite: bool) -> None:
    with written_whole(path, overwrite) as beside:
        figure.savefig(beside, format="png")


def _quiet(axes: Any) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(True, **_GRID)
    axes.set_axisbelow(True)


# === Curves of a training


def curves(log_csv: str | Path, path: str | Path, overwrite: bool = False) -> None:
    """Loss, accuracy, agreement and learning rate over the epochs of a training.

    Args:
        log_csv: A csv with a row an epoch, as `keras-affect train` and Keras's `CSVLogger` write
            it: "epoch", "loss", and whichever of the emotion's accuracy, of concordance
            correlations and of "learning_rate" it has; "val_" before a name means held out.
            Empty fields and NaN leave a gap.
        path: The PNG to write.
        overwrite: Whether a file that stands there may be replaced.

    Raises:
        FileNotFoundError: If there is no such log.
        FileExistsError: If `path` is there and `overwrite` is False.
        ValueError: If the log holds no epoch or what is no number; names file and row.
    """
    check_destination(path, overwrite)
    columns = _read_log(Path(log_csv))
    epochs = columns["epoch"]
    panels = [
        (title, names)
        for title, endings in (
            ("loss", ("loss",)),
            ("accuracy", ("accuracy",)),
            # The metric's own name, and that in the logs of `training`.
            ("concordance", ("concordance_correlation", "concordance")),
            ("learning rate", ("learning_rate",)),
        )
        if (names := _of_panel(columns, endings))
    ]
    figure = _figure(4.4 * len(panels), 3.6)
    row = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, (title, names) in zip(row, panels, strict=True):
        for name in names:
            is_valid = name.startswith("val_")
            axes.plot(
                epochs,
                columns[name],
                color=_VALID if is_valid else _TRAIN,
                marker="o" if len(epochs) < 16 else None,
                markersize=3.5,
                label="valid" if is_valid else "train",
            )
        _quiet(axes)
        axes.set_title(title, loc="left", fontweight="bold")
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if title == "accuracy":
            axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        if title != "learning rate":
            axes.legend(frameon=False)
    _save(figure, path, overwrite)


def _of_panel(columns: dict[str, Any], endings: tuple[str, ...]) -> list[str]:
    """The shortest name of such an ending, and its held-out twin: "loss" before "emotion_loss"."""
    names = [name for name in columns if name.endswith(endings) and not name.startswith("val_")]
    if not names:
        return []
    shortest = min(names, key=len)
    return [name for name in (shortest, f"val_{shortest}") if name in columns]


def _read_log(path: Path) -> dict[str, npt.NDArray[np.float64]]:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such log")
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path}: not a csv ({error})") from None
    if len(rows) < 2 or "epoch" not in rows[0] or "loss" not in rows[0]:
        raise ValueError(f"{path}: expected a row of names with epoch and loss, and an epoch more")
    values = np.empty((len(rows) - 1, len(rows[0])))
    for number, row in enumerate(rows[1:], 2):
        try:
            if len(row) != len(rows[0]):  # a single number would fill the row
                raise ValueError
            values[number - 2] = [float(field) if field.strip() else np.nan for field in row]
        except ValueError:
            found = ", ".join(row) or "nothing"
            raise ValueError(
                f"{path}, row {number}: expected {len(rows[0])} numbers, found {found}"
            ) from None
        if np.isnan(values[number - 2, rows[0].index("epoch")]):
            raise ValueError(f"{path}, row {number}: expected an epoch")
    return dict(zip(rows[0], values.T, strict=True))


# === Answers


def confusion(
    probabilities: npt.ArrayLike,
    votes: npt.ArrayLike,
    path: str | Path,
    overwrite: bool = False,
) -> None:
    """The confusion matrix by the official rule: counts, coloured by their share of the row.

    Args:
        probabilities: `(images, 8)`, as `evaluation.scores` takes them.
        votes: `(images, 10)`.
        path: The PNG to write.
        overwrite: Whether a file that stands there may be replaced.

    Raises:
        FileExistsError: If `path` is there and `overwrite` is False.
        ValueError: As `evaluation.scores`.
    """
    check_destination(path, overwrite)
    given, _, label = check_pair(probabilities, votes)
    counts = np.zeros((len(emotions.NAMES), len(emotions.NAMES)), np.int64)
    np.add.at(counts, (label[label >= 0], given[label >= 0].argmax(axis=1)), 1)
    total = counts.sum(axis=1)
    shares = counts / np.maximum(total, 1)[:, None]

    figure = _figure(8.4, 7.2)
    axes = figure.add_subplot()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(counts.shape):
        if counts[row, column]:
            axes.text(
                column,
                row,
                f"{counts[row, column]:,}\n{_percent(float(shares[row, column]))}",
                ha="center",
                va="center",
                color="white" if shares[row, column] > 0.55 else "black",
                fontsize=9.5,
            )
    places = range(len(emotions.NAMES))
    axes.set_xticks(places, emotions.NAMES, rotation=35, ha="right", rotation_mode="anchor")
    axes.set_yticks(
        places, [f"{name} ({n:,})" for name, n in zip(emotions.NAMES, total, strict=True)]
    )
    axes.set_xlabel("most probable by the model")
    axes.set_ylabel("majority of the votes (images)")
    axes.set_title(
        f"{counts.trace():,} of {counts.sum():,} images right, {counts.trace() / counts.sum():.2%}",
        loc="left",
        fontweight="bold",
    )
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(image, ax=axes, shrink=0.8, format=PercentFormatter(1.0))
    bar.set_label("share of the row")
    bar.outline.set_visible(False)
    _save(figure, path, overwrite)


def _percent(share: float) -> str:
    return "<1%" if share < 0.005 else f"{share:.0%}"


def circumplex(
    predicted: npt.ArrayLike,
    target: npt.ArrayLike,
    majority: npt.ArrayLike,
    path: str | Path,
    overwrite: bool = False,
) -> None:
    """Predicted valence and arousal beside their targets, both on the circumplex.

    Args:
        predicted: `(images, 2)`, valence and arousal in [-1, 1].
        target: `(images, 2)`; an image with a NaN is left out.
        majority: `(images,)`, each image's emotion as a place in `emotions.NAMES`, which colours
            it; -1 leaves an image out.
        path: The PNG to write.
        overwrite: Whether a file that stands there may be replaced.

    Raises:
        FileExistsError: If `path` is there and `overwrite` is False.
        ValueError: If the arrays do not fit each other, a prediction is not finite, or no image
            is left.
    """
    check_destination(path, overwrite)
    points = [np.asarray(values, np.float64) for values in (target, predicted)]
    label = np.asarray(majority)
    if label.ndim != 1 or not np.isin(label, np.arange(-1, len(emotions.NAMES))).all():
        raise ValueError(
            "Invalid value for argument `majority`. Expected (images,) places in emotions.NAMES, "
            f"or -1. Received: shape {label.shape}"
        )
    check_rows("predicted", points[1], (len(label), 2))
    if points[0].shape != points[1].shape:
        raise ValueError(
            f"Invalid value for argument `target`. Expected shape {points[1].shape}. "
            f"Received: shape {points[0].shape}"
        )
    kept = (label >= 0) & np.isfinite(points[0]).all(axis=1)
    if not kept.any():
        raise ValueError(
            "Invalid value for argument `target`. Expected at least one image with an emotion and "
            f"a target. Received: {len(label)} images, none such"
        )
    figure = _figure(11.6, 5.9)
    both = figure.subplots(1, 2)
    for axes, values, title in zip(both, points, ("target", "predicted"), strict=True):
        _draw_plane(axes, title)
        _scatter(axes, values[kept], label[kept])
    present = [i for i in range(len(emotions.NAMES)) if (label[kept] == i).any()]
    handles = [
        both[0].scatter([], [], s=60, color=emotions.COLORS[emotions.NAMES[i]], edgecolor="#444444")
        for i in present
    ]
    names = [f"{emotions.NAMES[i]} ({(label[kept] == i).sum():,})" for i in present]
    figure.legend(
        handles,
        names,
        title="majority (images); large points are means",
        loc="outside lower center",
        ncols=4,
        frameon=False,
    )
    _save(figure, path, overwrite)


def _draw_plane(axes: Any, title: str) -> None:
    axes.add_patch(Circle((0, 0), 1, fill=False, color="#999999", linewidth=1))
    axes.axhline(0, **_GRID)
    axes.axvline(0, **_GRID)
    axes.set(xlim=(-1.05, 1.05), ylim=(-1.05, 1.05), aspect="equal")
    axes.set_xticks([-1, -0.5, 0, 0.5, 1])
    axes.set_yticks([-1, -0.5, 0, 0.5, 1])
    axes.set_xlabel("valence: unpleasant to pleasant")
    axes.set_ylabel("arousal: calm to excited")
    axes.set_title(title, loc="left", fontweight="bold")
    axes.spines[:].set_visible(False)


def _scatter(axes: Any, values: npt.NDArray[np.float64], label: npt.NDArray[Any]) -> None:
    # In one call and in an order that is no emotion's, so that none lies on top of the others.
    order = np.random.default_rng(0).permutation(len(values))
    colors = [emotions.COLORS[emotions.NAMES[i]] for i in label[order]]
    size = float(np.clip(6000 / len(values), 9, 40))
    axes.scatter(*values[order].T, s=size, c=colors, alpha=0.75, linewidth=0, zorder=2)
    for i in np.unique(label):
        centre = values[label == i].mean(axis=0)
        color = emotions.COLORS[emotions.NAMES[i]]
        axes.scatter(*centre, s=130, color=color, edgecolor="white", linewidth=1.8, zorder=3)


def reliability(
    probabilities: npt.ArrayLike,
    votes: npt.ArrayLike,
    path: str | Path,
    bins: int = BINS,
    overwrite: bool = False,
) -> None:
    """The probability of the predicted emotion against its share of the votes, bin by bin.

    Args:
        probabilities: `(images, 8)`, as `evaluation.scores` takes them.
        votes: `(images, 10)`.
        path: The PNG to write.
        bins: Bins of equal count, as in `evaluation.reliability`.
        overwrite: Whether a file that stands there may be replaced.

    Raises:
        FileExistsError: If `path` is there and `overwrite` is False.
        ValueError: As `evaluation.reliability`.
    """
    check_destination(path, overwrite)
    found = binned(probabilities, votes, bins)
    figure = _figure(5.8, 5.4)
    axes = figure.add_subplot()
    axes.plot(
        [0, 1], [0, 1], color="#999999", linewidth=1, linestyle="--", label="as sure as right"
    )
    axes.vlines(
        found.confidence, found.confidence, found.share, color=_VALID, linewidth=2, alpha=0.5,
        label="gap",
    )  # fmt: skip
    axes.plot(found.confidence, found.share, color=_TRAIN, marker="o", label="model")
    _quiet(axes)
    axes.set(xlim=(0, 1.02), ylim=(0, 1.02), aspect="equal")
    axes.set_xlabel("mean probability of the predicted emotion")
    axes.set_ylabel("its mean share of the votes")
    axes.set_title(f"calibration error {found.error:.4f}\n", loc="left", fontweight="bold")
    axes.text(
        0,
        1.015,
        f"{found.count.sum():,} images in {len(found.count)} bins of equal count",
        transform=axes.transAxes,
        color="#555555",
    )
    axes.legend(frameon=False, loc="upper left")
    _save(figure, path, overwrite)


def answered(
    probabilities: npt.ArrayLike,
    votes: npt.ArrayLike,
    path: str | Path,
    overwrite: bool = False,
) -> None:
    """Accuracy against the share of pictures answered, the most certain ones first.

    Args:
        probabilities: `(images, 8)`, as `evaluation.scores` takes them.
        votes: `(images, 10)`.
        path: The PNG to write.
        overwrite: Whether a file that stands there may be replaced.

    Raises:
        FileExistsError: If `path` is there and `overwrite` is False.
        ValueError: As `evaluation.scores`.
    """
    check_destination(path, overwrite)
    certainty, share, accuracy = answered_curve(probabilities, votes)
    figure = _figure(6.4, 5.0)
    axes = figure.add_subplot()
    axes.plot(share, accuracy, color=_TRAIN)
    # Certainties are marked where the curve goes through them.
    for threshold in (0.9, 0.7, 0.5):
        place = int(np.searchsorted(-certainty, -threshold, side="right")) - 1
        if place >= 0:
            axes.plot(share[place], accuracy[place], color=_TRAIN, marker="o")
            axes.annotate(
                f"certainty {threshold:g}",
                (share[place], accuracy[place]),
                xytext=(-6, -14),
                textcoords="offset points",
                ha="right",
            )
    _quiet(axes)
    axes.set(xlim=(0, 1.02), ylim=(min(0.5, float(accuracy[-1]) - 0.05), 1.02))
    axes.set_xlabel("share of the pictures answered")
    axes.set_ylabel("share of the answers that is right")
    axes.set_title(
        f"accuracy {accuracy[-1]:.2%} if all are answered", loc="left", fontweight="bold"
    )
    _save(figure, path, overwrite)


# === One picture


def saliency(
    model: Any,
    picture: Any,
    path: str | Path,
    class_name: str | None = None,
    *,
    side: int = 12,
    stride: int = 4,
    overwrite: bool = False,
) -> None:
    """Which part of a picture a model's answer comes from, by covering it square by square.

    Left the picture as the model sees it, right what covering each part takes from the answer.
    It shows what the model makes use of, and nothing of what a person feels.

    Args:
        model: As `evaluation.occlusion` takes it: a Keras model, a ``.tflite``, a name that ships.
        picture: A face, as `AffectInterpreter.predict` takes it.
        path: The PNG to write.
        class_name: The class to look at. None: the model's answer.
        side: Of the square, in pixels of the model's input.
        stride: From square to square; divides `side`.
        overwrite: Whether a file that stands there may be replaced.

    Raises:
        FileNotFoundError: If a path leads nowhere.
        FileExistsError: If `path` is there and `overwrite` is False.
        PictureError: If the picture can't be read.
        ValueError: As `evaluation.occlusion`.

    Example:
        >>> keras_affect.visualize.saliency("ferplus", "face.jpg", "saliency.png")
    """
    check_destination(path, overwrite)
    found = occlusion(model, picture, class_name, side=side, stride=stride)
    figure = _figure(8.4, 4.4)
    left, right = figure.subplots(1, 2)
    # One channel is drawn as gray, by its numbers; three are colours.
    image = found.pixels[..., 0] if found.pixels.shape[2] == 1 else found.pixels
    for axes in (left, right):
        axes.imshow(image, cmap="gray", vmin=0, vmax=255)
        axes.set_axis_off()
    # The colours end where covering changes most, in either direction; a model that looks at
    # nothing has no such place.
    largest = float(np.abs(found.drop).max()) or 1.0
    colored = right.imshow(found.drop, cmap="PuOr_r", vmin=-largest, vmax=largest, alpha=0.7)
    bar = figure.colorbar(colored, ax=right, shrink=0.8)
    bar.set_label("probability lost where covered")
    left.set_title(f"{found.class_name}, {found.probability:.0%}", loc="left", fontweight="bold")
    right.set_title("what it comes from", loc="left", fontweight="bold")
    _save(figure, path, overwrite)
