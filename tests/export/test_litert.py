from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_affect.export import ConversionError, QuantizationConfig, to_litert
from tests.export.conftest import SHAPE, Read, smooth_images

Exported = Callable[[str], tuple[Any, bytes]]

# Largest error of probabilities, valence and arousal on images that calibration did not see.
# Measured on this network: float32 2e-6, float16 0.003, dynamic range 0.008, int8 0.042.
TOLERANCE = {
    "float32": 1e-4,
    "float16": 6e-3,
    "dynamic_range": 0.02,
    "weight_only_int8": 0.05,
    "int8": 0.08,
}


@pytest.mark.parametrize("quantization", TOLERANCE)
def test_gives_what_the_keras_model_gives(
    quantization: str, exported: Exported, unseen: np.ndarray, expected: dict[str, Any]
) -> None:
    outputs = Read(exported(quantization)[1])(unseen)
    assert set(outputs) == {"emotion", "valence_arousal"}
    for name, wanted in expected.items():
        error = np.abs(outputs[name] - wanted).max()
        assert error < TOLERANCE[quantization], name
        # The images tell apart what the tolerance lets pass: neither a constant nor another
        # image's output would.
        assert np.ptp(outputs[name], axis=0).max() > 6 * TOLERANCE[quantization]
        assert np.abs(np.roll(outputs[name], 1, axis=0) - wanted).max() > 6 * error
        # And less precision is really less: nothing passes for what it is not.
        assert (error > 1e-4) == (quantization != "float32")


def test_int4_is_the_smallest_and_the_furthest_off(
    exported: Exported, unseen: np.ndarray, expected: dict[str, Any]
) -> None:
    # Four bits cost this untrained network up to 0.53 of a probability, so that a bound on errors
    # says nothing; but outputs go with the model's. tests/edge/test_python.py has trained weights.
    sizes = {name: len(exported(name)[1]) for name in ("int4", "weight_only_int8", "float32")}
    assert sizes["int4"] < sizes["weight_only_int8"] < sizes["float32"]
    outputs = Read(exported("int4")[1])(unseen)
    for name, wanted in expected.items():
        error = np.abs(outputs[name] - wanted).mean()
        assert 1e-3 < error < 0.8 * np.abs(np.roll(outputs[name], 1, axis=0) - wanted).mean()


def test_weights_without_the_quantizer_library(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "litert_quantizer", None)
    with pytest.raises(ImportError, match=r"int4 needs .*'keras-affect\[quantize\]'"):
        to_litert(tiny, tmp_path / "a.tflite", "int4")


def test_int8_reads_a_pictures_bytes(exported: Exported) -> None:
    # The calibration images span 20 to 200; with these alone the scale would be 0.7.
    report, content = exported("int8")
    (details,) = Read(content).runner().get_input_details().values()
    assert details["quantization"] == (1.0, 0)
    assert details["dtype"] == np.uint8
    assert (report.input.scale, report.input.zero_point) == (1.0, 0)


def test_calibration_without_extremes_would_misread(
    tiny: Any,
    calibration: np.ndarray,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    convert_here: None,
) -> None:
    monkeypatch.setattr("keras_affect.export.calibration.with_extremes", lambda images: images)
    with pytest.raises(ConversionError, match=r"scale 0\.7.* would misread every picture"):
        to_litert(tiny, tmp_path / "a.tflite", calibration=calibration)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("convert_here")
def test_the_same_model_gives_the_same_bytes(
    tiny: Any, calibration: np.ndarray, tmp_path: Path, exported: Exported
) -> None:
    # `exported` went through a child process and another path, this one doesn't, and the model
    # comes from a file.
    tiny.save(tmp_path / "tiny.keras")
    again = keras.saving.load_model(tmp_path / "tiny.keras")
    to_litert(again, tmp_path / "again.tflite", calibration=calibration)
    assert (tmp_path / "again.tflite").read_bytes() == exported("int8")[1]


def test_report(exported: Exported, calibration: np.ndarray, tiny: Any) -> None:
    report, content = exported("int8")
    assert report.size == len(content)
    assert report.quantization == "int8"
    assert report.stayed_float == {}
    assert report.measured_on == "48 calibration images"
    outputs = Read(content)(calibration)
    for name, tensor in tiny(calibration.astype(np.float32)).items():
        error = np.abs(outputs[name] - np.asarray(tensor)).max()
        assert report.largest_error[name] == pytest.approx(error, abs=1e-6)
    assert report.scores is None
    assert exported("float16")[0].stayed_float is None


@pytest.mark.usefixtures("convert_here")
def test_what_stayed_float_is_reported(calibration: np.ndarray, tmp_path: Path) -> None:
    image = keras.Input(SHAPE)
    x = keras.layers.Conv2D(4, 3)(keras.layers.Rescaling(1 / 255)(image))
    x = keras.layers.GlobalAveragePooling2D()(keras.ops.sin(x))
    model = keras.Model(image, keras.layers.Dense(8, activation="softmax")(x))
    report = to_litert(model, tmp_path / "a.tflite", calibration=calibration)
    assert report.stayed_float == {"SIN": 1}


@pytest.mark.usefixtures("convert_here")
def test_without_images_errors_are_measured_on_noise(tiny: Any, tmp_path: Path) -> None:
    report = to_litert(tiny, tmp_path / "a.tflite", QuantizationConfig.for_float32())
    assert report.measured_on == "16 pictures of noise, for no images were given"
    assert 0 < report.largest_error["emotion"] < 1e-4


