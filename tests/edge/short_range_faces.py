"""The page's face detector once more, in NumPy and Python's LiteRT: the reference of its tests.

MediaPipe's short-range model reads 128x128 pixels in [-1, 1] and gives 896 candidates: for each a
score and a box beside its anchor. How anchors lie, boxes are decoded and overlapping ones become
one stands in MediaPipe's graph ``face_detection_short_range`` (Bazarevsky et al. 2019, BlazeFace,
https://arxiv.org/abs/1907.05047).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from PIL import Image

from keras_affect.runtime.crops import rounded

SIDE = 128
LEAST_SCORE, LEAST_OVERLAP = 0.5, 0.3
#: (cells a side, anchors a cell) of the two grids.
GRIDS = ((16, 2), (8, 6))


def anchors() -> np.ndarray:
    """(896, 2) float64: (x, y) of each anchor in [0, 1]."""
    points = []
    for cells, each in GRIDS:
        for row in range(cells):
            for column in range(cells):
                points += [((column + 0.5) / cells, (row + 0.5) / cells)] * each
    return np.array(points)


class ShortRangeFaces:
    """Finds faces with the ``.tflite`` at `path`."""

    def __init__(self, path: Path) -> None:
        self.interpreter = Interpreter(model_path=str(path), num_threads=1)
        self.interpreter.allocate_tensors()
        self.anchors = anchors()

    def candidates(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The model's own (896, 16) coordinates and (896,) scores of (128, 128, 3) pixels."""
        (given,) = self.interpreter.get_input_details()
        self.interpreter.set_tensor(given["index"], (pixels / np.float32(127.5) - 1)[None])
        self.interpreter.invoke()
        found = [
            self.interpreter.get_tensor(output["index"])[0]
            for output in self.interpreter.get_output_details()
        ]
        coordinates = next(values for values in found if values.shape[-1] == 16)
        scores = next(values for values in found if values.shape[-1] == 1)
        return coordinates, scores[:, 0]

    def find(self, image: Image.Image) -> list[tuple[float, float, float, float, float]]:
        """(score, x, y, width, height) of each face in pixels, (x, y) its box's middle."""
        coordinates, scores = self.candidates(letterboxed(image))
        probabilities = 1 / (1 + np.exp(-np.clip(scores.astype(np.float64), -100, 100)))
        boxes = coordinates[:, :4].astype(np.float64) / SIDE
        boxes[:, :2] += self.anchors
        longer = max(image.size)
        shift = np.array([(longer - side) / 2 for side in image.size])
        faces = []
        for probability, box in merged(probabilities, boxes):
            x, y = box[:2] * longer - shift
            faces.append((probability, x, y, *(box[2:] * longer)))
        return sorted(faces, key=lambda face: -face[3])


def letterboxed(image: Image.Image) -> np.ndarray:
    """(128, 128, 3) float32 in [0, 255]: the picture in the middle, black beside it."""
    scale = SIDE / max(image.size)
    inner = tuple(max(1, round(side * scale)) for side in image.size)
    small = rounded(image).convert("RGB").resize(inner, Image.Resampling.BILINEAR)
    pixels = np.zeros((SIDE, SIDE, 3), np.float32)
    left, top = (SIDE - inner[0]) // 2, (SIDE - inner[1]) // 2
    pixels[top : top + inner[1], left : left + inner[0]] = np.asarray(small)
    return pixels


def merged(probabilities: np.ndarray, boxes: np.ndarray) -> list[tuple[float, np.ndarray]]:
    """Overlapping candidates become their mean, weighted by probability."""
    order = [i for i in np.argsort(-probabilities) if probabilities[i] >= LEAST_SCORE]
    faces = []
    while order:
        best = order[0]
        group = [i for i in order if overlap(boxes[best], boxes[i]) > LEAST_OVERLAP]
        weights = probabilities[group]
        faces.append((float(probabilities[best]), np.average(boxes[group], 0, weights)))
        order = [i for i in order if i not in group]
    return faces


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    """The intersection of two boxes (x, y, width, height) over their union."""
    low = np.maximum(one[:2] - one[2:] / 2, other[:2] - other[2:] / 2)
    high = np.minimum(one[:2] + one[2:] / 2, other[:2] + other[2:] / 2)
    common = float(np.prod(np.maximum(high - low, 0)))
    union = float(np.prod(one[2:]) + np.prod(other[2:])) - common
    return common / union if union > 0 else 0.0
