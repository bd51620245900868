"""From your folder of pictures and a csv to a trained model in a .tflite, in one page.

The csv has a row a picture: its path, and any of emotion (or votes, a column an emotion), valence
and arousal. Cells may be empty: each picture teaches what is known of it.

    python examples/06_your_own_data.py faces.csv --out mine
    python examples/06_your_own_data.py faces.csv --out mine --scale sam --encoding cp949
    python examples/06_your_own_data.py --smoke --out mine    # on drawn faces, to see that it runs

Training starts from the weights that ship, so that some hundred pictures are enough to fit them to
your camera and your faces; `--from-scratch` starts from random ones, and wants some ten thousand.
A fifth of the pictures is held out and scored, chosen by their names alone. If several pictures
show one person, put that person's pictures into one part yourself (a column `split`, and `split=`
in `read`), or the score is too good.

Time: 4.5 ms a picture and epoch at 48x48, as the runs in the README took on two cores with other
work beside them; then the export. Expected score: it depends on your data; compare it with that
of the weights that ship, which is printed first.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path
from typing import Any

import keras
import numpy as np
from PIL import Image

import keras_affect as ka


def compiled(model: Any, learning_rate: float, steps: int) -> Any:
    """The model with a loss for each output, which leaves out what a picture's row lacks."""
    model.compile(
        optimizer=keras.optimizers.SGD(
            keras.optimizers.schedules.CosineDecay(learning_rate, steps),
            momentum=0.9,
            nesterov=True,
        ),
        loss={
            "emotion": ka.losses.MaskedCategoricalCrossentropy(),
            "valence_arousal": ka.losses.MaskedMeanSquaredError(),
        },
        jit_compile=False,  # on processors XLA makes convolutions slower
    )
    return model


def score(model: Any, data: Any) -> str:
    """Accuracy and concordance over the pictures that have the label."""
    predicted = model.predict(data.batches(), verbose=0)
    labelled = data.emotion.any(axis=1)
    parts = []
    if labelled.any():
        right = predicted["emotion"].argmax(axis=1) == data.emotion.argmax(axis=1)
        parts.append(f"accuracy {right[labelled].mean():.1%} of {labelled.sum()}")
    for axis in ("valence", "arousal"):
        concordance = ka.metrics.ConcordanceCorrelation(axis)
        concordance.update_state(data.valence_arousal, predicted["valence_arousal"])
        parts.append(f"{axis} CCC {float(concordance.result()):.3f}")
    return ", ".join(parts)


def draw_faces(folder: Path, count: int = 96) -> Path:
    """A folder as people have them: pictures, and a csv with gaps."""
    rows = []
    for number in range(count):
        picture, emotion, (valence, arousal) = ka.datasets.synthetic.draw(number)
        Image.fromarray(picture[..., 0]).save(folder / f"{number:04d}.png")
        name = "" if number % 5 == 1 else ka.emotions.NAMES[emotion]
        points = ["", ""] if number % 5 == 2 else [f"{valence:.3f}", f"{arousal:.3f}"]
        rows.append([f"{number:04d}.png", name, *points])
    with (folder / "faces.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["path", "emotion", "valence", "arousal"], *rows])
    return folder / "faces.csv"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", type=Path, nargs="?", help="the csv")
    parser.add_argument("--root", type=Path, help="the folder its paths start from, if another")
    parser.add_argument("--out", type=Path, required=True, help="the folder to write")
    parser.add_argument("--scale", default="unit", help="unit, five, afew_va or sam")
    parser.add_argument("--codes", help="what emotion numbers mean: ferplus, affectnet, fer2013")
    parser.add_argument("--encoding", help="the csv's encoding, if not UTF-8")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--from-scratch", action="store_true", help="start from random weights")
    parser.add_argument("--smoke", action="store_true", help="a minute on drawn faces")
    arguments = parser.parse_args()
    if (arguments.table is None) != arguments.smoke:
        parser.error("name a csv, or say --smoke")
    out = arguments.out
    if out.exists():
        parser.error(f"{out} is there already; name another folder")

    # 1. The data: every row is checked; bad ones are left out, and counted in a warning.
    if arguments.smoke:
        out.mkdir(parents=True)
        arguments.table = draw_faces(out)
    try:
        data = ka.datasets.valence_arousal.read(
            arguments.table,
            arguments.root,
            scale=arguments.scale,
            codes=arguments.codes,
            encoding=arguments.encoding,
            on_error="skip",
        )
        train, test = data.divide(0.2)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    out.mkdir(parents=True, exist_ok=True)
    print(f"{len(train)} pictures to learn from, {len(test)} held out")

    # 2. The model, and what it knows before it saw any of them.
    epochs = 2 if arguments.smoke else arguments.epochs
    batch_size = min(64, len(train))
    steps = epochs * -(-len(train) // batch_size)
    if arguments.from_scratch:
        model = compiled(ka.models.LightweightCNN(weights=None), 0.1, steps)
    else:
        model = compiled(ka.models.LightweightCNN(), 0.005, steps)
    print(f"before: {score(model, test)}")

    # 3. Training. Each epoch has its own order and its own augmentation, by seed and number.
    batches = train.batches(
        batch_size=batch_size,
        shuffle=True,
        cache="memory" if len(train) < 100_000 else None,
        augment=ka.augmentation.face_pipeline("light"),
    )
    model.fit(batches, epochs=epochs, shuffle=False, verbose=2)
    print(f"after:  {score(model, test)}")
    model.save(out / "model.keras")

    # 4. Export: eight bits, calibrated on the pictures it learnt from.
    images = np.stack([train.picture(index) for index in range(min(256, len(train)))])
    report = ka.export.to_litert(
        model, out / "affect.tflite", "int8", images, licence="that of your pictures"
    )
    for heading, text in report.rows():
        print(f"{heading:<15}{text}")

    # 5. The file as a device runs it, without TensorFlow.
    interpreter = ka.runtime.AffectInterpreter(out / "affect.tflite")
    first = interpreter.predict(test.picture(0))
    print(f"{test.name(0)}: {first.emotion}, {first.probability:.0%}")


if __name__ == "__main__":
    main()
