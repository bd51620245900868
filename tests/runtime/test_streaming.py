"""`StreamingAffect` on a model whose every number is known; what export writes is tested there."""

import threading

import numpy as np
import pytest

from keras_affect import emotions
from keras_affect.runtime import AffectInterpreter, StreamingAffect
from tests.runtime import tiny_models

UNITS = 3


@pytest.fixture(scope="module")
def content():
    """A model with two states: half of the state and the picture's quarters, and their sum."""
    import keras
    import tensorflow as tf

    image = keras.Input((48, 48, 1), batch_size=1, name="image")
    fading = keras.Input((UNITS,), batch_size=1, name="fading")
    total = keras.Input((UNITS,), batch_size=1, name="total")
    x = keras.layers.Flatten()(keras.layers.AveragePooling2D(24)(image))
    x = keras.layers.Dense(UNITS, kernel_initializer=_kernel(4, UNITS), use_bias=False)(x)
    now = 0.5 * fading + x
    dense = {
        name: keras.layers.Dense(
            units, activation, kernel_initializer=_kernel(UNITS, units), use_bias=False, name=name
        )(now)
        for name, units, activation in (("emotion", 8, "softmax"), ("valence_arousal", 2, "tanh"))
    }
    outputs = {**dense, "fading": now, "total": total + now}
    converter = tf.lite.TFLiteConverter.from_keras_model(
        keras.Model([image, fading, total], outputs)
    )
    return tiny_models.described(converter.convert(), licence="none")


def _kernel(rows, columns):
    import keras

    return keras.initializers.Constant(_numbers(rows, columns))


def _numbers(rows, columns):
    numbers = np.random.default_rng(rows * columns).normal(size=(rows, columns))
    return (numbers / (300 if rows == 4 else 1)).astype(np.float32)


def _reference(frames):
    """Emotion, valence-arousal and both states at each frame, in NumPy."""
    fading, total = np.zeros(UNITS), np.zeros(UNITS)
    rows = []
    for frame in frames:
        quarters = frame[..., 0].reshape(2, 24, 2, 24).mean((1, 3)).reshape(4)
        fading = 0.5 * fading + quarters @ _numbers(4, UNITS)
        total = total + fading
        powers = np.exp(fading @ _numbers(UNITS, 8))
        rows.append((powers / powers.sum(), np.tanh(fading @ _numbers(UNITS, 2)), fading, total))
    return [np.array(values) for values in zip(*rows, strict=True)]


@pytest.fixture
def stream(content):
    return StreamingAffect(content)


FRAMES = tiny_models.faces(6)


def test_every_frame_and_the_state_behind_it(stream):
    emotion, pair, fading, total = _reference(FRAMES)
    assert np.ptp(pair, axis=0).min() > 0.05
    for place, frame in enumerate(FRAMES):
        found = stream.step(frame)
        assert list(found.probabilities) == list(emotions.NAMES)
        np.testing.assert_allclose(list(found.probabilities.values()), emotion[place], atol=1e-5)
        np.testing.assert_allclose((found.valence, found.arousal), pair[place], atol=1e-5)
        assert found.emotion == emotions.NAMES[emotion[place].argmax()]
        np.testing.assert_allclose(stream.state["fading"][0], fading[place], atol=1e-4)
        np.testing.assert_allclose(stream.state["total"][0], total[place], atol=1e-4)
    assert stream.input_shape == (48, 48, 1)
    assert stream.fields["licence"] == "none"


def test_a_clip_begins_anew_and_a_step_goes_on(stream):
    stream.step(FRAMES[5])
    clip = stream.predict(FRAMES)
    assert clip == stream.predict(list(FRAMES))
    goes_on = stream.step(FRAMES[0])
    assert goes_on != clip[0]
    stream.reset()
    assert stream.step(FRAMES[0]) == clip[0]


