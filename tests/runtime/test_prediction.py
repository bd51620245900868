from __future__ import annotations

import dataclasses
import json

import pytest
from PIL import Image

from keras_affect.runtime import UNCERTAIN, Face, Prediction

FACE = Face((10, 20, 40, 60), Image.new("L", (4, 4)))
PREDICTION = Prediction("anger", {"anger": 0.75, "fear": 0.25}, -0.5, None, FACE)


def test_face():
    assert (FACE.width, FACE.height) == (30, 40)
    assert Face((10, 20, 40, 60), Image.new("L", (9, 9), 7)) == FACE
    assert "crop" not in repr(FACE)


def test_as_dict_is_json():
    assert PREDICTION.probability == 0.75
    assert json.loads(json.dumps(PREDICTION.as_dict())) == {
        "box": [10, 20, 40, 60],
        "emotion": "anger",
        "probability": 0.75,
        "probabilities": {"anger": 0.75, "fear": 0.25},
        "valence": -0.5,
        "arousal": None,
    }
    assert dataclasses.replace(PREDICTION, face=None).as_dict()["box"] is None


def test_certainty_is_there_where_the_answer_is_not():
    unsure = dataclasses.replace(PREDICTION, emotion=UNCERTAIN)
    assert unsure.certainty == unsure.probability == 0.75
    assert unsure.as_dict()["emotion"] == "uncertain"


def test_neither_can_be_changed():
    for found, name in ((FACE, "box"), (PREDICTION, "emotion")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(found, name, None)
