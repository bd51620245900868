from __future__ import annotations

import csv
import json
import subprocess
import sys
import threading

import numpy as np
import pytest
from PIL import Image

from keras_affect import emotions
from keras_affect.runtime import AffectInterpreter, Prediction
from keras_affect.weights import catalog
from tests.runtime import tiny_models


def _by_keras(images, **which):
    outputs = tiny_models.keras_model(**which)(images.astype(np.float32))
    return {name: np.asarray(values) for name, values in outputs.items()}


def _largest_difference(a, b):
    return max(abs(a[name] - b[name]).max() for name in b)


# === Parity with Keras


@pytest.mark.parametrize(("kind", "tolerance"), [("interpreter", 1e-5), ("int8_interpreter", 0.06)])
def test_outputs_are_those_of_keras(kind, tolerance, request):
    interpreter = request.getfixturevalue(kind)
    images = tiny_models.faces(24)
    expected, found = _by_keras(images), interpreter.run(images)
    assert set(found) == {"emotion", "valence_arousal"}
    assert found["emotion"].shape == (24, 8)
    assert found["valence_arousal"].shape == (24, 2)
    assert all(values.dtype == np.float32 for values in found.values())
    assert _largest_difference(found, expected) < tolerance
    # The negative control: pictures in another order, and another model, are told apart.
    assert _largest_difference(found, _by_keras(images[::-1])) > 5 * tolerance
    assert _largest_difference(found, _by_keras(images, seed=8)) > 5 * tolerance
    # And the outputs vary, so that agreement says something.
    assert len({row.argmax() for row in found["emotion"]}) >= 4
    assert found["valence_arousal"].std(axis=0).min() > 0.1


def test_uncertain_below(int8_interpreter):
    images = tiny_models.faces(12)
    sure = int8_interpreter.predict(images)
    certainties = sorted(prediction.certainty for prediction in sure)
    threshold = certainties[6]
    assert certainties[5] < threshold  # else this test could not fail
    found = int8_interpreter.predict(images, uncertain_below=threshold)
    for before, after in zip(sure, found, strict=True):
        assert after.certainty == before.certainty
        assert after.probabilities == before.probabilities
        expected = before.emotion if before.certainty >= threshold else "uncertain"
        assert after.emotion == expected
    assert 0 < sum(one.emotion == "uncertain" for one in found) < 12


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan"), "0.5", True])
def test_uncertain_below_what(int8_interpreter, value):
    image = tiny_models.faces(1)[0]
    for call in (int8_interpreter.predict, int8_interpreter.predict_faces):
        with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole text is compared
            call(image, uncertain_below=value)
        assert str(caught.value) == (
            "Invalid value for argument `uncertain_below`. Expected a number in [0, 1]. "
            f"Received: uncertain_below={value!r}"
        )


def test_predictions_are_the_outputs_by_name(int8_interpreter):
    images = tiny_models.faces(6)
    outputs = int8_interpreter.run(images)
    predictions = int8_interpreter.predict(images)
    for place, prediction in enumerate(predictions):
        probabilities = outputs["emotion"][place].tolist()
        assert prediction.emotion == emotions.NAMES[int(np.argmax(probabilities))]
        assert prediction.probabilities == dict(zip(emotions.NAMES, probabilities, strict=True))
        assert prediction.probability == max(probabilities)
        assert [prediction.valence, prediction.arousal] == outputs["valence_arousal"][
            place
        ].tolist()
        assert prediction.face is None


def test_floats_between_whole_numbers_reach_a_float_model(interpreter):
    image = tiny_models.faces(1)[0] * np.float32(0.9) + np.float32(0.25)
    expected = _by_keras(image[None])["emotion"][0]
    found = list(interpreter.predict(image).probabilities.values())
    assert abs(np.array(found) - expected).max() < 1e-5
    rounded = list(interpreter.predict(np.rint(image)).probabilities.values())
    assert abs(np.array(rounded) - expected).max() > 1e-5


def test_quantized_input_of_any_scale_is_filled_rightly():
    """Calibration without 0 and 255 gives such scales; raw steps would be misread in silence."""
    from keras_affect.runtime.model_file import dequantized, quantized

    pixels = np.array([0, 20, 101, 200, 255], np.uint8)
    for dtype, scale, zero_point in ((np.uint8, 0.8, 0), (np.int8, 1.0, -128), (np.uint8, 2.0, 3)):
        details = {"dtype": dtype, "quantization": (scale, zero_point)}
        steps = quantized(pixels, details)
        limits = np.iinfo(dtype)
        low, high = ((limit - zero_point) * scale for limit in (limits.min, limits.max))
        assert steps.dtype == dtype
        expected = np.clip(pixels, low, high)
        assert abs(dequantized(steps, details) - expected).max() <= scale / 2
    fractions = np.array([0.4, 0.6, 254.7], np.float32)
    assert quantized(fractions, {"dtype": np.uint8, "quantization": (1.0, 0)}).tolist() == [
        0,
        1,
        255,
    ]


