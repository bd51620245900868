"""Which regulariser does what: each one on and off, the rest left as it is.

Trains one small residual network again and again on FER+: as it is, with one regulariser more
(in one row with one fewer, batch normalisation), and with all of them. Each training adds a line
to `results/03_regularizers.csv`, and a table of means over seeds is written beside it. A training
that has its line is not done again: an interrupted run goes on where it stopped, and `--seeds 5`
after `--seeds 3` adds two of each row.

    # goes on with the table in results/
    python examples/03_regularizers.py --data FERPLUS --every 4 --epochs 12
    # all of FER+ train, longer: a table of its own
    python examples/03_regularizers.py --data FERPLUS --out runs/regularizers
    python examples/03_regularizers.py --smoke      # drawn faces, to see that it works

Time: `--smoke` takes 46 s of processor time. A training of 12 epochs on every fourth picture took
two to four minutes on one core in float32, with other work beside it, and in mixed_bfloat16 a
minute and a half to two and a half on a processor that has instructions for it. Five trainings
were done in both with the same seed: they ended 0.1 to 1.3 points apart, so a seed is all of one.
Expected of the first command: the table in `results/`. So short a training underfits: it is right
on 72 % of what it learnt from. Nothing is won there by holding it back: each of the augmentations
costs a little, L2 and L1 alone cost nothing. All together, and without normalisation at this
learning rate, it hardly learns. What pays in a long training is another question, which this table
does not answer.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import dataclasses
import os
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import keras
import numpy as np

import keras_affect as ka
from keras_affect.datasets.batches import batches_of
from keras_affect.models.batch_normalization import BatchNormalization

RESULTS = Path(__file__).parent / "results"
BATCH_SIZE = 128
#: The highest learning rate of stochastic gradient descent, with Nesterov momentum of 0.9.
LEARNING_RATE = 0.1
#: Channels of the network's stages, and residual blocks in each.
STAGES = ((16, 2), (32, 2), (64, 2))
SMOKE_STAGES = ((8, 1), (16, 1))
SMOKE_DRAWINGS, SMOKE_BATCH_SIZE = 32, 16


# === The rows of the table


@dataclass(frozen=True)
class Setting:
    """What a training is regularised by; as it stands, by batch normalisation alone."""

    batch_normalization: bool = True
    l2: float = 0.0  # coefficients of the kernels' penalties
    l1: float = 0.0
    dropout: float = 0.0  # rates, of what comes into the last layer and of its weights
    drop_connect: float = 0.0
    stochastic_depth: float = 0.0  # rate of the last block
    fractional_pooling: float = 0.0  # ratio; 0: pooling and strides of 2
    cutout: int = 0  # side in pixels
    mixup: float = 0.0  # parameter of the Beta distribution
    shift: float = 0.0  # largest, in pixels
    scale: float = 1.0  # largest factors
    contrast: float = 1.0
    brightness: float = 1.0

    def changed(self) -> dict[str, Any]:
        """The values that differ from the defaults."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: value for name, value in values.items() if value != getattr(Setting, name)}

    def __str__(self) -> str:
        return "; ".join(f"{name}={value}" for name, value in self.changed().items())


MORE = {
    "L2": Setting(l2=2.5e-4),
    "L1": Setting(l1=1e-5),
    "dropout": Setting(dropout=0.3),
    "DropConnect": Setting(drop_connect=0.3),
    "stochastic depth": Setting(stochastic_depth=0.2),
    "fractional pooling": Setting(fractional_pooling=1.8),
    "cutout": Setting(cutout=14),
    "mixup": Setting(mixup=0.2),
    "shift and scale": Setting(shift=4.0, scale=1.18),
    "contrast and brightness": Setting(contrast=1.5, brightness=1.3),
}
ROWS = {
    "none": Setting(),
    "no batch normalisation": Setting(batch_normalization=False),
    **MORE,
    "all together": Setting(
        **{name: value for row in MORE.values() for name, value in row.changed().items()}
    ),
}


# === The network


