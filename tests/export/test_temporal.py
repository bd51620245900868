"""Files of a `TemporalAffect`, frame by frame and whole clips, beside Keras at every step."""

import json
import warnings
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_affect import emotions, export, models
from keras_affect.export import _convert_temporal, flatbuffer, recurrent
from keras_affect.export.conversion import ConversionError
from keras_affect.runtime import StreamingAffect
from tests.export.trained_clips import FRAMES, drawn_clips, trained
from tests.models.test_temporal import take_statistics
from tests.runtime.tiny_models import faces

SHAPE = (24, 24, 1)
UNITS = 8


def make_model(seed=0, **arguments):
    keras.utils.set_random_seed(seed)
    encoder = models.LightweightCNN(
        SHAPE, weights=None, include_top=False, pooling="avg", width=0.25
    )
    take_statistics(encoder, clip()[0])
    model = models.TemporalAffect(encoder, units=UNITS, drop_connect=0.3, **arguments)
    rng = np.random.default_rng(seed)
    for layer in model.layers[2:]:
        for weight in layer.weights:
            if "seed" not in weight.path:
                # As sharp as after training: as they start, little of a clip shows.
                weight.assign(rng.normal(0, 0.5, weight.shape))
    return model


def clip(seed=1):
    """uint8 `(1, 64, 24, 24, 1)`: faces that turn into one another, eight frames each."""
    keyframes = faces(9, seed)[:, 12:36, 12:36].astype(np.float64)
    share = (np.arange(FRAMES) % 8 / 8)[:, None, None, None]
    place = np.arange(FRAMES) // 8
    moving = (1 - share) * keyframes[place] + share * keyframes[place + 1]
    return np.rint(moving).astype(np.uint8)[None]


@pytest.fixture(scope="module")
def small():
    return make_model()


@pytest.fixture(scope="module")
def learnt():
    return trained()


@pytest.fixture(scope="module")
def unseen():
    """Three clips `(1, 64, 48, 48, 1)` that neither training nor calibration saw."""
    frames, _ = drawn_clips(3, seed=7)
    return frames[:, None]


def _convert(request):
    with warnings.catch_warnings():
        # TensorFlow's own, of the interpreter that it calibrates with.
        warnings.filterwarnings("ignore", r"\s*Warning: tf\.lite\.Interpreter is deprecated")
        return _convert_temporal.convert(request)


def _convert_here(folder, request, name, program):
    assert program.name == "_convert_temporal.py"
    Path(request["output"]).write_bytes(_convert(request))


@pytest.fixture(scope="module")
def exported(small, learnt, tmp_path_factory):
    """Report and path of a file: of the trained network in int8, of the small one in all else.

    Converted once each, and in this process but for one of them.
    """
    folder, made = tmp_path_factory.mktemp("exported"), {}

    def make(kind, quantization):
        key = f"{kind}_{quantization}"
        if key not in made:
            path = folder / f"{key}.tflite"
            is_int8 = quantization == "int8"
            model = learnt if is_int8 else small
            # A frame of each face of what was learnt from.
            seen = drawn_clips(24, 0)[0][:, 4::8] if is_int8 else np.concatenate([clip(2), clip(4)])
            with pytest.MonkeyPatch.context() as patch:
                if key != "streaming_int8":
                    patch.setattr(recurrent, "_run_child", _convert_here)
                if kind == "streaming":
                    report = export.to_litert_streaming(model, path, quantization, seen)
                else:
                    report = export.to_litert_clip(model, path, int(kind), quantization, seen)
            made[key] = report, path
        return made[key]

    return make


def keras_steps(model, frames):
    """Valence-arousal at each frame; the emotion of the clip up to some of them."""
    pairs = np.asarray(model(frames.astype(np.float32))["valence_arousal"])[0]
    emotion = {
        last: np.asarray(model(frames[:, : last + 1].astype(np.float32))["emotion"])[0]
        for last in (0, 30, FRAMES - 1)
    }
    return pairs, emotion


