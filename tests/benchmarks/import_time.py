"""How long `import keras_affect.runtime` takes beside `import keras`: `make bench`.

Not a test, since a time depends on what else the machine does. Each import is timed in fresh
interpreters, by turns, after one of each that fills the disk cache; the median is printed.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
from importlib.metadata import version

MODULES = ("keras_affect.runtime", "keras")


def seconds_to_import(module: str) -> float:
    """Time one import in an interpreter of its own, its start not counted."""
    code = (
        "import time; start = time.perf_counter(); "
        f"import {module}; print(time.perf_counter() - start)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(run.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=9, help="timed imports of each (default: 9)")
    runs = parser.parse_args().runs
    for module in MODULES:
        seconds_to_import(module)
    times: dict[str, list[float]] = {module: [] for module in MODULES}
    for _ in range(runs):
        for module in MODULES:
            times[module].append(seconds_to_import(module))
    print(
        f"Python {platform.python_version()}, {os.cpu_count()} cores, "
        f"load {os.getloadavg()[0]:.1f}, keras {version('keras')}, "
        f"tensorflow {version('tensorflow')}, ai-edge-litert {version('ai-edge-litert')}"
    )
    for module in MODULES:
        low, high = min(times[module]), max(times[module])
        middle = statistics.median(times[module])
        print(f"import {module:21} {middle:6.3f} s  (median of {runs}, {low:.3f} to {high:.3f})")
    ratio = statistics.median(times[MODULES[0]]) / statistics.median(times[MODULES[1]])
    print(f"ratio {ratio:.3f}")


if __name__ == "__main__":
    main()
