"""Reading faces with an exported model: NumPy, Pillow and LiteRT alone, and OpenCV to find faces.

Neither Keras nor a backend is loaded, and OpenCV only when faces are looked for.
"""

from keras_affect.runtime.annotation import annotate
from keras_affect.runtime.faces import find_faces
from keras_affect.runtime.interpreter import AffectInterpreter
from keras_affect.runtime.pictures import Picture, PictureError, read_picture
from keras_affect.runtime.prediction import UNCERTAIN, Face, Prediction
from keras_affect.runtime.smoothing import ExponentialFilter, PredictionFilter
from keras_affect.runtime.streaming import StreamingAffect

__all__ = [
    "UNCERTAIN",
    "AffectInterpreter",
    "ExponentialFilter",
    "Face",
    "Picture",
    "PictureError",
    "Prediction",
    "PredictionFilter",
    "StreamingAffect",
    "annotate",
    "find_faces",
    "read_picture",
]