def assert_is_beside(path, model, frames, tolerance, midway=None):
    """A stream is beside Keras at each frame of a clip; the clip is one that would show it.

    `midway` is how far the emotion may be off before the clip's end, else `tolerance`.
    """
    stream = StreamingAffect(path)
    pairs, emotion = keras_steps(model, frames)
    found = [stream.run(frame) for frame in frames[0]]
    assert abs(np.array([of["valence_arousal"] for of in found]) - pairs).max() < tolerance
    for last, probabilities in emotion.items():
        allowed = midway if midway is not None and last < FRAMES - 1 else tolerance
        assert abs(found[last]["emotion"] - probabilities).max() < allowed
    # What is compared varies, by far more than it may differ.
    assert np.ptp(pairs, axis=0).min() > max(0.15, 4 * tolerance)
    assert abs(emotion[0] - emotion[FRAMES - 1]).max() > max(0.05, 2 * tolerance)
    # The negative control: a stream that forgets is not beside it.
    lost = []
    for frame in frames[0]:
        stream.reset()
        lost.append(stream.run(frame)["valence_arousal"])
    assert abs(np.array(lost) - pairs).max() > max(0.15, 2 * tolerance)


@pytest.mark.parametrize(
    ("quantization", "tolerance"), [("float32", 1e-5), ("float16", 0.01), ("dynamic_range", 0.04)]
)
def test_streaming_is_beside_keras_at_every_frame(small, exported, quantization, tolerance):
    report, path = exported("streaming", quantization)
    assert_is_beside(path, small, clip(3), tolerance)
    assert 0 <= report.largest_error["valence_arousal"] < tolerance
    assert report.measured_on == "2 clips of 64 frames"


def test_int8_streaming_is_beside_keras_at_every_frame(learnt, exported, unseen):
    report, path = exported("streaming", "int8")
    for frames in unseen:
        assert_is_beside(path, learnt, frames, 0.05, midway=0.1)
    assert report.largest_error["valence_arousal"] < 0.05
    assert report.measured_on == "24 clips of 8 frames"


@pytest.mark.parametrize(
    ("kind", "quantization", "tolerance"), [("64", "float32", 1e-5), ("8", "int8", 0.05)]
)
def test_a_whole_clip_is_beside_keras_at_every_frame(
    small, learnt, unseen, exported, kind, quantization, tolerance
):
    from ai_edge_litert.interpreter import Interpreter

    report, path = exported(kind, quantization)
    runner = Interpreter(str(path)).get_signature_runner("serving_default")
    frames = (unseen[0] if quantization == "int8" else clip(3))[:, : int(kind)]
    dtype = runner.get_input_details()["frames"]["dtype"]
    assert dtype == (np.uint8 if quantization == "int8" else np.float32)
    found = runner(frames=frames.astype(dtype))
    expected = (learnt if quantization == "int8" else small)(frames.astype(np.float32))
    assert found["valence_arousal"].shape == (1, int(kind), 2)
    for name, values in expected.items():
        assert abs(found[name] - np.asarray(values)).max() < tolerance
        assert report.largest_error[name] < tolerance
    assert np.ptp(found["valence_arousal"], axis=1).min() > 2 * tolerance


def test_int8_is_the_encoder_behind_its_first_convolution(learnt, exported):
    report, path = exported("streaming", "int8")
    assert (report.input.name, report.input.dtype) == ("image", "uint8")
    kinds = {border.name: border.dtype for border in report.outputs}
    assert kinds == dict.fromkeys(
        ("cell_state", "emotion", "hidden_state", "valence_arousal"), "float32"
    )
    assert 0.5 < report.xnnpack <= 1
    assert report.latency.milliseconds > 0
    # Into integers once, and out of them once: behind the encoder all is float.
    assert report.operators["QUANTIZE"] == report.operators["DEQUANTIZE"] == 1
    assert {"LOGISTIC", "TANH", "SPLIT"} <= set(report.stayed_float)
    assert report.stayed_float["CONV_2D"] == 1 < report.operators["CONV_2D"]
    # A byte for a number of the encoder, four for one of the LSTM, and names and scales.
    numbers = learnt.encoder.count_params() + 4 * (
        learnt.count_params() - learnt.encoder.count_params()
    )
    assert path.stat().st_size < 1.05 * numbers + 60_000


@pytest.mark.parametrize(("kind", "fact"), [("streaming", "states"), ("8", "frames")])
def test_files_describe_themselves(exported, kind, fact):
    report, path = exported(kind, "int8")
    with zipfile.ZipFile(path) as archive:
        fields = json.loads(archive.read("keras_affect.json"))
    assert fields[fact] == (["hidden_state", "cell_state"] if kind == "streaming" else 8)
    assert tuple(fields["class_names"]) == emotions.NAMES
    assert fields["input"]["dtype"] == "uint8"
    assert fields["outputs"] == ["emotion", "valence_arousal"]
    assert not any("FER+" in limit for limit in fields["limits"])
    assert all(operator.is_builtin for operator in flatbuffer.operators(path.read_bytes()))
    assert "largest error" in str(report)


