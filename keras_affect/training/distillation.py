"""A network taught by another, or by an ensemble: soft targets beside the votes."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from keras_affect._arguments import invalid

__all__ = ["Distiller"]

# Where a probability of 0 has its logarithm cut: the smallest that Keras's cross-entropy knows.
_SMALLEST_PROBABILITY = 1e-7


@keras.saving.register_keras_serializable(package="keras_affect")
class Distiller(keras.Model):
    """A student that learns from labels and from a teacher's outputs, by `model.fit`.

    The teacher sees each batch as the student does, after augmentation and mixup, at inference.
    To the losses given to `compile`, of the student's outputs against the labels, this adds
    `weight` times

    - for "emotion", `temperature^2` times the cross-entropy of the student's softened
      probabilities against the teacher's. Softened are `p^(1 / temperature)`, divided by their
      sum, which is what a softmax of logits divided by the temperature gives;
    - for "valence_arousal", where both have it, the mean squared distance.

    What is saved and exported is the student: it stays the object that was given. The teacher is
    frozen (`trainable=False`) and never changes.

    Args:
        student: A functional model that returns a dict with "emotion" `(batch, classes)`,
            probabilities, and perhaps "valence_arousal" `(batch, 2)`; or one tensor of these.
        teacher: Likewise, of the same classes: a larger model, or `ensembles.Ensemble`.
        temperature: 1 or more. The higher it is, the more the teacher's small probabilities count.
        weight: Of what the teacher says beside the labels, above 0.
        name: The model's name.

    Input shape:
        That of both models.

    Output shape:
        That of the student.

    Raises:
        ValueError: If an argument is not as above, or the classes differ in number.

    Reference:
        Hinton, Vinyals and Dean 2015, "Distilling the Knowledge in a Neural Network"
        (arXiv:1503.02531).

    Example:
    ```python
    teacher = keras_affect.ensembles.Ensemble(members)
    student = keras_affect.models.LightweightCNN(weights=None)
    distiller = keras_affect.training.Distiller(student, teacher, temperature=2.0)
    distiller.compile("adam", {"emotion": "categorical_crossentropy", "valence_arousal": "mse"})
    distiller.fit(train, epochs=100, shuffle=False)
    student.save("student.keras")
    ```
    """

    def __init__(
        self,
        student: Any,
        teacher: Any,
        temperature: float = 2.0,
        weight: float = 1.0,
        name: str = "distiller",
    ) -> None:
        super().__init__(name=name)
        for role, model in (("student", student), ("teacher", teacher)):
            if not isinstance(model, keras.Model) or not hasattr(model, "output"):
                raise invalid(role, "a functional Keras model", model)
        _check_number("temperature", temperature, 1, "a finite number of 1 or more")
        _check_number("weight", weight, math.ulp(0.0), "a finite number above 0")
        taught, teaches = (
            {name: tuple(output.shape) for name, output in _named(model.output).items()}
            for model in (student, teacher)
        )
        if "emotion" not in taught or taught["emotion"] != teaches.get("emotion"):
            raise ValueError(
                "Invalid value for argument `teacher`. Expected outputs with the student's "
                f'"emotion", {taught.get("emotion")}. Received: {teaches}'
            )
        teacher.trainable = False
        self.student = student
        self.teacher = teacher
        self.temperature = temperature
        self.weight = weight
        self._shared = sorted(taught.keys() & teaches.keys())
        self.distillation_loss = keras.metrics.Mean(name="distillation_loss")
        self.build(student.input_shape)

    def build(self, input_shape: Any) -> None:
        """Nothing: both models are built."""
        self.built = True

    def call(self, inputs: Any, training: bool = False) -> Any:
        """The student's outputs."""
        return self.student(inputs, training=training)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """The losses of `compile`, those of the student's layers, and what the teacher says."""
        loss = super().compute_loss(x, y, y_pred, sample_weight, training)
        said = _named(self.teacher(x, training=False))
        found = _named(y_pred)
        terms = []
        for name in self._shared:
            target = ops.stop_gradient(ops.cast(said[name], "float32"))
            predicted = ops.cast(found[name], "float32")
            if name == "emotion":
                terms.append(self._soft_cross_entropy(target, predicted))
            elif name == "valence_arousal":
                terms.append(ops.mean(ops.square(predicted - target)))
        taught = sum(terms[1:], terms[0])
        self.distillation_loss.update_state(taught)
        return loss + self.weight * taught

    def _soft_cross_entropy(self, target: Any, predicted: Any) -> Any:
        log_target, log_predicted = (
            _log_softened(values, self.temperature) for values in (target, predicted)
        )
        entropy = -ops.sum(ops.exp(log_target) * log_predicted, axis=-1)
        # Gradients shrink with the square of the temperature, and are brought back.
        return self.temperature**2 * ops.mean(entropy)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The student's."""
        return self.student.compute_output_shape(input_shape)

    def get_config(self) -> dict[str, Any]:
        """The arguments, as `from_config` takes them."""
        return {
            "student": keras.saving.serialize_keras_object(self.student),
            "teacher": keras.saving.serialize_keras_object(self.teacher),
            "temperature": self.temperature,
            "weight": self.weight,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Distiller:
        """The distiller that `get_config` describes, its models with random weights."""
        models = {
            role: keras.saving.deserialize_keras_object(config[role], custom_objects)
            for role in ("student", "teacher")
        }
        return cls(**{**config, **models})


def _log_softened(probabilities: Any, temperature: float) -> Any:
    logits = ops.log(ops.maximum(probabilities, _SMALLEST_PROBABILITY)) / temperature
    return ops.log_softmax(logits, axis=-1)


def _named(outputs: Any) -> dict[str, Any]:
    """Outputs by name; one alone is the emotion's."""
    return outputs if isinstance(outputs, dict) else {"emotion": outputs}


def _check_number(name: str, value: Any, least: float, expected: str) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not least <= value < math.inf:
        raise invalid(name, expected, value)