class Network:
    """The network under a setting, layer by layer."""

    def __init__(self, setting: Setting, stages: Sequence[tuple[int, int]]) -> None:
        self.setting = setting
        self.stages = stages
        blocks = sum(count for _, count in stages)
        self.rates = iter(ka.layers.stochastic_depth_rates(blocks, setting.stochastic_depth))
        # Without normalisation a residual network needs kernels that know its depth.
        normalizes = setting.batch_normalization
        self.branch_start = ka.initializers.MSRA() if normalizes else ka.initializers.Fixup(blocks)
        self.penalty = None
        if setting.l1 or setting.l2:
            self.penalty = keras.regularizers.L1L2(setting.l1, setting.l2)

    def model(self) -> keras.Model:
        """From gray pixels `(batch, 48, 48, 1)` to shares of the emotions `(batch, 8)`."""
        inputs = keras.Input((48, 48, 1), name="image")
        x = keras.layers.Rescaling(1 / 255)(inputs)
        x = _through(self.convolution(self.stages[0][0], ka.initializers.MSRA()), x)
        x = keras.layers.ReLU()(x)
        x = self.fractional_pooling()(x) if self.is_fractional else keras.layers.MaxPooling2D(2)(x)
        for stage, (channels, blocks) in enumerate(self.stages):
            for block in range(blocks):
                x = self.block(x, channels, shrinks=stage > 0 and block == 0)
        x = keras.layers.GlobalAveragePooling2D()(x)
        # Dropout leaves out what comes into the last layer, DropConnect its weights.
        if self.setting.dropout:
            x = keras.layers.Dropout(self.setting.dropout)(x)
        last = keras.layers.Dense(8, kernel_regularizer=self.penalty)
        if self.setting.drop_connect:
            last = ka.layers.DropConnect(last, self.setting.drop_connect)
        return keras.Model(inputs, keras.layers.Softmax(dtype="float32")(last(x)))

    def block(self, x: Any, channels: int, shrinks: bool) -> Any:
        """Two convolutions beside a shortcut."""
        depth = {"rate": next(self.rates), "mode": "batch"}
        strides = 2 if shrinks and not self.is_fractional else 1
        if shrinks and self.is_fractional:
            x = self.fractional_pooling()(x)
        branch = keras.Sequential(
            [
                *self.convolution(channels, self.branch_start, strides=strides),
                keras.layers.ReLU(),
                *self.convolution(channels, ends_branch=True),
            ]
        )
        if x.shape[-1] == channels and strides == 1:
            # A branch that is left out is not even computed.
            return keras.layers.ReLU()(ka.layers.StochasticDepth(**depth, branch=branch)(x))
        residual = branch(x)
        if strides == 2:
            x = keras.layers.AveragePooling2D(2, padding="same")(x)
        x = _through(self.convolution(channels, ka.initializers.MSRA(), kernel=1), x)
        return keras.layers.ReLU()(ka.layers.StochasticDepth(**depth)([x, residual]))

    def convolution(
        self,
        channels: int,
        initializer: Any = None,
        kernel: int = 3,
        strides: int = 1,
        ends_branch: bool = False,
    ) -> list[Any]:
        """A convolution and its normalisation, or what Fixup puts in normalisation's place.

        What ends a branch begins as 0: the scale of its normalisation, or else its kernel.
        """
        normalizes, zero = self.setting.batch_normalization, ka.initializers.ZeroResidual()
        if ends_branch:
            initializer = ka.initializers.MSRA() if normalizes else zero
        convolution = keras.layers.Conv2D(
            channels,
            kernel,
            strides,
            padding="same",
            use_bias=False,
            kernel_initializer=initializer,
            kernel_regularizer=self.penalty,
        )
        if normalizes:
            scale = zero if ends_branch else "ones"
            normalization = BatchNormalization(momentum=0.9, gamma_initializer=scale)
            return [convolution, normalization]
        before = ka.layers.ScalarAffine(use_multiplier=False)
        return [before, convolution, ka.layers.ScalarAffine(use_multiplier=ends_branch)]

    @property
    def is_fractional(self) -> bool:
        """Whether fractional pooling does the work of pooling and strides."""
        return self.setting.fractional_pooling > 0

    def fractional_pooling(self) -> Any:
        """A layer that makes a picture smaller."""
        return ka.layers.FractionalMaxPooling2D(self.setting.fractional_pooling)


