"""What reading a face gives: `Face`, where it stands, and `Prediction`, what it shows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from PIL import Image

__all__ = ["UNCERTAIN", "Box", "Face", "Prediction"]

#: The answer in place of an emotion where certainty is below what was asked for.
UNCERTAIN = "uncertain"

#: (left, top, right, bottom) in pixels, right and bottom exclusive, as in Pillow.
Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Face:
    """A face in a picture.

    Attributes:
        box: (left, top, right, bottom) in pixels of the upright picture, inside its borders.
        crop: The square that a model reads, cut from the picture: the face as wide as the faces
            that the models learned from (see `find_faces`), of any size, gray or RGB.
    """

    box: Box
    crop: Image.Image = field(repr=False, compare=False)

    @property
    def width(self) -> int:
        """The width of the box, in pixels."""
        return self.box[2] - self.box[0]

    @property
    def height(self) -> int:
        """The height of the box, in pixels."""
        return self.box[3] - self.box[1]


@dataclass(frozen=True)
class Prediction:
    """What a model says of one face: an expression, as people would name it, not a feeling.

    Attributes:
        emotion: The name of the most probable class, or `UNCERTAIN` where its probability is
            below the `uncertain_below` that was asked for.
        probabilities: The probability of each class in [0, 1], by name, in the model's order.
            They come as the model gave them: an int8 model counts in steps of 1/256, so that
            their sum may miss 1 by a hundredth.
        valence: From -1, unpleasant, to 1, pleasant; None where the model has no such output.
        arousal: From -1, calm, to 1, excited; None likewise.
        face: Where the face stands in its picture, or None where the whole picture was read.
    """

    emotion: str
    probabilities: dict[str, float]
    valence: float | None
    arousal: float | None
    face: Face | None = None

    @property
    def certainty(self) -> float:
        """The probability of the most probable class, in [0, 1], whatever `emotion` says.

        How far it can be trusted was measured on FER+: `evaluation` has its calibration error,
        and the accuracy of the answers that are at least so certain.
        """
        return max(self.probabilities.values())

    @property
    def probability(self) -> float:
        """The same."""
        return self.certainty

    def as_dict(self) -> dict[str, Any]:
        """All of it but the crop, ready for `json.dumps`; "box" is None for a whole picture."""
        return {
            "box": list(self.face.box) if self.face else None,
            "emotion": self.emotion,
            "probability": self.probability,
            "probabilities": dict(self.probabilities),
            "valence": self.valence,
            "arousal": self.arousal,
        }