def test_predictions_have_the_models_names(exported):
    stream = StreamingAffect(exported("streaming", "int8")[1])
    predictions = stream.predict(drawn_clips(1, seed=7)[0][0])
    assert len(predictions) == FRAMES
    assert stream.class_names == emotions.NAMES
    assert predictions[-1].emotion in emotions.NAMES


def test_an_export_leaves_the_model_as_it_was(small, exported):
    model = small
    exported("streaming", "float32")
    # Layers that were called a second time on symbols have no single output any more.
    assert model.get_layer("emotion").output.shape == (None, 8)
    assert len(model.get_layer("lstm_drop_connect").output) == 3
    model.get_config()


def test_mixed_precision_is_exported_in_float32(tmp_path, monkeypatch):
    monkeypatch.setattr(recurrent, "_run_child", _convert_here)
    low, exact = make_model(dtype="mixed_bfloat16"), make_model()
    for one, other in zip(low.weights, exact.weights, strict=True):
        one.assign(other)
    export.to_litert_streaming(low, tmp_path / "low.tflite", "float32", clip(2))
    stream = StreamingAffect(tmp_path / "low.tflite")
    found = np.array([stream.run(frame)["valence_arousal"] for frame in clip(3)[0]])
    pairs, _ = keras_steps(exact, clip(3))
    assert abs(found - pairs).max() < 1e-5
    assert abs(keras_steps(low, clip(3))[0] - pairs).max() > 1e-4


@pytest.mark.parametrize("kind", ["streaming", "8"])
def test_without_the_names_of_inner_tensors(small, exported, tmp_path, monkeypatch, kind):
    monkeypatch.setattr(recurrent, "_run_child", _convert_here)
    report, named = exported(kind, "float32")
    path, seen = tmp_path / "nameless.tflite", np.concatenate([clip(2), clip(4)])
    if kind == "streaming":
        nameless = export.to_litert_streaming(small, path, "float32", seen, tensor_names=False)
    else:
        nameless = export.to_litert_clip(
            small, path, int(kind), "float32", seen, tensor_names=False
        )
    assert nameless.size < report.size
    assert (nameless.input, nameless.outputs) == (report.input, report.outputs)
    assert flatbuffer.has_inner_names(named.read_bytes())
    for file in (named, path):
        assert file.read_bytes().startswith(flatbuffer.compacted(file.read_bytes()))
    assert not flatbuffer.has_inner_names(path.read_bytes())
    assert nameless.largest_error == report.largest_error


def test_a_graph_whose_recurrent_part_is_not_found_is_refused(tmp_path, monkeypatch):
    """Nothing would tell an int8 state from a float one but the operators' names."""

    def run(folder, request, name, program):
        with pytest.raises(ValueError, match=r"part in float32 \(nothing of it was found\)"):
            _convert({**request, "scope": "elsewhere"})
        raise ConversionError("seen")

    monkeypatch.setattr(recurrent, "_run_child", run)
    with pytest.raises(ConversionError, match="seen"):
        export.to_litert_streaming(make_model(), tmp_path / "a.tflite", "int8", clip(2)[:, :8])
    assert not list(tmp_path.iterdir())


def test_arguments(small, tmp_path):
    model = small
    path = tmp_path / "a.tflite"
    picture = models.LightweightCNN(SHAPE, weights=None, width=0.125)
    streaming, whole = export.to_litert_streaming, export.to_litert_clip
    fixed = make_model(time=16)
    for call, message in (
        (
            lambda: streaming(picture, path),
            r"Expected a keras_affect\.models\.TemporalAffect; .*Lig",
        ),
        (lambda: streaming(model, path), "at least 8 frames, which int8 learns .*calibration=None"),
        (lambda: streaming(model, path, calibration=clip()[:, :7]), "7 images; at least 8"),
        (lambda: streaming(model, path, calibration=clip()[..., :9, :]), r"Received: shape \(64"),
        (lambda: streaming(model, path, calibration=clip() / 255), "scaled to"),
        (lambda: streaming(model, path, "int2"), "argument `quantization`"),
        (lambda: streaming(model, tmp_path / "a.bin"), "ends in .tflite"),
        (lambda: whole(model, path, 0), r"`frames`\. Expected an integer from 1 to 256"),
        (lambda: whole(model, path, 300), r"`frames`\. .*Received: frames=300"),
        (lambda: whole(fixed, path, 8), r"Expected 16, which the model was built for"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    path.write_bytes(b"mine")
    with pytest.raises(FileExistsError, match=r"a\.tflite: exists already"):
        streaming(model, path, calibration=clip())
    assert path.read_bytes() == b"mine"
