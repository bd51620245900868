"""How numbers are stored and computed in an exported file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["NAMES", "Name", "QuantizationConfig"]

Name = Literal["int8", "float32", "float16", "dynamic_range", "weight_only_int8", "int4"]


@dataclass(frozen=True)
class QuantizationConfig:
    """A recipe for the numbers of a ``.tflite``. Made by its named functions, not by hand.

    Attributes:
        name: "int8", "float32", "float16", "dynamic_range", "weight_only_int8" or "int4".
        weights: How weights are stored.
        activations: How values between operators are stored. "int8" fixes their ranges
            beforehand, from calibration images.
        border: The data type of the file's input and outputs.
        is_weight_only: Whether the file makes its weights float again before it computes with
            them. Such files are written by the quantizer library, the extra ``quantize``.

    Example:
        >>> QuantizationConfig.for_int8().needs_calibration
        True
    """

    name: Name
    weights: Literal["int8", "int4", "float16", "float32"]
    activations: Literal["int8", "float32"]
    border: Literal["uint8", "float32"]
    is_weight_only: bool = False

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
    def for_weight_only_int8(cls) -> QuantizationConfig:
        """Weights stored in int8, a scale for each channel, and computed in float32.

        A quarter of the size with nearly the float model's outputs; no faster than float32.
        Needs no calibration, but the extra ``quantize``.
        """
        return cls(
            "weight_only_int8",
            weights="int8",
            activations="float32",
            border="float32",
            is_weight_only=True,
        )

    @classmethod
    def for_int4(cls) -> QuantizationConfig:
        """Weights stored in four bits, a scale for each channel, and computed in float32.

        The smallest file, and the one that is furthest from the model: see what it scores.
        Needs no calibration, but the extra ``quantize``.
        """
        return cls(
            "int4", weights="int4", activations="float32", border="float32", is_weight_only=True
        )

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

    @property
    def can_keep_float(self) -> bool:
        """Whether single layers can be left as they are: `to_litert`'s `keep_float`."""
        return self.needs_calibration or self.is_weight_only


_BY_NAME: dict[str, QuantizationConfig] = {
    config.name: config
    for config in (
        QuantizationConfig.for_int8(),
        QuantizationConfig.for_float32(),
        QuantizationConfig.for_float16(),
        QuantizationConfig.for_dynamic_range(),
        QuantizationConfig.for_weight_only_int8(),
        QuantizationConfig.for_int4(),
    )
}

#: The recipes' names.
NAMES: tuple[str, ...] = tuple(_BY_NAME)
