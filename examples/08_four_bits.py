"""Weights in four bits: what they cost the model that ships, and what sixty steps win back of it.

Three times the same weights are rounded to int4, a scale for each output channel, and scored:
as they ship; after some steps of training as usual; and after as many steps in which the model ran
on rounded weights (`training.QuantizationAware`). The second is there since more training alone
might help. The last is exported, and scored once more as the .tflite that it has become.

    python examples/08_four_bits.py --data PATH/TO/FERPLUS --out affect_int4.tflite
    python examples/08_four_bits.py --smoke --out affect_int4.tflite    # on drawn faces

The .tflite needs the extra `quantize`.

Time: two minutes of processor time. Expected score of ferplus_v3 (`--weights ferplus_v3`), on FER+
valid (sums in another order, on another machine, move the last digits):

                                             accuracy  valence  arousal
    as it ships, float32                       88.06%    0.930    0.921
    as it ships, int4                          86.71%    0.911    0.913
    after training, int4                       86.68%    0.913    0.890
    after training on rounded weights, int4    86.81%    0.919    0.910

So training on rounded weights wins back two fifths of what valence loses; of the accuracy a tenth
of a point, which is three pictures and may be chance; and arousal ends 0.003 lower.
"""

from __future__ import annotations

import argparse
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import keras
import numpy as np

import keras_affect as ka
from keras_affect.weights import catalog


def compiled(model: Any, learning_rate: float, steps: int) -> Any:
    """A rate that falls to 0: weights near the middle of two steps go to and fro until it does."""
    model.compile(
        optimizer=keras.optimizers.SGD(
            keras.optimizers.schedules.CosineDecay(learning_rate, steps),
            momentum=0.9,
            nesterov=True,
        ),
        loss={"emotion": "categorical_crossentropy", "valence_arousal": "mean_squared_error"},
        jit_compile=False,  # on processors XLA makes convolutions slower
    )
    return model


def score(outputs: Any, labels: dict[str, np.ndarray]) -> str:
    """Accuracy, and concordance of valence and of arousal, in columns."""
    right = outputs["emotion"].argmax(axis=1) == labels["emotion"].argmax(axis=1)
    columns = [f"{right.mean():>9.2%}"]
    for axis in ("valence", "arousal"):
        concordance = ka.metrics.ConcordanceCorrelation(axis)
        concordance.update_state(labels["valence_arousal"], outputs["valence_arousal"])
        columns.append(f"{float(concordance.result()):>9.3f}")
    return "".join(columns)


def batches(data: Path | None) -> Any:
    """FER+ train, augmented; or drawings."""
    if data is None:
        return ka.datasets.synthetic.load(64, seed=1, batch_size=32)
    return ka.datasets.ferplus.load(
        data,
        "train",
        "outlier_free",
        drop_duplicates="valid",
        seed=1,
        augment=ka.augmentation.face_pipeline("strong"),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="FER+, train and valid")
    parser.add_argument("--out", type=Path, required=True, help="the .tflite to write")
    parser.add_argument("--weights", default="ferplus", help="a name that ships")
    parser.add_argument("--steps", type=int, default=60, help="of 128 pictures each")
    parser.add_argument("--learning-rate", type=float, default=0.01)
    parser.add_argument("--smoke", action="store_true", help="seconds on drawn faces")
    options = parser.parse_args()
    if (options.data is None) != options.smoke:
        parser.error("say --data, or --smoke")
    if options.out.exists():
        parser.error(f"{options.out} is there already; name another file")
    # Before the training: the last step writes the file.
    if options.out.suffix != ".tflite" or not options.out.parent.is_dir():
        parser.error(f"{options.out}: expected a .tflite in a folder that is there")
    if find_spec("litert_quantizer") is None:
        parser.error("int4 needs the extra quantize: pip install 'keras-affect[quantize]'")
    if options.weights not in catalog.names():
        parser.error(f"{options.weights} does not ship; expected one of {sorted(catalog.names())}")

    steps = 2 if options.smoke else options.steps
    try:
        if options.smoke:
            images, labels = ka.datasets.synthetic.arrays(64)
        else:
            valid = ka.datasets.ferplus.labelled(options.data, "valid", "majority")
            images = valid.data.images
            labels = {"emotion": valid.emotion, "valence_arousal": valid.valence_arousal}
    except (OSError, ValueError) as error:
        parser.error(str(error))
    images = images.astype(np.float32)

    print(f"{'':<40} accuracy  valence  arousal")
    for kind in ("as it ships", "after training", "after training on rounded weights"):
        keras.utils.set_random_seed(0)
        model = ka.models.LightweightCNN(weights=options.weights)
        aware = ka.training.QuantizationAware(model, bits=4)
        if kind == "as it ships":
            print(f"{kind + ', float32':<40}{score(model.predict(images, verbose=0), labels)}")
        else:
            trained = aware if kind.endswith("rounded weights") else model
            compiled(trained, options.learning_rate, steps)
            # Read anew, since each pass over a data set has an order of its own.
            trained.fit(batches(options.data).take(steps), shuffle=False, verbose=0)
        print(f"{kind + ', int4':<40}{score(aware.predict(images, verbose=0), labels)}", flush=True)

    # What was trained last, and the file that it becomes.
    ka.export.to_litert(model, options.out, "int4", timed=False)
    by_file = ka.runtime.AffectInterpreter(options.out).run(images)
    name = f"{options.out.name}, {options.out.stat().st_size:,} bytes"
    print(f"{name:<40}{score(by_file, labels)}")


if __name__ == "__main__":
    main()
