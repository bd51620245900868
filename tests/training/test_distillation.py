from __future__ import annotations

from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras")

from keras_affect.ensembles import Ensemble  # noqa: E402
from keras_affect.training.distillation import Distiller  # noqa: E402

LOSSES = {"emotion": "categorical_crossentropy", "valence_arousal": "mse"}


def network(seed: int, units: int = 8, valence_arousal: bool = True, classes: int = 3) -> Any:
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((6, 6, 1))
    x = keras.layers.Flatten()(inputs)
    x = keras.layers.Dense(units, activation="tanh")(x)
    x = keras.layers.Dropout(0.5)(x)
    outputs = {"emotion": keras.layers.Dense(classes, activation="softmax")(x)}
    if valence_arousal:
        outputs["valence_arousal"] = keras.layers.Dense(2, activation="tanh")(x)
    return keras.Model(inputs, outputs)


def examples(count: int = 32) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    labels = {
        "emotion": np.eye(3, dtype=np.float32)[rng.integers(0, 3, count)],
        "valence_arousal": rng.uniform(-1, 1, (count, 2)).astype(np.float32),
    }
    return rng.normal(size=(count, 6, 6, 1)).astype(np.float32), labels


def arrays(outputs: dict[str, Any]) -> dict[str, np.ndarray]:
    return {name: keras.ops.convert_to_numpy(values) for name, values in outputs.items()}


def softened(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    powers = probabilities.astype(np.float64) ** (1 / temperature)
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_loss_is_labels_and_teacher(temperature):
    student, teacher = network(1), network(2, units=32)
    distiller = Distiller(student, teacher, temperature=temperature, weight=0.7)
    distiller.compile("sgd", LOSSES, jit_compile=False)
    images, labels = examples()
    found = distiller.evaluate(images, labels, batch_size=32, verbose=0, return_dict=True)

    by_student, by_teacher = arrays(student(images)), arrays(teacher(images))
    ours, theirs = (
        softened(outputs["emotion"], temperature) for outputs in (by_student, by_teacher)
    )
    soft = -(temperature**2) * (theirs * np.log(ours)).sum(axis=1).mean()
    distance = np.square(by_student["valence_arousal"] - by_teacher["valence_arousal"]).mean()
    hard = -(labels["emotion"] * np.log(by_student["emotion"])).sum(axis=1).mean()
    hard += np.square(by_student["valence_arousal"] - labels["valence_arousal"]).mean()
    assert found["distillation_loss"] == pytest.approx(soft + distance, rel=1e-4)
    assert found["loss"] == pytest.approx(hard + 0.7 * (soft + distance), rel=1e-4)


def test_the_student_learns_what_the_teacher_knows_and_the_teacher_nothing():
    student, teacher = network(1, units=64), Ensemble([network(2), network(3)])
    images, _ = examples(128)
    rng = np.random.default_rng(1)
    # Labels that say nothing: what is learnt comes from the teacher.
    labels = {
        "emotion": np.full((128, 3), 1 / 3, np.float32),
        "valence_arousal": rng.uniform(-0.01, 0.01, (128, 2)).astype(np.float32),
    }
    before = [keras.ops.convert_to_numpy(weight) for weight in teacher.weights]
    distiller = Distiller(student, teacher, temperature=2.0, weight=20.0)
    distiller.compile(keras.optimizers.Adam(0.01), LOSSES, jit_compile=False)

    def distance() -> float:
        ours, theirs = arrays(student(images)), arrays(teacher(images))
        return float(np.abs(ours["emotion"] - theirs["emotion"]).mean())

    start = distance()
    history = distiller.fit(images, labels, batch_size=32, epochs=20, verbose=0).history
    assert distance() < 0.6 * start
    assert history["distillation_loss"][-1] < history["distillation_loss"][0]
    for weight, then in zip(teacher.weights, before, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(weight), then)
    assert {id(v) for v in distiller.trainable_variables} == {
        id(v) for v in student.trainable_variables
    }


def test_probabilities_of_zero_have_finite_gradients():
    student, teacher = network(1, valence_arousal=False), network(2, valence_arousal=False)
    for model in (student, teacher):
        head = model.layers[-1]
        head.bias.assign([500.0, 0.0, -500.0] if model is student else [-500.0, 0.0, 500.0])
    distiller = Distiller(student, teacher)
    distiller.compile("sgd", {"emotion": "categorical_crossentropy"}, jit_compile=False)
    images, labels = examples(8)
    distiller.fit(images, {"emotion": labels["emotion"]}, verbose=0)
    assert all(np.isfinite(keras.ops.convert_to_numpy(v)).all() for v in student.weights)


def test_a_teacher_without_valence_and_arousal_teaches_emotions():
    distiller = Distiller(network(1), network(2, valence_arousal=False))
    distiller.compile("sgd", LOSSES, jit_compile=False)
    images, labels = examples()
    assert np.isfinite(distiller.fit(images, labels, verbose=0).history["loss"]).all()


def test_saved_and_loaded_without_custom_objects(tmp_path):
    student, teacher = network(1), network(2)
    distiller = Distiller(student, teacher, temperature=4.0, weight=0.5)
    distiller.compile("sgd", LOSSES, jit_compile=False)
    images, labels = examples()
    distiller.fit(images, labels, verbose=0)
    expected = distiller.evaluate(images, labels, verbose=0, return_dict=True)
    distiller.save(tmp_path / "distiller.keras")
    again = keras.models.load_model(tmp_path / "distiller.keras")
    assert (again.temperature, again.weight) == (4.0, 0.5)
    found = again.evaluate(images, labels, verbose=0, return_dict=True)
    assert found == pytest.approx(expected, rel=1e-5)
    # The student alone, too, which is what one wants of it.
    student.save(tmp_path / "student.keras")
    alone = keras.models.load_model(tmp_path / "student.keras")
    for name, values in arrays(alone(images)).items():
        np.testing.assert_allclose(values, arrays(student(images))[name], atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"temperature": 0.5}, "`temperature`. Expected a finite number of 1 or more."),
        ({"temperature": float("nan")}, "`temperature`. Expected a finite number of 1 or more."),
        ({"weight": 0}, "`weight`. Expected a finite number above 0. Received: weight=0"),
        ({"weight": "1"}, "`weight`. Expected a finite number above 0. Received: weight='1'"),
        ({"student": None}, "`student`. Expected a functional Keras model. Received: student=None"),
    ],
    ids=str,
)
def test_refused(arguments, expected):
    given = {"student": network(1), "teacher": network(2), **arguments}
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the text is looked for
        Distiller(**given)
    assert f"Invalid value for argument {expected}" in str(caught.value)


def test_a_teacher_of_other_classes_is_refused():
    with pytest.raises(ValueError, match=r"`teacher`. Expected outputs with the student's"):
        Distiller(network(1), network(2, classes=4))
