"""Checkpoints that a run continues from exactly: every variable, seed states included.

``.keras`` and ``.weights.h5`` files leave out the states of seed generators, so that dropout
would draw again what it drew before. A checkpoint here is a ``.npz`` of all of the model's and
the optimizer's variables; of a student with its teachers, of the student's.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_affect._files import written_whole
from keras_affect.training.distillation import Distiller

__all__ = ["Checkpoint", "restore"]


def _variables(model: Any) -> list[Any]:
    # Of a distiller the student's alone: its teachers never change.
    trained = model.student if isinstance(model, Distiller) else model
    return [*trained.variables, *model.optimizer.variables]


def _key(place: int) -> str:
    # Not the path, which counts the models made before in the same process.
    return f"{place:04d}"


class Checkpoint(keras.callbacks.Callback):
    """Writes the checkpoint after each epoch.

    Args:
        path: The ``.npz`` file; each epoch replaces it whole.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Write every variable, and how many epochs are done."""
        arrays: dict[str, Any] = {"epochs_done": np.int64(epoch + 1)}
        arrays |= {_key(i): np.asarray(v) for i, v in enumerate(_variables(self.model))}
        with written_whole(self._path, overwrite=True) as beside:
            np.savez(beside, **arrays)


def restore(model: Any, path: Path) -> int:
    """Fill a compiled model and its built optimizer from a checkpoint.

    Returns:
        How many epochs were done when it was written.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If the file is damaged, or of another model; nothing is changed then.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no checkpoint there to resume from")
    variables = _variables(model)
    try:
        # Opened here: NumPy leaves a file open that turns out not to be a zip.
        with path.open("rb") as opened, np.load(opened) as file:
            done = int(file["epochs_done"])
            count = len(file.files) - 1
            values = [file[_key(i)] for i in range(count)]
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path}: damaged ({error})") from None
    if count != len(variables):
        raise ValueError(
            f"{path}: a checkpoint of another model: it holds {count} variables, "
            f"expected {len(variables)}"
        )
    for variable, value in zip(variables, values, strict=True):
        if tuple(variable.shape) != value.shape:
            raise ValueError(
                f"{path}: a checkpoint of another model: {variable.path} has shape "
                f"{value.shape}, expected {tuple(variable.shape)}"
            )
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
    return done