# === What pictures are taken


def test_one_face_in_every_form_is_one_prediction(interpreter, tmp_path):
    gray = tiny_models.faces(1)[0]
    path = tmp_path / "face.png"
    Image.fromarray(gray[..., 0]).save(path)
    forms = {
        "path": path,
        "str": str(path),
        "bytes": path.read_bytes(),
        "bytearray": bytearray(path.read_bytes()),
        "Pillow": Image.open(path),
        "(h, w)": gray[..., 0],
        "(h, w, 1)": gray,
        "(h, w, 3)": np.repeat(gray, 3, axis=-1),
        "(h, w, 4)": np.concatenate([np.repeat(gray, 3, -1), np.full_like(gray, 255)], -1),
        "float32": gray.astype(np.float32),
        "float64": gray.astype(np.float64),
        "float colour": np.repeat(gray, 3, axis=-1).astype(np.float32),
        "int64": gray.astype(np.int64),
        "not contiguous": np.asfortranarray(gray[::-1])[::-1],
    }
    expected = interpreter.predict(gray)
    assert isinstance(expected, Prediction)
    for form, image in forms.items():
        assert interpreter.predict(image) == expected, form
    assert interpreter.predict(list(forms.values())) == [expected] * len(forms)


def test_many_pictures_come_back_in_their_order(interpreter):
    images = tiny_models.faces(5)
    each = [interpreter.predict(image) for image in images]
    assert len({prediction.valence for prediction in each}) == 5
    assert interpreter.predict(images) == each
    assert interpreter.predict(images[..., 0]) == each
    assert interpreter.predict(np.repeat(images, 3, axis=-1)) == each
    assert interpreter.predict(image for image in images) == each
    assert interpreter.predict(tuple(images)) == each
    assert interpreter.predict(images[:1]) == each[:1]
    assert interpreter.predict([]) == []


def test_three_lengths_are_one_picture_only_with_channels(interpreter):
    assert isinstance(interpreter.predict(np.zeros((50, 60, 3), np.uint8)), Prediction)
    assert len(interpreter.predict(np.zeros((3, 50, 60), np.uint8))) == 3
    assert len(interpreter.predict(np.zeros((50, 60, 5), np.uint8))) == 50


def test_scaled_pixels_are_refused_not_read_as_black(interpreter):
    scaled = tiny_models.faces(2).astype(np.float32) / 255
    for images in (scaled, scaled[0], [scaled[0]]):
        with pytest.raises(ValueError, match=r"look scaled to \[0, 1\]: multiply them by 255"):
            interpreter.predict(images)
    assert interpreter.predict(np.zeros((48, 48), np.float32)) == interpreter.predict(
        np.zeros((48, 48), np.uint8)
    )


def test_a_bad_picture_in_a_list_is_named(interpreter, tmp_path):
    good = tiny_models.faces(1)[0]
    with pytest.raises(ValueError, match=r"Picture 1 of the list: .* from -1 to 0"):
        interpreter.predict([good, np.eye(4) - 1])
    with pytest.raises(ValueError, match=r"picture 1 of the list: not a picture"):
        interpreter.predict([good, b"some text, no picture"])
    with pytest.raises(FileNotFoundError, match=r"nowhere\.png: no such file"):
        interpreter.predict([good, tmp_path / "nowhere.png"])
    with pytest.raises(ValueError, match=r"Expected a path, bytes, .* Received: int"):
        interpreter.predict(3)


def test_colour_model_reads_gray_and_colour():
    interpreter = AffectInterpreter(tiny_models.described(tiny_models.flatbuffer(channels=3)))
    assert interpreter.input_shape == (48, 48, 3)
    images = np.concatenate([tiny_models.faces(4, seed) for seed in range(3)], axis=-1)
    found = [list(p.probabilities.values()) for p in interpreter.predict(images)]
    assert abs(np.array(found) - _by_keras(images, channels=3)["emotion"]).max() < 1e-5
    gray = images[0, ..., :1]
    assert interpreter.predict(gray) == interpreter.predict(np.repeat(gray, 3, axis=-1))


def test_faces_are_found_and_read(interpreter, photograph):
    predictions = interpreter.predict_faces(photograph)
    assert len(predictions) == 1
    face = predictions[0].face
    alone = interpreter.predict(face.crop)
    assert predictions[0].probabilities == alone.probabilities
    assert predictions[0] != interpreter.predict(photograph)
    assert interpreter.predict_faces(np.zeros((200, 200), np.uint8)) == []


# === What models are taken


