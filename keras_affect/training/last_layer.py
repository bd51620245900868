"""A classifier's last layer: its logits, and what can be folded into it after training."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from keras_affect._arguments import invalid

__all__ = ["LastLayer"]


class LastLayer:
    """The `Dense` layer with softmax that gives a model's probabilities.

    Args:
        model: A functional model, as those of `keras_affect.models` are.
        output: Name of the layer, or of the `DropConnect` around it.

    Raises:
        ValueError: If the model has no such layer.
    """

    def __init__(self, model: Any, output: str) -> None:
        self._head = _dense(model, output)
        self._features = keras.Model(model.input, model.get_layer(output).input)
        self._kernel, self._bias = (
            keras.ops.convert_to_numpy(part).astype(np.float64)
            for part in (self._head.kernel, self._head.bias)
        )

    @property
    def classes(self) -> int:
        """How many there are."""
        return len(self._bias)

    def logits(self, images: npt.ArrayLike, batch_size: int) -> npt.NDArray[np.float64]:
        """What the softmax is taken of, `(images, classes)`."""
        features = self._features.predict(images, batch_size=batch_size, verbose=0)
        return np.asarray(features.astype(np.float64) @ self._kernel + self._bias)

    def scale(self, factor: float) -> None:
        """Multiply all logits by a number."""
        self._kernel, self._bias = self._kernel * factor, self._bias * factor
        self._head.kernel.assign(self._kernel)
        self._head.bias.assign(self._bias)

    def shift(self, terms: npt.NDArray[np.float64]) -> None:
        """Add a number to the logits of each class, `(classes,)`."""
        self._bias = self._bias + terms
        self._head.bias.assign(self._bias)


def _dense(model: Any, output: str) -> Any:
    names = [layer.name for layer in model.layers]
    if output not in names:
        raise invalid("output", f"a layer of the model ({', '.join(names[-3:])})", output)
    layer = model.get_layer(output)
    # DropConnect wraps the layer whose weights it drops in training.
    layer = getattr(layer, "layer", layer)
    is_softmax = keras.activations.serialize(getattr(layer, "activation", None)) == "softmax"
    if not (isinstance(layer, keras.layers.Dense) and is_softmax and layer.use_bias):
        raise invalid("output", "a Dense layer with bias and softmax", f"{output}, {layer!r}")
    return layer
