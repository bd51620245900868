"""Getting a model from a name, a weights file, a ``.keras`` file or a training run's folder."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import keras

from keras_affect.weights import catalog

__all__ = ["load", "load_weights_by_name"]


def load_weights_by_name(model: Any, weights: str, skip_mismatch: bool = False) -> None:
    """Fill a model from a shipped name or a weights file.

    Args:
        model: A model of `keras_affect.models`.
        weights: A name in the catalog, or a path ending in ``.h5``.
        skip_mismatch: Whether a file may lack variables of the model, or hold them in another
            shape; those stay as they are.

    Raises:
        ValueError: If the name does not ship (the message lists what does), or the file is
            damaged or does not fit.
        FileNotFoundError: If the path leads nowhere.
    """
    from keras_affect.weights.storage import load_weights

    architecture = type(model).__name__
    if str(weights).endswith(".h5"):
        load_weights(model, Path(weights), skip_mismatch=skip_mismatch)
        return
    entry = catalog.find(architecture, str(weights), "keras")
    path = entry.verified_path()
    if tuple(entry.config["classes"]) == tuple(model.class_names):
        load_weights(model, path)
        return
    skipped = load_weights(model, path, skip_mismatch=True)
    warnings.warn(
        f"{architecture}(weights={weights!r}) was trained for {len(entry.config['classes'])} "
        f"classes ({', '.join(entry.config['classes'])}); its backbone is loaded, and "
        f"{', '.join(skipped)} stay random until trained.",
        UserWarning,
        stacklevel=3,
    )


def load(path_or_name: str | Path) -> Any:
    """A Keras model from a file, a run's folder, or a shipped name; not compiled.

    Args:
        path_or_name: A ``.keras`` file; a folder that `keras-affect train` wrote; or a name
            that ships, as "ferplus".

    Raises:
        FileNotFoundError: If the path leads nowhere.
        ValueError: If the file can't be read as a model.
    """
    path = Path(path_or_name)
    if path.is_dir():
        if not (path / "model.keras").is_file():
            raise FileNotFoundError(
                f"{path}: no model.keras in it; a finished run of keras-affect train has one"
            )
        path = path / "model.keras"
    if path.suffix == ".keras":
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such file")
        try:
            # Not compiled: losses and schedules of the training need not be known here.
            return keras.saving.load_model(path, compile=False)
        except Exception as error:
            # Keras raises what its zip, json and h5 readers raise.
            raise ValueError(f"{path}: not a Keras model ({error})") from error
    names = {entry.name for entry in catalog.entries()}
    if path.exists() or path.suffix:
        raise FileNotFoundError(
            f"{path}: expected a .keras file, a folder of keras-affect train, or a name that "
            f"ships ({', '.join(sorted(names)) or 'none'})"
        )
    from keras_affect.models.lightweight_cnn import LightweightCNN

    return LightweightCNN(weights=str(path_or_name))
