"""Getting a model from a name, a weights file, a ``.keras`` file or a training run's folder."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import keras

from keras_affect.weights import catalog

__all__ = ["adapt_residuals", "load", "load_weights_by_name", "trained_argument"]

# Heads and hidden layers before them may be left out of a model; a stem of fewer convolutions than
# the weights have would read pictures otherwise.
_NEVER_LEFT_OUT = ("stem",)


def trained_argument(architecture: str, weights: str | None, name: str, otherwise: Any) -> Any:
    """The value that an argument, as `width`, had when a name's weights were trained.

    Args:
        architecture: The class in `keras_affect.models`.
        weights: As the class takes it.
        name: The argument.
        otherwise: Its value where `weights` is no name, or a name older than the argument.

    Raises:
        ValueError: If the name does not ship; the message lists what does.
    """
    if weights is None or str(weights).endswith(".h5"):
        return otherwise
    return catalog.find(architecture, str(weights), "keras").config.get(name, otherwise)


def load_weights_by_name(model: Any, weights: str, skip_mismatch: bool = False) -> None:
    """Fill a model from a shipped name or a weights file.

    Args:
        model: A model of `keras_affect.models`.
        weights: A name in the catalog, or a path ending in ``.h5``.
        skip_mismatch: Whether a file may lack variables of the model, hold them in another shape,
            or a head of other classes; those stay as they are.

    Raises:
        ValueError: If the name does not ship (the message lists what does), or the file is
            damaged, does not fit or is of other classes.
        FileNotFoundError: If the path leads nowhere.
    """
    from keras_affect.weights.storage import class_names_in, load_weights

    architecture = type(model).__name__
    if str(weights).endswith(".h5"):
        path = Path(weights)
        # Not by the shape alone: a head of as many other classes would answer with their names.
        trained_for = class_names_in(path) or tuple(model.class_names)
        # A model of clips always has its heads.
        has_head = getattr(model, "include_top", True)
        is_other_head = has_head and trained_for != tuple(model.class_names)
        if is_other_head and not skip_mismatch:
            raise ValueError(
                f"{path}: of the classes {', '.join(trained_for)}; {model.name} has emotion for "
                f"{', '.join(model.class_names)}. skip_mismatch=True leaves its head random"
            )
        load_weights(
            model,
            path,
            skip_mismatch=skip_mismatch,
            leave=["emotion"] if is_other_head else [],
            complete=_NEVER_LEFT_OUT,
        )
        return
    entry = catalog.find(architecture, str(weights), "keras")
    path = entry.verified_path()
    trained_for = tuple(entry.config["classes"])
    # A head of other classes is left out even where it has as many: its columns are other things.
    is_other_head = model.include_top and trained_for != tuple(model.class_names)
    left = load_weights(
        model, path, leave=["emotion"] if is_other_head else [], complete=_NEVER_LEFT_OUT
    )
    adapt_residuals(model, entry.config.get("stochastic_depth", 0.0))
    if is_other_head:
        warnings.warn(
            f"{architecture}(weights={weights!r}) was trained for {len(trained_for)} classes "
            f"({', '.join(trained_for)}); its backbone is loaded, and {', '.join(left)} stay "
            "random until trained.",
            UserWarning,
            stacklevel=4,
        )


def adapt_residuals(model: Any, trained_rate: float) -> None:
    """Scale residual branches for another rate of stochastic depth than they were trained at.

    At inference a residual is multiplied by one minus its rate. What stands last in its branch,
    batch normalisation, is multiplied by the quotient of the two factors: the model then gives at
    inference what it gave where it was trained.
    """
    from keras_affect.layers.stochastic_depth import stochastic_depth_rates

    if model.stochastic_depth == trained_rate:
        return
    sums = [layer for layer in model.layers if layer.name.endswith("_add")]
    rates = (
        stochastic_depth_rates(len(sums), rate) for rate in (trained_rate, model.stochastic_depth)
    )
    for layer, before, now in zip(sums, *rates, strict=True):
        normalization = layer.input[1]._keras_history.operation
        for variable in (normalization.gamma, normalization.beta):
            variable.assign(variable * ((1 - before) / (1 - now)))


def load(path_or_name: str | Path) -> Any:
    """A Keras model from a file, a run's folder, or a shipped name; not compiled.

    Args:
        path_or_name: A ``.keras`` file; a folder that `keras-affect train` wrote; or a name
            that ships, as "ferplus". A run's folder of such a name goes before; another folder,
            as of FER+'s data, does not.

    Raises:
        FileNotFoundError: If the path leads nowhere.
        ValueError: If the file can't be read as a model.
    """
    path = Path(path_or_name)
    if path.is_dir():
        if not (path / "model.keras").is_file():
            if str(path_or_name) in catalog.names():
                return _shipped(str(path_or_name))
            raise FileNotFoundError(
                f"{path}: no model.keras in it; a finished run of keras-affect train has one"
            )
        path = path / "model.keras"
    if path.suffix == ".keras":
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such file")
        # Keras finds those classes alone whose modules were imported, and a file may hold any.
        from keras_affect import augmentation, ensembles, initializers, layers  # noqa: F401

        try:
            # Not compiled: losses and schedules of the training need not be known here.
            return keras.saving.load_model(path, compile=False)
        except Exception as error:
            # Keras raises what its zip, json and h5 readers raise.
            raise ValueError(f"{path}: not a Keras model ({error})") from error
    if path.exists() or path.suffix:
        names = {entry.name for entry in catalog.entries()}
        raise FileNotFoundError(
            f"{path}: expected a .keras file, a folder of keras-affect train, or a name that "
            f"ships ({', '.join(sorted(names)) or 'none'})"
        )
    return _shipped(str(path_or_name))


def _shipped(name: str) -> Any:
    """The model that a name was trained with."""
    from keras_affect import models

    entry = catalog.find_by_name(name, "keras")
    return getattr(models, entry.model)(**{**entry.config, "weights": name})
