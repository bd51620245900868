"""Print how the page's crop was fitted to the training pictures' (export/web/src/crop.ts).

    python -m tests.edge.measure_crop PATH/TO/FER2013Train PHOTOGRAPH...

For 1,000 FER+ train pictures with their border repeated around them: the picture's side and middle
in widths of the detector's box. For photographs: the same of the crop by OpenCV's Haar cascade.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from keras_affect.runtime.faces import CROP_SCALE, find_faces
from tests.edge.short_range_faces import ShortRangeFaces

COUNT, ROOM = 1000, 24
PERCENTILES = (10, 25, 50, 75, 90)


def main() -> None:
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    detector = ShortRangeFaces(Path("build/face_detector/face_detection_short_range.tflite"))
    files = sorted(Path(sys.argv[1]).glob("*.png"))
    chosen = np.random.default_rng(0).choice(len(files), COUNT, replace=False)
    rows = []
    for number in chosen:
        pixels = np.asarray(Image.open(files[number]).convert("L"))
        found = detector.find(Image.fromarray(np.pad(pixels, ROOM, mode="edge")))
        if len(found) == 1:
            _, x, y, width, height = found[0]
            middle = pixels.shape[0] / 2 + ROOM
            rows.append((pixels.shape[0] / width, (middle - x) / width, (middle - y) / height))
    print(f"one face in {len(rows)} of {COUNT} pictures; side, shift right, shift down:")
    for share, row in zip(PERCENTILES, np.percentile(rows, PERCENTILES, axis=0), strict=True):
        print(f"  {share:2d} %", *(f"{value:+.3f}" for value in row))
    for name in sys.argv[2:]:
        photo = Image.open(name).convert("RGB")
        (face,) = find_faces(photo)
        ((_, x, y, width, height),) = detector.find(photo)
        left, top, right, bottom = face.box
        row = (
            CROP_SCALE * face.width / width,
            ((left + right) / 2 - x) / width,
            ((top + bottom) / 2 - y) / height,
        )
        print(f"{name}:", *(f"{value:+.3f}" for value in row))


if __name__ == "__main__":
    main()