def _through(layers: Sequence[Any], x: Any) -> Any:
    for layer in layers:
        x = layer(x)
    return x


# === The pictures


class Faces:
    """FER+ in its folder, or drawn faces where there is none; of train every `every`th picture."""

    def __init__(self, folder: Path | None, every: int = 1) -> None:
        self.folder = folder
        self.every = every
        self.valid = self._load("valid", "majority")
        # Some of what was learnt, as it is: what was learnt by heart shows here.
        self.seen = self._load("train", "majority").take(25)

    @staticmethod
    def name(folder: Path | None, every: int = 1) -> str:
        """What they are called in results."""
        if folder is None:
            return "drawn faces"
        return "FER+" if every == 1 else f"FER+ (1 of {every} train pictures)"

    def train(self, setting: Setting, seed: int) -> Any:
        """Batches changed as the setting says: a function of (seed, epoch, index) alone."""
        augment = ka.augmentation.FacePipeline(
            flip=0.0,
            rotation=0.0,
            scale=setting.scale,
            shift=setting.shift,
            contrast=setting.contrast,
            brightness=setting.brightness,
            cutout=setting.cutout,
            cutout_probability=1.0 if setting.cutout else 0.0,
        )
        mixup = ka.augmentation.Mixup(setting.mixup) if setting.mixup else None

        def changed(keys: Any, images: Any, labels: Any) -> Any:
            images = augment(images, keys)
            return (images, labels) if mixup is None else mixup(images, labels, keys=keys)

        batches = self._load("train", "outlier_free", seed, shuffle=True)
        batches = ka.augmentation.with_keys(batches, seed)
        return batches.map(changed, num_parallel_calls=2, deterministic=True).prefetch(2)

    def _load(self, split: str, labels: str, seed: int = 0, shuffle: bool = False) -> Any:
        if self.folder is None:
            series = {"train": 1, "valid": 2}[split]
            batches = ka.datasets.synthetic.load(SMOKE_DRAWINGS, series, SMOKE_BATCH_SIZE, shuffle)
        else:
            is_train = split == "train"
            kept = ka.datasets.ferplus.labelled(
                self.folder, split, labels, drop_duplicates="valid" if is_train else None
            )
            chosen = np.arange(len(kept)) % (self.every if is_train else 1) == 0
            batches = batches_of(
                kept.data.take(chosen),
                kept.emotion[chosen],
                None,
                draw_labels=False,
                batch_size=BATCH_SIZE,
                shuffle=shuffle,
                seed=seed,
                cache="memory",
                augment=None,
                initial_epoch=0,
                repeat=False,
            )
        return batches.map(lambda images, labels: (images, labels["emotion"]))


# === A training


@dataclass(frozen=True)
class Result:
    """A line of the CSV file; cross-entropies are in nats, against the majority's emotion."""

    regulariser: str
    seed: int
    setting: str
    data: str
    epochs: int
    dtype: str
    parameters: int
    valid_accuracy: float
    valid_cross_entropy: float
    train_accuracy: float  # of pictures as they are, without augmentation
    train_cross_entropy: float
    seconds: float


def train(name: str, seed: int, faces: Faces, epochs: int, dtype: str, stages: Any) -> Result:
    """Train and score a row of the table."""
    setting = ROWS[name]
    keras.utils.set_random_seed(seed)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(dtype)
    try:
        model = Network(setting, stages).model()
    finally:
        keras.config.set_dtype_policy(before)
    batches = faces.train(setting, seed)
    steps = epochs * int(batches.cardinality())
    model.compile(
        keras.optimizers.SGD(
            ka.training.OneCycle(LEARNING_RATE, steps), momentum=0.9, nesterov=True
        ),
        loss="categorical_crossentropy",
        metrics=[
            keras.metrics.CategoricalAccuracy(name="accuracy"),
            keras.metrics.CategoricalCrossentropy(name="cross_entropy"),
        ],
        jit_compile=False,  # XLA makes convolutions slower on processors.
    )
    begin = time.perf_counter()
    # `shuffle` is of arrays: the epochs come in an order of their own.
    model.fit(batches, epochs=epochs, shuffle=False, verbose=2 if faces.folder else 0)
    seconds = time.perf_counter() - begin
    valid, seen = (
        model.evaluate(part, verbose=0, return_dict=True) for part in (faces.valid, faces.seen)
    )
    return Result(
        regulariser=name,
        seed=seed,
        setting=str(setting),
        data=faces.name(faces.folder, faces.every),
        epochs=epochs,
        dtype=dtype,
        parameters=model.count_params(),
        valid_accuracy=round(valid["accuracy"], 5),
        valid_cross_entropy=round(valid["cross_entropy"], 5),
        train_accuracy=round(seen["accuracy"], 5),
        train_cross_entropy=round(seen["cross_entropy"], 5),
        seconds=round(seconds, 1),
    )