@pytest.mark.usefixtures("convert_here")
def test_float_images_are_measured_as_the_bytes_they_become(
    tiny: Any, calibration: np.ndarray, tmp_path: Path, exported: Exported
) -> None:
    between = np.clip(calibration + 0.4, 0, 255)
    report = to_litert(tiny, tmp_path / "a.tflite", calibration=between)
    for name, error in report.largest_error.items():
        assert error < exported("int8")[0].largest_error[name] + 0.02


@pytest.mark.usefixtures("convert_here")
def test_a_layer_that_draws_at_inference_is_refused(tmp_path: Path) -> None:
    class Noise(keras.layers.Layer):
        def call(self, inputs: Any) -> Any:
            return inputs + tf.random.normal((1, *SHAPE))

    image = keras.Input(SHAPE)
    x = keras.layers.GlobalAveragePooling2D()(Noise()(image))
    model = keras.Model(image, keras.layers.Dense(8, activation="softmax")(x))
    with pytest.raises(ConversionError, match="draws random numbers or keeps a state"):
        to_litert(model, tmp_path / "a.tflite", "float32")
    assert list(tmp_path.iterdir()) == []


def test_refuses_to_overwrite_before_it_converts(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.tflite"
    path.write_bytes(b"precious")
    monkeypatch.setattr("keras_affect.export.litert.convert", None)
    with pytest.raises(FileExistsError, match=r"a\.tflite: exists already"):
        to_litert(tiny, path, "float32")
    assert path.read_bytes() == b"precious"


@pytest.mark.usefixtures("convert_here")
def test_overwrites_when_told(tiny: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.tflite"
    path.write_bytes(b"old")
    to_litert(tiny, path, "float32", overwrite=True)
    assert len(path.read_bytes()) > 1000
    assert [left.name for left in tmp_path.iterdir()] == ["a.tflite"]


@pytest.mark.usefixtures("convert_here")
def test_a_failed_write_leaves_no_half_file(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.tflite"
    path.write_bytes(b"precious")

    def full_disk(self: Path, content: bytes) -> int:
        with self.open("wb") as file:
            file.write(content[:100])
        raise OSError(28, "No space left on device")

    from keras_affect.export import litert

    written = Path.write_bytes

    def only_beside(self: Path, content: bytes) -> int:
        return (full_disk if self.parent == tmp_path else written)(self, content)

    monkeypatch.setattr(litert.Path, "write_bytes", only_beside)
    with pytest.raises(OSError, match="No space left"):
        to_litert(tiny, path, "float32", overwrite=True)
    assert [left.name for left in tmp_path.iterdir()] == ["a.tflite"]
    assert path.read_bytes() == b"precious"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"path": "a.lite"}, "argument `path`. Expected a file name that ends in .tflite"),
        ({"quantization": "int2"}, "argument `quantization`. Expected one of 'int8'"),
        (
            {"input": "bgr"},
            "argument `input`. Expected 'gray', 'rgb' or None. Received",
        ),
        ({"resize_from": (0, 9)}, "argument `resize_from`. Expected (height, width), integers in"),
        ({"resize_from": 64}, "Received: resize_from=64"),
        (
            {"quantization": "float16", "keep_float": ["stem"]},
            "argument `keep_float`. Expected none: float16 quantizes all layers alike",
        ),
        (
            {"quantization": "int4", "layer_errors": True},
            "argument `layer_errors`. Expected False: only int8 files compute in integers",
        ),
        (
            {"quantization": "float32", "for_mediapipe": True},
            "argument `for_mediapipe`. Expected False: ImageClassifier takes uint8 RGB pictures",
        ),
        ({"input": "gray", "for_mediapipe": True}, "argument `for_mediapipe`. Expected False"),
        ({"calibration": None}, "argument `calibration`. Expected raw pixels of at least 8"),
        ({"calibration": np.zeros((9, 48, 48, 1))}, "argument `calibration`. Expected raw pixels"),
        ({"calibration": np.zeros((9, *SHAPE))}, "scaled to [0, 1] it seems"),
        ({"class_names": ["a"]}, "argument `class_names`. Expected 8 different names"),
        ({"labelled": 3}, "argument `labelled`. Expected a pair (images, votes)"),
        (
            {"labelled": (smooth_images(4, 0), np.ones((3, 10)))},
            "Expected votes of shape (4, 10), a row for each image. Received: votes of shape (3,",
        ),
        (
            {"labelled": (np.ones((4, 48, 48, 1)), np.ones((4, 10)))},
            "argument `labelled`. Expected raw pixels in [0, 255] of shape (images, 24, 24, 1)",
        ),
        (
            {"labelled": (smooth_images(4, 0), np.ones((4, 10))), "class_names": list("abcdefgh")},
            "argument `labelled`. Expected None: FER+ votes score the eight emotions",
        ),
    ],
)
def test_arguments_at_fault_are_named(
    change: dict[str, Any],
    message: str,
    tiny: Any,
    calibration: np.ndarray,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments: dict[str, Any] = {"path": "a.tflite", "calibration": calibration} | change
    with pytest.raises(ValueError, match="Invalid value for argument") as caught:
        to_litert(tiny, **arguments)
    assert message in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_another_backend_is_refused(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(ImportError, match=r"Received: backend 'jax'.*KERAS_BACKEND=tensorflow"):
        to_litert(tiny, tmp_path / "a.tflite", "float32")


def test_without_tensorflow_one_line_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['tensorflow'] = None\n"
        "from keras_affect.export import to_litert\n"
        "assert 'keras' not in sys.modules\n"
        "try: to_litert(None, 'a.tflite', 'float32')\n"
        "except ImportError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "pip install 'keras-affect[tensorflow]'" in done.stdout, done.stderr
    assert done.stdout.count("\n") == 1
