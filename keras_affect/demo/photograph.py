"""A real photograph, read by the weights that ship."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.cbook import get_sample_data

from keras_affect import runtime
from keras_affect.runtime import faces
from keras_affect.weights import catalog

__all__ = ["read_photograph"]

# A portrait of the United States Navy, in the public domain; matplotlib's wheel holds it.
_NAME = "grace_hopper.jpg"


def read_photograph(path: Path) -> dict[str, Any]:
    """Find the face in matplotlib's portrait of Grace Hopper, read it, and draw what was read.

    Args:
        path: Where to write the annotated picture.

    Returns:
        "weights": what read it; "faces": a `Prediction.as_dict` for each face found; "note":
        why the whole picture was taken for one face, if OpenCV is not installed, else None.
    """
    entry = catalog.find("LightweightCNN", "ferplus", "litert")
    photograph = get_sample_data(_NAME, asfileobj=False)
    interpreter = runtime.AffectInterpreter()
    note = None
    try:
        faces.check_available()
    except ImportError as error:
        note = f"The whole picture was taken for one face: {error}"
        predictions = [interpreter.predict(photograph)]
    else:
        predictions = interpreter.predict_faces(photograph)
    runtime.annotate(photograph, predictions).save(path)
    return {
        "weights": f"{entry.model} {entry.name}",
        "faces": [prediction.as_dict() for prediction in predictions],
        "note": note,
    }