# === The table


def read(path: Path, dtype: str, seeds: int, **same: Any) -> list[Result]:
    """The lines of earlier runs, which must have been trained as the lines to come.

    Changes are taken seed by seed, so a seed's trainings must all be of one dtype; another seed's
    may be of another, as where a machine has no bfloat16.

    Args:
        path: The CSV file; there are no lines where there is none.
        dtype: Of the trainings to come.
        seeds: How many seeds a row is to have.
        same: Other columns with their values, the same in every line.

    Raises:
        ValueError: If the file holds something else, or a line with another setting, or with
            other values than those asked for; names the file and the line.
    """
    if not path.exists():
        return []
    types = {"int": int, "float": float, "str": str}
    fields = {field.name: types[str(field.type)] for field in dataclasses.fields(Result)}
    results = []
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if reader.fieldnames != list(fields):
            raise ValueError(f"{path}: not a table of this example: columns {reader.fieldnames}")
        for row in reader:
            try:
                result = Result(**{name: of(row[name]) for name, of in fields.items()})
                expected = same | {"setting": str(ROWS[result.regulariser])}
            except (KeyError, TypeError, ValueError) as error:
                raise ValueError(f"{path}: line {reader.line_num}: {error!r}") from None
            for name, value in expected.items():
                if getattr(result, name) != value:
                    raise ValueError(
                        f"{path}: line {reader.line_num}: trained with {name}="
                        f"{getattr(result, name)!r}, where this run has {name}={value!r}; name "
                        "another folder with --out"
                    )
            results.append(result)
    for seed in range(seeds):
        of_seed = [result for result in results if result.seed == seed]
        if 0 < len(of_seed) < len(ROWS) and (found := {r.dtype for r in of_seed}) != {dtype}:
            raise ValueError(
                f"{path}: seed {seed} has trainings in {', '.join(sorted(found))} and lacks "
                f"others, which would be in {dtype}; take its --dtype, or another folder with --out"
            )
    return results


def table(results: Sequence[Result]) -> str:
    """Means over seeds as Markdown, in the order of `ROWS`."""
    plain = {r.seed: r.valid_accuracy for r in results if r.regulariser == "none"}
    rows = [
        ["regulariser", "setting", "seeds", "valid accuracy", "change", "train accuracy",
         "valid cross-entropy"],
        ["---", "---", "---:", "---:", "---:", "---:", "---:"],
    ]  # fmt: skip
    for name in ROWS:
        of = [r for r in results if r.regulariser == name]
        if not of:
            continue
        # Seed by seed: the same seed has the same order of pictures.
        changes = [r.valid_accuracy - plain[r.seed] for r in of if r.seed in plain]
        rows.append(
            [
                name,
                "all the rows above but the second" if name == "all together" else of[0].setting,
                str(len(of)),
                _spread([r.valid_accuracy for r in of]),
                f"{100 * statistics.mean(changes):+.2f}" if changes and name != "none" else "",
                _spread([r.train_accuracy for r in of]),
                f"{statistics.mean(r.valid_cross_entropy for r in of):.3f}",
            ]
        )
    first = results[0]
    command = "03_regularizers.py --smoke"
    if part := re.fullmatch(r"FER\+(?: \(1 of (\d+) train pictures\))?", first.data):
        every = f" --every {part[1]}" if part[1] else ""
        command = f"03_regularizers.py --data PATH/TO/FERPLUS{every} --epochs {first.epochs}"
        if results[-1].dtype != "float32":
            command += f" --dtype {results[-1].dtype}"
    seeds: dict[str, set[str]] = {}
    for result in results:
        seeds.setdefault(result.dtype, set()).add(str(result.seed))
    dtypes = first.dtype
    if len(seeds) > 1:
        dtypes = ", ".join(
            f"{dtype} with seed {' and '.join(sorted(of))}" for dtype, of in seeds.items()
        )
    return (
        f"`python examples/{command}` wrote this table: {first.data}, epochs={first.epochs}, "
        f"{dtypes}. Accuracies in percent, mean and standard deviation over seeds; change "
        "against the first row in percentage points, seed by seed; train accuracy of pictures "
        "without augmentation.\n\n" + "".join(f"| {' | '.join(row)} |\n" for row in rows)
    )