def test_model_with_one_head_has_no_valence(tmp_path):
    path = tmp_path / "one.tflite"
    path.write_bytes(tiny_models.described(tiny_models.flatbuffer(two_heads=False)))
    interpreter = AffectInterpreter(path)
    images = tiny_models.faces(3)
    expected = _by_keras(images, two_heads=False)["emotion"]
    for prediction, probabilities in zip(interpreter.predict(images), expected, strict=True):
        assert prediction.valence is None
        assert prediction.arousal is None
        assert abs(np.array(list(prediction.probabilities.values())) - probabilities).max() < 1e-5


def test_class_names_come_from_the_file_or_the_caller(interpreter):
    bare = tiny_models.flatbuffer()
    names = [f"class {place}" for place in range(8)]
    assert interpreter.class_names == emotions.NAMES
    assert interpreter.fields["licence"] == "Apache-2.0"
    with pytest.raises(ValueError, match=r"does not name its 8 classes; class_names="):
        AffectInterpreter(bare)
    assert AffectInterpreter(bare, class_names=names).class_names == tuple(names)
    # The caller knows best, as for names in another language.
    assert AffectInterpreter(tiny_models.described(bare), class_names=names).class_names == tuple(
        names
    )
    labelled = tiny_models.with_files(bare, labels_txt="\n".join(names))
    assert AffectInterpreter(labelled).class_names == tuple(names)
    for wrong in (names[:7], [*names[:7], names[0]], "abcdefgh"):
        with pytest.raises(ValueError, match=r"`class_names`. Expected 8 different names"):
            AffectInterpreter(bare, class_names=wrong)
    with pytest.raises(ValueError, match=r"names 7 classes and gives 8"):
        AffectInterpreter(tiny_models.described(bare, class_names=names[:7]))


def test_a_folder_of_a_shipped_name_is_not_taken_for_a_file(tmp_path, monkeypatch):
    """Who keeps FER+ in ./ferplus still has the weights of that name."""
    monkeypatch.chdir(tmp_path)
    shipped = AffectInterpreter().name
    for name in ("ferplus", "other"):
        (tmp_path / name).mkdir()
    assert AffectInterpreter("ferplus").name == shipped
    for folder in ("other", tmp_path / "ferplus"):
        with pytest.raises(IsADirectoryError, match=r"a folder; expected a \.tflite"):
            AffectInterpreter(folder)


