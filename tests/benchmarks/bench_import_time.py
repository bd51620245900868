"""How long a fresh interpreter takes for `import keras_affect.runtime`, and for `import keras`;
and for the import and a first prediction.

The interpreter's own start is counted in all.
"""

from __future__ import annotations

import subprocess
import sys
from typing import Any

FIRST_PREDICTION = """
import numpy
import keras_affect.runtime
keras_affect.runtime.AffectInterpreter().predict(numpy.zeros((48, 48), numpy.uint8))
"""


def start(code: str) -> None:
    subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)


def test_import_of_the_runtime(compare: Any) -> None:
    compare(
        "import keras_affect.runtime / keras",
        lambda: start("import keras_affect.runtime"),
        lambda: start("import keras"),
        rounds=9,
        warmups=1,  # fills the disk cache
    )


def test_first_prediction(compare: Any) -> None:
    compare(
        "import and first prediction / import keras",
        lambda: start(FIRST_PREDICTION),
        lambda: start("import keras"),
        rounds=9,
        warmups=1,
        note="at most 500 ms are asked for",
    )