def _spread(shares: Sequence[float]) -> str:
    mean = f"{100 * statistics.mean(shares):.2f}"
    return f"{mean} ± {100 * statistics.stdev(shares):.2f}" if len(shares) > 1 else mean


@contextlib.contextmanager
def _whole(path: Path) -> Iterator[TextIO]:
    """A file written beside its place and renamed: an interrupted run leaves the one of before."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with beside.open("w", newline="", encoding="utf-8") as file:
            yield file
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def write(path: Path, results: Sequence[Result]) -> None:
    """The CSV file, and the table beside it."""
    with _whole(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(field.name for field in dataclasses.fields(Result))
        writer.writerows(dataclasses.astuple(result) for result in results)
    with _whole(path.with_suffix(".md")) as file:
        file.write(table(results))


# === The command


def main(arguments: Sequence[str] | None = None) -> int:
    """Train what is left, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--data", type=Path, help="FER+, as keras-affect train takes it")
    source.add_argument(
        "--smoke", action="store_true", help="drawn faces, a smaller network, one epoch, one seed"
    )
    parser.add_argument("--seeds", type=_natural, default=3, help="trainings of each row (3)")
    parser.add_argument("--epochs", type=_natural, default=15, help="epochs of each (15)")
    parser.add_argument(
        "--every", type=_natural, default=1, metavar="N",
        help="train on every Nth picture of FER+ train: with few, regularisers matter more (1)",
    )  # fmt: skip
    parser.add_argument("--dtype", choices=["float32", "mixed_bfloat16"], default="float32")
    parser.add_argument(
        "--rows", nargs="+", choices=ROWS, default=list(ROWS), metavar="ROW",
        help=f"some of: {', '.join(ROWS)}",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, help="folder of the results (examples/results)")
    options = parser.parse_args(arguments)
    out, stages = options.out or RESULTS, STAGES
    if options.smoke and options.every > 1:
        parser.error("--every is of FER+: it goes with --data")
    if options.smoke:
        options.seeds, options.epochs, stages = 1, 1, SMOKE_STAGES
        # No result, and so not among the results.
        out = options.out or Path(tempfile.mkdtemp(prefix="03_regularizers_"))
    path = out / "03_regularizers.csv"
    try:
        trained_on = Faces.name(options.data, options.every)
        results = read(path, options.dtype, options.seeds, data=trained_on, epochs=options.epochs)
        faces = Faces(options.data, options.every)
        out.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        print(f"03_regularizers.py: {error}", file=sys.stderr)
        return 2
    done = {(result.regulariser, result.seed) for result in results}
    # All rows of a seed before the next seed: a run cut short leaves a table of fewer seeds.
    pairs = [(name, seed) for seed in range(options.seeds) for name in options.rows]
    left = [pair for pair in pairs if pair not in done]
    for place, (name, seed) in enumerate(left, 1):
        print(f"{place} of {len(left)}: {name}, seed {seed}", flush=True)
        results.append(train(name, seed, faces, options.epochs, options.dtype, stages))
        write(path, results)
        print(f"    valid accuracy {results[-1].valid_accuracy:.2%}", flush=True)
    print(f"{path}: {len(results)} trainings, {len(left)} of them new\n\n{table(results)}")
    return 0


def _natural(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected an integer of 1 or more, not {text!r}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
