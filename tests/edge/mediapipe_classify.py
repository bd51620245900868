"""Run by the environment that has MediaPipe: a file's categories for each of some pictures.

    python mediapipe_classify.py MODEL.tflite PICTURES.npy

PICTURES holds uint8 `(pictures, height, width, 3)`. Prints JSON: for each picture a dict of
scores by the label that MediaPipe reads from the file.
"""

import json
import sys

import mediapipe
import numpy as np
from mediapipe.tasks.python import BaseOptions, vision

options = vision.ImageClassifierOptions(base_options=BaseOptions(model_asset_path=sys.argv[1]))
with vision.ImageClassifier.create_from_options(options) as classifier:
    found = []
    for picture in np.load(sys.argv[2]):
        image = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=picture)
        (head,) = classifier.classify(image).classifications
        found.append({category.category_name: category.score for category in head.categories})
print(json.dumps(found))