def test_a_bad_file_is_named_in_one_line(tmp_path):
    whole = tiny_models.described(tiny_models.flatbuffer())
    cases = {
        "empty.tflite": (b"", "empty, 0 bytes"),
        "text.tflite": (b"This is a text, and no model at all.", r"not a \.tflite"),
        "cut.tflite": (whole[: len(whole) // 2], "a damaged .tflite"),
        "header.tflite": (whole[:8], "a damaged .tflite"),
        "scribbled.tflite": (whole[:8] + b"\xff" * 5000, "a damaged .tflite"),
    }
    for name, (content, reason) in cases.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(ValueError, match=reason) as caught:
            AffectInterpreter(path)
        assert str(caught.value).startswith(str(path))
        assert "\n" not in str(caught.value)
    with pytest.raises(FileNotFoundError, match=r"nowhere\.tflite: no such file"):
        AffectInterpreter(tmp_path / "nowhere.tflite")
    with pytest.raises(IsADirectoryError, match=r"a folder; expected a \.tflite"):
        AffectInterpreter(tmp_path)
    with pytest.raises(ValueError, match=r"the model given: not a \.tflite"):
        AffectInterpreter(b"This is a text, and no model at all.")
    with pytest.raises(ValueError, match=r"`model`. Expected a path, bytes or None"):
        AffectInterpreter(3)


def test_a_model_of_another_kind_is_refused():
    """Converted here, since no other test needs them."""
    import keras
    import tensorflow as tf

    def converted(inputs, outputs):
        model = keras.Model(inputs, outputs)
        return tf.lite.TFLiteConverter.from_keras_model(model).convert()

    vector = keras.Input((5,), name="vector")
    image = keras.Input((8, 8, 1), name="image")
    flat = keras.layers.Flatten()(image)
    names = ["a", "b", "c"]
    numbers = keras.layers.Dense(3, activation="softmax")(vector)
    with pytest.raises(ValueError, match=r"one input \(1, height, width, 1 or 3\); it takes"):
        AffectInterpreter(converted(vector, {"emotion": numbers}), class_names=names)
    two = {"first": keras.layers.Dense(3)(flat), "second": keras.layers.Dense(2)(flat)}
    with pytest.raises(ValueError, match=r"an output 'emotion' .* it gives"):
        AffectInterpreter(converted(image, two), class_names=names)
    logits = {"emotion": keras.layers.Dense(3, bias_initializer="ones")(flat)}
    interpreter = AffectInterpreter(converted(image, logits), class_names=names)
    with pytest.raises(ValueError, match=r"expected probabilities in 'emotion'"):
        interpreter.predict(np.arange(64, dtype=np.uint8).reshape(8, 8))
    broken = {"emotion": keras.layers.Softmax()(keras.layers.Dense(3)(flat) * float("nan"))}
    interpreter = AffectInterpreter(converted(image, broken), class_names=names)
    with pytest.raises(ValueError, match=r"it gave .*nan"):
        interpreter.predict(np.arange(64, dtype=np.uint8).reshape(8, 8))
    # A sole output needs no name: there is nothing to take it for another.
    unnamed = keras.layers.Dense(3, activation="softmax")(flat)
    interpreter = AffectInterpreter(converted(image, unnamed), class_names=names)
    assert set(interpreter.predict(np.ones((8, 8), np.uint8)).probabilities) == {*names}


def test_a_fixed_batch_of_many_is_refused():
    with pytest.raises(ValueError, match=r"one input \(1, height, .* \[4, 48, 48, 1\]"):
        AffectInterpreter(tiny_models.described(tiny_models.flatbuffer(fixed_batch=4)))


@pytest.mark.parametrize("threads", [0, -1, 1.5, True, "2"])
def test_num_threads_is_checked(threads):
    with pytest.raises(ValueError, match=r"`num_threads`. Expected an int of at least 1"):
        AffectInterpreter(tiny_models.described(tiny_models.flatbuffer()), num_threads=threads)


def test_run_refuses_pixels_of_another_shape(interpreter):
    for shape in ((48, 48, 1), (2, 48, 48), (2, 47, 48, 1), (2, 48, 48, 3)):
        with pytest.raises(ValueError, match=r"`pixels`. Expected shape"):
            interpreter.run(np.zeros(shape, np.uint8))
    assert interpreter.run(np.zeros((0, 48, 48, 1), np.uint8))["emotion"].shape[0] == 0


def test_threads_share_one_interpreter():
    interpreter = AffectInterpreter(tiny_models.described(tiny_models.flatbuffer()), num_threads=2)
    images = tiny_models.faces(8)
    expected = interpreter.predict(images)
    found: dict[int, list[Prediction]] = {}

    def work(place):
        for _ in range(20):
            found[place] = [interpreter.predict(images[place])]

    threads = [threading.Thread(target=work, args=(place,)) for place in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[place][0] for place in range(8)] == expected


# === What is loaded, and what ships


def test_reading_loads_neither_a_backend_nor_opencv(tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(tiny_models.described(tiny_models.flatbuffer(int8=True)))
    Image.fromarray(tiny_models.faces(1)[0, ..., 0]).save(tmp_path / "face.png")
    code = (
        "import json, sys\nfrom keras_affect.runtime import AffectInterpreter\n"
        "found = AffectInterpreter(sys.argv[1]).predict(sys.argv[2])\n"
        "print(json.dumps([found.emotion, *sys.modules]))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, path, tmp_path / "face.png"],
        capture_output=True,
        text=True,
        check=True,
    )
    emotion, *loaded = json.loads(run.stdout)
    assert emotion in emotions.NAMES
    assert {"numpy", "PIL", "ai_edge_litert"} <= set(loaded)
    heavy = {"keras", "tensorflow", "jax", "torch", "cv2", "matplotlib", "rich", "typer"}
    assert not heavy & {name.partition(".")[0] for name in loaded}


def test_default_model_is_the_one_that_ships(photograph):
    interpreter = AffectInterpreter()
    entry = catalog.find("LightweightCNN", "ferplus", "litert")
    assert interpreter.name == str(entry.path)
    assert interpreter.class_names == emotions.NAMES
    assert interpreter.input_shape == (48, 48, 1)
    [prediction] = interpreter.predict_faces(photograph)
    assert abs(sum(prediction.probabilities.values()) - 1) < 0.03
    assert -1 <= prediction.valence <= 1
    assert -1 <= prediction.arousal <= 1
    assert prediction.emotion in ("neutral", "happiness")  # she has the beginning of a smile


def test_default_model_reads_ferplus_through_every_step(ferplus_root):
    """Files in, words out: where the runtime's own steps are wrong, accuracy shows it."""
    folder = ferplus_root / "FER2013Valid"
    paths, labels = [], []
    with (folder / "label.csv").open(newline="") as file:
        for name, _, *votes in csv.reader(file):
            counts = np.array(votes, int)
            counts[counts == 1] = 0
            if counts.max() * 2 > counts.sum() and counts.argmax() < 8:
                paths.append(folder / name)
                labels.append(emotions.NAMES[counts.argmax()])
    predictions = AffectInterpreter().predict(paths[:800])
    right = [p.emotion == label for p, label in zip(predictions, labels, strict=False)]
    # 86 % of the whole split is what the weights must reach to ship; a twelfth of 800 is chance.
    assert np.mean(right) > 0.80
