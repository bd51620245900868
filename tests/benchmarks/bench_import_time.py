"""How long a fresh interpreter takes for `import keras_affect.runtime`, and for `import keras`.

The interpreter's own start is counted in both.
"""

from __future__ import annotations

import subprocess
import sys
from typing import Any


def test_import_of_the_runtime(compare: Any) -> None:
    def start(module: str) -> None:
        subprocess.run([sys.executable, "-c", f"import {module}"], capture_output=True, check=True)

    compare(
        "import keras_affect.runtime / keras",
        lambda: start("keras_affect.runtime"),
        lambda: start("keras"),
        rounds=9,
        warmups=1,  # fills the disk cache
    )
