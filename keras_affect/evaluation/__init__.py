"""The FER+ protocol: a model's accuracy, certainty, valence and arousal against the votes.

All scores of a split are of the same images: those that the official rule (`votes.majority`)
keeps, 3,199 of valid.
"""

from keras_affect.evaluation.calibration import Reliability, reliability
from keras_affect.evaluation.corruptions import CORRUPTIONS, corrupt
from keras_affect.evaluation.occlusion import Occlusion, occlusion
from keras_affect.evaluation.report import evaluate, report, save_scores
from keras_affect.evaluation.scoring import scores
from keras_affect.evaluation.selective import answered
from keras_affect.evaluation.table import format_scores

__all__ = [
    "CORRUPTIONS",
    "Occlusion",
    "Reliability",
    "answered",
    "corrupt",
    "evaluate",
    "format_scores",
    "occlusion",
    "reliability",
    "report",
    "save_scores",
    "scores",
]
