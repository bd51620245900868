"""What every public layer leaves in a .tflite."""

from __future__ import annotations

import numpy as np
import pytest

from tests.contract.specimens import LAYERS, LayerSpecimen

keras = pytest.importorskip("keras")
if keras.backend.backend() != "tensorflow":
    pytest.skip("export is TensorFlow's", allow_module_level=True)

from keras_affect.export import ConversionError, to_litert  # noqa: E402
from tests.export.conftest import convert_here  # noqa: E402, F401

SHAPE = (12, 12, 1)
EXPORTED = {label: one for label, one in LAYERS.items() if not one.draws_at_inference}


def reading_pictures(specimen: LayerSpecimen) -> keras.Model:
    """The specimen in a network that takes pictures, whose outputs vary between these."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input(SHAPE)
    x = keras.layers.Rescaling(1 / 64, -2)(inputs)
    x = keras.layers.Conv2D(4, 3, padding="same", activation="relu")(x)
    if len(specimen.shape) < 3:
        x = keras.layers.Flatten()(x)
        x = keras.layers.Dense(int(np.prod(specimen.shape)))(x)
        x = keras.layers.Reshape(specimen.shape)(x)
    x = specimen.apply(specimen.make(seed=1), x)
    x = keras.layers.Flatten()(x)
    return keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(x))


@pytest.mark.usefixtures("convert_here")
@pytest.mark.parametrize("quantization", ["float32", "int8"])
@pytest.mark.parametrize("specimen", EXPORTED.values(), ids=EXPORTED)
def test_exported_graph(specimen, quantization, tmp_path):
    from ai_edge_litert.interpreter import Interpreter

    model = reading_pictures(specimen)
    images = np.random.default_rng(0).integers(0, 256, (16, *SHAPE)).astype(np.float32)
    expected = model.predict(images, verbose=0)
    # Refuses whatever is no builtin operator, draws or keeps a variable.
    path = tmp_path / "model.tflite"
    report = to_litert(model, path, quantization, calibration=images, class_names=["a", "b", "c"])
    assert not any("RANDOM" in name or "VAR" in name for name in report.operators)
    limit = 1e-4 if quantization == "float32" else 0.06
    assert report.largest_error["emotion"] < limit

    # And read by the stock interpreter alone.
    runner = Interpreter(model_path=str(path)).get_signature_runner("serving_default")
    (details,) = runner.get_output_details().values()
    scale, zero = details["quantization"] if quantization == "int8" else (1, 0)
    dtype = np.uint8 if quantization == "int8" else np.float32
    rows = [runner(image=image[None].astype(dtype))["emotion"] for image in images]
    found = (np.concatenate(rows).astype(np.float64) - zero) * scale
    assert np.abs(found - expected).max() < limit
    # The images are told apart: another one's outputs would not pass.
    error = np.abs(found - expected).max()
    assert np.abs(np.roll(found, 1, axis=0) - expected).max() > max(4 * error, 0.02)


def test_what_draws_at_inference_is_refused_by_name(tmp_path):
    drawing = {label: one for label, one in LAYERS.items() if one.draws_at_inference}
    assert drawing
    for specimen in drawing.values():
        images = np.zeros((16, *SHAPE), np.float32)
        with pytest.raises(ConversionError, match=r"its layer 'drop_connect.*' \(DropConnect\)"):
            to_litert(reading_pictures(specimen), tmp_path / "a.tflite", calibration=images)
    assert list(tmp_path.iterdir()) == []