def test_two_faces_by_turns_with_a_state_each(content):
    ones, others = FRAMES[:3], FRAMES[3:]
    alone = [StreamingAffect(content).predict(frames) for frames in (ones, others)]
    stream = StreamingAffect(content)
    states = [stream.state, stream.state]
    found = [[], []]
    for pair in zip(ones, others, strict=True):
        for face, frame in enumerate(pair):
            stream.state = states[face]
            found[face].append(stream.step(frame))
            states[face] = stream.state
    assert found == alone
    # The negative control: with one state for both they differ.
    mixed = StreamingAffect(content).predict([ones[0], others[0], ones[1]])
    assert mixed[2] != alone[0][1]


def test_a_state_handed_out_is_a_copy(stream):
    stream.step(FRAMES[0])
    kept = stream.state
    kept["fading"][:] = 100
    assert stream.state["fading"].max() < 100
    stream.step(FRAMES[1])
    given = stream.state
    stream.state = given
    given["fading"][:] = 100
    assert stream.state["fading"].max() < 100


@pytest.mark.parametrize(
    "state", [{}, {"fading": [[0, 0]], "total": [[0, 0, 0]]}, {"fading": [[0, 0, np.nan]],
              "total": [[0, 0, 0]]}]
)  # fmt: skip
def test_states_of_another_model(stream, state):
    with pytest.raises(ValueError, match=r"argument `state`\. Expected finite numbers of .*fading"):
        stream.state = state


def test_a_frame_that_cannot_be_read_changes_nothing(stream, tmp_path):
    stream.step(FRAMES[0])
    before = stream.state
    for frame, error in (
        (FRAMES[:2], r"Expected one picture, the next frame.*Received: several"),
        (np.full((48, 48), np.nan), "Expected pixels in"),
    ):
        with pytest.raises(ValueError, match=error):
            stream.step(frame)
    with pytest.raises(ValueError, match=r"Expected shape \(48, 48, 1\)\. Received: \(48, 48\)"):
        stream.run(FRAMES[0][..., 0])
    with pytest.raises(FileNotFoundError, match=r"none\.png"):
        stream.step(tmp_path / "none.png")
    for name, values in stream.state.items():
        np.testing.assert_array_equal(values, before[name])


def test_a_model_that_gives_what_is_not_finite_changes_no_state(stream):
    bright = np.full((48, 48, 1), 255, np.uint8)
    largest = np.finfo(np.float32).max
    stream.state = {
        "fading": np.zeros((1, UNITS)),
        # One frame more of the same sign is too large for float32.
        "total": largest * np.sign(_reference([bright])[3]),
    }
    stream._state["fading"][:] = stream._state["total"]
    before = stream.state
    with pytest.raises(ValueError, match="numbers in every output"):
        stream.step(bright)
    for name, values in stream.state.items():
        np.testing.assert_array_equal(values, before[name])


def test_threads_take_turns(stream):
    expected = sorted(_reference([FRAMES[0]] * 8)[3][-1])
    threads = [threading.Thread(target=stream.step, args=(FRAMES[0],)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_allclose(sorted(stream.state["total"][0]), expected, rtol=1e-5)


def test_files_that_keep_no_state(tmp_path):
    still = tiny_models.described(tiny_models.flatbuffer())
    path = tmp_path / "still.tflite"
    path.write_bytes(still)
    with pytest.raises(ValueError, match=r"still\.tflite: expected .* states that go in and out"):
        StreamingAffect(path)
    with pytest.raises(ValueError, match="no model of clips ships"):
        StreamingAffect(None)


def test_the_interpreter_of_pictures_refuses_a_stream(content):
    with pytest.raises(ValueError, match="expected a model with one input"):
        AffectInterpreter(content)


def test_arguments(content):
    with pytest.raises(ValueError, match="argument `num_threads`"):
        StreamingAffect(content, num_threads=0)
    names = tuple("abcdefgh")
    assert StreamingAffect(content, class_names=names).class_names == names
    with pytest.raises(ValueError, match="Expected 8 different names"):
        StreamingAffect(content, class_names=("a", "b"))
