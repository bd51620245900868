"""How numbers are stored and computed in an exported file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["NAMES", "Name", "QuantizationConfig"]

Name = Literal["int8", "float32", "float16", "dynamic_range"]


@dataclass(frozen=True)
class QuantizationConfig:
    """A recipe for the numbers of a ``.tflite``. Made by its named functions, not by hand.

    Attributes:
        name: "int8", "float32", "float16" or "dynamic_range".
        weights: How weights are stored.
        activations: How values between operators are stored. "int8" fixes their ranges
            beforehand, from calibration images.
        border: The data type of the file's input and outputs.

    Example:
        >>> QuantizationConfig.for_int8().needs_calibration
        True
    """

    name: Name
    weights: Literal["int8", "float16", "float32"]
    activations: Literal["int8", "float32"]
    border: Literal["uint8", "float32"]

    @classmethod
    def for_int8(cls) -> QuantizationConfig:
        """Integers throughout, uint8 in and out: a quarter of the size, and the fastest.

        Input pixels are the bytes of the picture. uint8 and not int8 at the border: LiteRT.js
        and MediaPipe refuse int8 there.
        """
        return cls("int8", weights="int8", activations="int8", border="uint8")

    @classmethod
    def for_float32(cls) -> QuantizationConfig:
        """The numbers as trained."""
        return cls("float32", weights="float32", activations="float32", border="float32")

    @classmethod
    def for_float16(cls) -> QuantizationConfig:
        """Weights stored in half precision, computed in float32: half of the size."""
        return cls("float16", weights="float16", activations="float32", border="float32")

    @classmethod
    def for_dynamic_range(cls) -> QuantizationConfig:
        """Weights in int8; activations stay float, and are quantized anew for each image.

        Needs no calibration. TensorFlow leaves kernels of fewer than 1024 numbers in float.
        """
        return cls("dynamic_range", weights="int8", activations="float32", border="float32")

    @classmethod
    def from_name(cls, name: str | QuantizationConfig) -> QuantizationConfig:
        """The recipe of that name; a recipe passes through.

        Raises:
            ValueError: If no recipe has that name.
        """
        if isinstance(name, cls):
            return name
        if not isinstance(name, str) or name not in _BY_NAME:
            raise ValueError(
                "Invalid value for argument `quantization`. Expected one of "
                f"{', '.join(map(repr, _BY_NAME))} or a QuantizationConfig. "
                f"Received: quantization={name!r}"
            )
        return _BY_NAME[name]

    @property
    def needs_calibration(self) -> bool:
        """Whether images are needed to fix the ranges of activations."""
        return self.activations == "int8"


_BY_NAME: dict[str, QuantizationConfig] = {
    config.name: config
    for config in (
        QuantizationConfig.for_int8(),
        QuantizationConfig.for_float32(),
        QuantizationConfig.for_float16(),
        QuantizationConfig.for_dynamic_range(),
    )
}

#: The recipes' names.
NAMES: tuple[str, ...] = tuple(_BY_NAME)
