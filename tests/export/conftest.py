"""One small two-headed network, and its exports, shared by the tests of this folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

SHAPE = (24, 24, 1)


def randomize_statistics(model: Any, seed: int = 0) -> None:
    """Batch normalisation as after training: an untrained one is nearly the identity."""
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        if variable.path.endswith("moving_mean"):
            variable.assign(rng.normal(0, 0.3, variable.shape))
        elif variable.path.endswith("moving_variance"):
            variable.assign(rng.uniform(0.3, 1.2, variable.shape))


def standardize_heads(model: Any, images: np.ndarray, seed: int = 0, gain: float = 1.0) -> None:
    """Heads on standardized features: outputs vary between images and seldom saturate."""
    import keras

    features = keras.Model(model.input, model.get_layer("dropout").output)
    values = np.asarray(features(images.astype(np.float32), training=False), np.float32)
    rng = np.random.default_rng(seed)
    for name, spread in (("emotion", 0.8), ("valence_arousal", 0.2)):
        head = model.get_layer(name)
        kernel = rng.normal(0, gain * spread, head.kernel.shape) / (values.std(0)[:, None] + 0.05)
        head.set_weights([kernel, -values.mean(0) @ kernel])


def two_headed(dtype: Any = None, seed: int = 0) -> Any:
    """A residual block with batch normalisation, dropout and two heads."""
    import keras

    keras.utils.set_random_seed(seed)
    layers = keras.layers
    image = keras.Input(SHAPE, name="pixels")
    x = layers.Rescaling(1 / 127.5, -1, dtype=dtype, name="rescale")(image)
    x = layers.Conv2D(16, 3, strides=2, padding="same", dtype=dtype, name="stem")(x)
    x = layers.BatchNormalization(dtype=dtype, name="stem_norm")(x)
    x = layers.ReLU(dtype=dtype, name="stem_relu")(x)
    y = layers.Conv2D(16, 3, padding="same", use_bias=False, dtype=dtype, name="branch")(x)
    y = layers.BatchNormalization(dtype=dtype, name="branch_norm")(y)
    x = layers.ReLU(dtype=dtype, name="relu")(layers.Add(dtype=dtype, name="add")([x, y]))
    x = layers.GlobalAveragePooling2D(dtype=dtype, name="pool")(x)
    x = layers.Dropout(0.5, dtype=dtype, name="dropout")(x)
    emotion = layers.Dense(8, activation="softmax", dtype="float32", name="emotion")(x)
    affect = layers.Dense(2, activation="tanh", dtype="float32", name="valence_arousal")(x)
    model = keras.Model(image, {"emotion": emotion, "valence_arousal": affect}, name="tiny")
    randomize_statistics(model, seed)
    standardize_heads(model, smooth_images(64, seed=0), seed)
    return model


def smooth_images(count: int, seed: int) -> np.ndarray:
    """uint8 pictures of a slope and a spot each, 20 to 200: neither 0 nor 255 is in them."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0 : SHAPE[0], 0 : SHAPE[1]] / SHAPE[0]
    slope = rng.uniform(-1, 1, (2, count, 1, 1))
    centre, width = rng.uniform(0, 1, (2, count, 1, 1)), rng.uniform(0.05, 0.3, (count, 1, 1))
    spot = np.exp(-((y - centre[0]) ** 2 + (x - centre[1]) ** 2) / width**2)
    pictures = slope[0] * y + slope[1] * x + rng.choice([-1, 1], (count, 1, 1)) * 2 * spot
    low, high = pictures.min((1, 2), keepdims=True), pictures.max((1, 2), keepdims=True)
    return (20 + 180 * (pictures - low) / (high - low)).astype(np.uint8)[..., np.newaxis]


@dataclass(frozen=True)
class Read:
    """A `.tflite` read with LiteRT alone, by another way than the package's own."""

    content: bytes

    def runner(self) -> Any:
        from ai_edge_litert.interpreter import Interpreter

        return Interpreter(model_content=self.content).get_signature_runner("serving_default")

    def __call__(self, images: np.ndarray) -> dict[str, np.ndarray]:
        runner = self.runner()
        dtype = next(iter(runner.get_input_details().values()))["dtype"]
        details = runner.get_output_details()
        rows = [runner(image=image[None].astype(dtype)) for image in images]
        outputs = {}
        for name, detail in details.items():
            scale, zero = detail["quantization"]
            values = np.concatenate([row[name] for row in rows]).astype(np.float64)
            outputs[name] = (values - zero) * scale if scale else values
        return outputs


@pytest.fixture(scope="session")
def tiny() -> Any:
    return two_headed()


@pytest.fixture(scope="session")
def calibration() -> np.ndarray:
    return smooth_images(48, seed=1)


@pytest.fixture(scope="session")
def unseen() -> np.ndarray:
    return smooth_images(32, seed=2)


@pytest.fixture(scope="session")
def expected(tiny: Any, unseen: np.ndarray) -> dict[str, np.ndarray]:
    outputs = tiny(unseen.astype(np.float32), training=False)
    return {name: np.asarray(tensor, np.float64) for name, tensor in outputs.items()}


def _convert_here(folder: Path, request: dict[str, Any], model: Any) -> None:
    from keras_affect.export import _convert

    arguments = (request[name] for name in ("saved_model", "calibration", "config", "keep"))
    Path(request["output"]).write_bytes(_convert.TASKS[request["task"]](*arguments))


@pytest.fixture
def convert_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """The child's work done in this process: a child spends seconds on importing TensorFlow."""
    from keras_affect.export import conversion

    monkeypatch.setattr(conversion, "_run_child", _convert_here)


@pytest.fixture(scope="session")
def exported(
    tiny: Any, calibration: np.ndarray, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], tuple[Any, bytes]]:
    """The report and the bytes of the small network under a quantization; converted once each.

    int8 goes through a child process as users' exports do, the rest is converted here.
    """
    from keras_affect.export import conversion, to_litert

    folder = tmp_path_factory.mktemp("exported")
    made: dict[str, tuple[Any, bytes]] = {}

    def export(quantization: str) -> tuple[Any, bytes]:
        if quantization not in made:
            path = folder / f"{quantization}.tflite"
            with pytest.MonkeyPatch.context() as patch:
                if quantization != "int8":
                    patch.setattr(conversion, "_run_child", _convert_here)
                report = to_litert(tiny, path, quantization, calibration=calibration)
            made[quantization] = report, path.read_bytes()
        return made[quantization]

    return export


def small_ferplus(folder: Path, train: int = 24, valid: int = 16) -> Path:
    """FER+'s folders with pictures of nothing, each voted for one emotion by ten people."""
    from PIL import Image

    root = folder / "ferplus"
    rng = np.random.default_rng(0)
    for name, count in (("FER2013Train", train), ("FER2013Valid", valid)):
        (root / name).mkdir(parents=True)
        rows = []
        for i in range(count):
            low = rng.integers(0, 256, (6, 6)).astype(np.uint8)
            picture = Image.fromarray(low).resize((48, 48), Image.Resampling.BICUBIC)
            picture.save(root / name / f"{name}{i}.png")
            votes = ["0"] * 10
            votes[i % 8] = "10"
            rows.append(f'{name}{i}.png,"(0, 0, 48, 48)",{",".join(votes)}\n')
        (root / name / "label.csv").write_text("".join(rows))
    return root
