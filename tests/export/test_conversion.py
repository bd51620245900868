from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_affect.export import ConversionError, _convert, conversion, to_litert
from keras_affect.export.conversion import convert
from keras_affect.export.quantization import QuantizationConfig
from keras_affect.export.signature import read
from tests.export.conftest import SHAPE, Read, smooth_images

FLOAT32 = QuantizationConfig.for_float32()


class FractionalPool(keras.layers.Layer):
    """Has no LiteRT operator, and belongs to no module that a child could import."""

    def call(self, inputs: Any) -> Any:
        return tf.nn.fractional_max_pool(inputs, [1, 1.5, 1.5, 1], seed=1)[0]

    def compute_output_shape(self, shape: Any) -> Any:
        return (shape[0], 16, 16, shape[3])


class Shift(keras.layers.Layer):
    """A user's own layer that converts."""

    def call(self, inputs: Any) -> Any:
        return inputs - 0.5


def ending_in(layer: Any, name: str = "some") -> Any:
    image = keras.Input(SHAPE)
    x = layer(keras.layers.Rescaling(1 / 255)(image))
    x = keras.layers.Dense(8, activation="softmax")(keras.layers.Flatten()(x))
    return keras.Model(image, x, name=name)


def child_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, does: str) -> None:
    script = tmp_path / "child.py"
    script.write_text(does)
    monkeypatch.setattr(conversion, "_CHILD", script)


@pytest.mark.parametrize(
    ("does", "reason"),
    [
        (
            "import os, signal, sys\n"
            "print('half a stack trace', flush=True)\n"
            "os.kill(os.getpid(), signal.SIGSEGV)",
            "converter crashed (SIGSEGV)",
        ),
        ("import os; os._exit(7)", "converter crashed (exit code 7)"),
        ("", "converter crashed (exit code 0)"),
    ],
)
def test_a_crash_is_an_error_message(
    does: str, reason: str, tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    child_that(tmp_path, monkeypatch, does)
    with pytest.raises(ConversionError) as caught:
        to_litert(tiny, tmp_path / "a.tflite", "float32")
    assert str(caught.value) == (
        f"tiny can't be exported as float32: TensorFlow's {reason}. Nothing was written"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["child.py"]
    if "stack" in does:
        assert "half a stack trace" in caught.value.__notes__[0]


def test_the_child_finds_what_this_process_finds(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "only_here.py").write_text("")
    monkeypatch.syspath_prepend(str(elsewhere))
    child_that(
        tmp_path,
        monkeypatch,
        "import json, only_here, pathlib, sys\n"
        "assert str(pathlib.Path(__file__).parent) not in sys.path, 'its modules would shadow'\n"
        "request = json.loads(pathlib.Path(sys.argv[1]).read_text())\n"
        "pathlib.Path(request['output']).write_bytes(b'flat')\n",
    )
    assert convert(tiny, read(tiny), FLOAT32, None) == b"flat"


def test_int8_of_a_rolled_lstm_is_an_error_message(tmp_path: Path) -> None:
    recurrent = keras.Sequential([keras.layers.Reshape(SHAPE[:2]), keras.layers.LSTM(4)])
    model = ending_in(recurrent)
    with pytest.raises(ConversionError, match="some can't be exported as int8") as caught:
        to_litert(model, tmp_path / "a.tflite", "int8", calibration=smooth_images(8, seed=1))
    assert "crashed (SIGSEGV); full int8 of a recurrent layer does that" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_an_operator_without_builtin_is_named_with_its_layer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def here(command: list[str], **options: Any) -> Any:
        return subprocess.CompletedProcess(command, _convert.main(command[-1]), stdout="")

    # All of the child but its start.
    monkeypatch.setattr(conversion.subprocess, "run", here)
    model = ending_in(FractionalPool(name="shrink"))
    with pytest.raises(ConversionError) as caught:
        convert(model, read(model), FLOAT32, None)
    assert str(caught.value) == (
        "some can't be exported as float32: LiteRT has no builtin operator for "
        "FractionalMaxPool, which layer 'shrink' (FractionalPool) would need. Nothing was written"
    )
    assert "\n" in caught.value.__notes__[0], "the converter's own words are kept"


@pytest.mark.usefixtures("convert_here")
def test_a_users_own_layer_and_a_single_output(tmp_path: Path) -> None:
    # Registered nowhere: the graph needs no class to be found again.
    model = ending_in(Shift())
    to_litert(model, tmp_path / "a.tflite", "float32")
    images = smooth_images(5, seed=6)
    outputs = Read((tmp_path / "a.tflite").read_bytes())(images)
    assert list(outputs) == ["emotion"]
    wanted = np.asarray(model(images.astype(np.float32)))
    np.testing.assert_allclose(outputs["emotion"], wanted, atol=1e-5)
    assert np.ptp(wanted, axis=0).max() > 0.05


def test_other_failures_are_told_by_their_first_line(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    child_that(
        tmp_path,
        monkeypatch,
        "import json, pathlib, sys\n"
        "request = json.loads(pathlib.Path(sys.argv[1]).read_text())\n"
        "pathlib.Path(request['failure']).write_text('MemoryError: too big\\nmore')\n"
        "raise SystemExit(1)\n",
    )
    with pytest.raises(ConversionError, match=r": MemoryError: too big\. Nothing was written"):
        convert(tiny, read(tiny), FLOAT32, None)
