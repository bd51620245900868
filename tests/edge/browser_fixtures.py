"""Write what the browser tests need, and what Python says of the same: their reference.

    python -m tests.edge.browser_fixtures build/edge/browser

All pictures are made of one photograph, matplotlib's portrait of Grace Hopper (United States Navy,
public domain), and of drawn faces:

    face.png nobody.png two.png   pictures with one face, with none (the lower part), with two
    face.mjpeg nobody.mjpeg       what a camera would play
    images.bin                    64 faces, (64, 48, 48, 1) bytes
    reference.json                the raw outputs of every shipped .tflite on them, the faces that
                                  Python finds in the pictures, and the pixels of their crops
"""

from __future__ import annotations

import io
import json
import math
import sys
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from ai_edge_litert.interpreter import Interpreter
from PIL import Image, ImageEnhance

from keras_affect.datasets import synthetic
from keras_affect.runtime.crops import fit, square
from keras_affect.weights import catalog
from tests.edge.short_range_faces import ShortRangeFaces

PHOTO = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
CROP_SCALE, CROP_RISE = 1.18, 0.09  # export/web/src/crop.ts
FRAMES, FRAME, WALL = 48, (640, 480), (90, 96, 104)


def pictures(photo: Image.Image) -> dict[str, Image.Image]:
    two = Image.new("RGB", (1000, 600), (120, 130, 140))
    two.paste(photo, (0, 0))
    two.paste(photo.resize((384, 450)), (580, 120))
    return {"face": photo, "nobody": photo.crop((0, 400, 512, 600)), "two": two}


def film(photo: Image.Image, zoom: tuple[float, float]) -> bytes:
    """JPEG after JPEG: the photograph swaying, coming closer and going back, once around."""
    frames = []
    for number in range(FRAMES):
        turn = 2 * math.pi * number / FRAMES
        scale = zoom[0] + (zoom[1] - zoom[0]) * (1 - math.cos(turn)) / 2
        size = (round(photo.width * scale), round(photo.height * scale))
        picture = photo.resize(size).rotate(
            6 * math.sin(turn), Image.Resampling.BILINEAR, fillcolor=WALL
        )
        frame = Image.new("RGB", FRAME, WALL)
        left = (FRAME[0] - size[0]) // 2 + round(60 * math.sin(turn))
        frame.paste(picture, (left, (FRAME[1] - size[1]) // 2))
        # Light that comes and goes.
        frame = ImageEnhance.Brightness(frame).enhance(0.85 + 0.2 * math.sin(turn))
        frames.append(_bytes(frame))
    return b"".join(frames)


def _bytes(frame: Image.Image) -> bytes:
    file = io.BytesIO()
    frame.save(file, "JPEG", quality=92, subsampling=0)
    return file.getvalue()


def faces_48(photo: Image.Image, found: tuple[float, ...]) -> np.ndarray:
    """(64, 48, 48, 1) uint8: 32 crops of the photograph, 32 drawn faces."""
    rng = np.random.default_rng(7)
    _, x, y, width, height = found
    crops = []
    for _ in range(32):
        centre = (x + rng.normal(0, 0.1) * width, y - rng.normal(0.09, 0.1) * height)
        crop = square(photo, centre, rng.uniform(0.8, 2.0) * width)
        crop = crop.rotate(rng.uniform(-20, 20), Image.Resampling.BILINEAR)
        crops.append(np.clip(fit(crop, 48, 48, 1) * rng.uniform(0.6, 1.3), 0, 255))
    drawn, _ = synthetic.arrays(32)
    return np.concatenate([np.stack(crops).astype(np.uint8), drawn])


def raw_outputs(path: Path, images: np.ndarray) -> dict[str, list[list[int]]]:
    interpreter = Interpreter(model_path=str(path), num_threads=1)
    run = interpreter.get_signature_runner()
    (name,) = run.get_input_details()
    found = [run(**{name: image[None]}) for image in images]
    return {key: [one[key][0].tolist() for one in found] for key in found[0]}


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    detector = ShortRangeFaces(Path("build/face_detector/face_detection_short_range.tflite"))
    photo = Image.open(PHOTO).convert("RGB")
    reference: dict[str, Any] = {"faces": {}, "crops": {}, "outputs": {}}
    for name, picture in pictures(photo).items():
        picture.save(target / f"{name}.png")
        found = detector.find(picture)
        reference["faces"][name] = [[float(value) for value in face] for face in found]
        reference["crops"][name] = [
            fit(
                square(picture, (x, y - CROP_RISE * height), CROP_SCALE * width), 48, 48, 1
            ).ravel().tolist()
            for _, x, y, width, height in found
        ]  # fmt: skip
    (target / "face.mjpeg").write_bytes(film(photo, (0.6, 0.9)))
    (target / "nobody.mjpeg").write_bytes(film(pictures(photo)["nobody"], (0.9, 1.2)))
    (face,) = detector.find(photo)
    images = faces_48(photo, face)
    (target / "images.bin").write_bytes(images.tobytes())
    for entry in catalog.entries():
        if entry.kind == "litert":
            reference["outputs"][entry.file] = raw_outputs(entry.verified_path(), images)
    (target / "reference.json").write_text(json.dumps(reference), encoding="utf-8")


if __name__ == "__main__":
    main()
