"""A file's raw outputs for some pictures, by NumPy and LiteRT alone: it runs on every machine.

    python outputs.py MODEL.tflite PICTURES.npy OUTPUTS.npz

PICTURES holds `(pictures, height, width, channels)` of the input's data type. OUTPUTS gets an
array for each output of the file, by its name, and "machine", the processor's architecture.
"""

import platform
import sys

import numpy as np
from ai_edge_litert.interpreter import Interpreter


def outputs(model: str, pictures: np.ndarray, threads: int = 1) -> dict[str, np.ndarray]:
    """The outputs as they stand in the file, not dequantized, `(pictures, numbers)`."""
    interpreter = Interpreter(model_path=model, num_threads=threads)
    runner = interpreter.get_signature_runner("serving_default")
    rows = [runner(image=picture[np.newaxis]) for picture in pictures]
    return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}


if __name__ == "__main__":
    found = outputs(sys.argv[1], np.load(sys.argv[2]))
    np.savez(sys.argv[3], machine=platform.machine(), **found)
