"""A model's weights in half precision: the format of the ``.weights.h5`` files that ship.

A plain HDF5 file: one dataset for each variable, named ``layer/variable``, and attributes of the
root: ``format`` (1), ``package``, ``classes`` where the model names them (a JSON list, which the
files up to `ferplus_v5` lack), and ``digest``, a SHA-256 over all names, types, shapes and numbers,
and the classes. Equal weights of equal classes give equal files.

Half the size of float32 costs a rounding of each number by at most 1 in 2048, or by 3e-8 where
that is more. The statistics of batch normalisation stay float32: a variance may be smaller than
half precision can hold.
Keras's own ``save_weights`` is not used because it keeps float32, and names what it stores by
the order in which a process made its layers.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from keras_affect import __version__
from keras_affect._files import written_whole

__all__ = [
    "FORMAT", "class_names_in", "load_weights", "save_weights_float16", "variables_by_key",
]  # fmt: skip

#: The version of the file's layout.
FORMAT = 1

# Statistics, by the names that Keras's BatchNormalization and Normalization give them.
_STATISTICS = ("moving_mean", "moving_variance", "mean", "variance", "count")


def variables_by_key(model: Any) -> dict[str, Any]:
    """The weights of a built model, each by its layer's name and its path within the layer.

    The layer's name and not the whole path: the path begins with the model's own name where the
    model is a subclass or was put inside another, and that name is numbered anew in each process.
    Where a layer is wrapped in DropConnect it is the name of the layer within: weights that were
    trained so fit the network without.

    Args:
        model: A built Keras model. States of random generators are not among its weights.

    Raises:
        ValueError: If two variables get the same key, or one belongs to no layer.
    """
    from keras_affect.layers.drop_connect import DropConnect

    found: dict[str, Any] = {}
    for layer in model.layers:
        weights = layer.weights
        if isinstance(layer, DropConnect):
            layer = layer.layer
        for variable in weights:
            parts = variable.path.split("/")
            # The last part is the variable's own name, which may be equal to the layer's.
            inner = parts[:-1]
            start = inner.index(layer.name) + 1 if layer.name in inner else 0
            key = "/".join([layer.name, *parts[start:]])
            if key in found:
                raise ValueError(
                    f"Invalid value for argument `model`. {model.name} has two variables at "
                    f"{key}; give their layers names of their own"
                )
            found[key] = variable
    if len(found) != len(model.weights):
        raise ValueError(
            f"Invalid value for argument `model`. {model.name} has weights that belong to none "
            "of its layers"
        )
    return found


def save_weights_float16(model: Any, path: str | Path, overwrite: bool = False) -> None:
    """Write a model's weights to an HDF5 file.

    Args:
        model: A built Keras model whose layers have names of their own.
        path: The file, by custom ending in ``.weights.h5``.
        overwrite: Whether a file that stands there may be replaced.

    Raises:
        ValueError: If a weight is not finite in half precision (beyond 65504), or two weights
            have the same name.
        OSError: If the file exists or can't be written.
    """
    import h5py
    import keras

    arrays: dict[str, npt.NDArray[Any]] = {}
    for key, variable in variables_by_key(model).items():
        value = np.asarray(keras.ops.convert_to_numpy(variable.value))
        if key.rpartition("/")[2] in _STATISTICS:
            arrays[key] = value.astype(np.float32)
        elif keras.backend.is_float_dtype(variable.dtype):
            with np.errstate(over="ignore"):
                arrays[key] = value.astype(np.float16)
        else:
            arrays[key] = value
        if not np.isfinite(arrays[key]).all():
            raise ValueError(
                f"Invalid value for argument `model`. {key} holds numbers that are not finite, "
                "or too large for half precision (65504)"
            )
    with written_whole(path, overwrite) as beside, h5py.File(beside, "w") as file:
        file.attrs["format"] = FORMAT
        # Strings of fixed length: others lie in a heap, where HDF5 takes damage for 17 seconds
        # of reading.
        file.attrs["package"] = np.bytes_(f"keras_affect {__version__}".encode())
        names = getattr(model, "class_names", None)
        classes = json.dumps(list(names)).encode() if names else b""
        if classes:
            file.attrs["classes"] = np.bytes_(classes)
        file.attrs["digest"] = np.bytes_(_digest(arrays, classes))
        for key, array in sorted(arrays.items()):
            file.create_dataset(key, data=array)


def load_weights(
    model: Any,
    path: str | Path,
    skip_mismatch: bool = False,
    leave: Collection[str] = (),
    complete: tuple[str, ...] = (),
) -> list[str]:
    """Fill a model from a file of `save_weights_float16`; all of it, or on an error nothing.

    What the file holds beyond the model's weights (a head that the model lacks) is left out.

    Args:
        model: A built Keras model.
        path: The file.
        skip_mismatch: Whether weights that the file lacks, or holds in another shape, stay as
            they are. Otherwise they are an error.
        leave: Names of layers whose weights stay as they are, whatever the file holds.
        complete: Beginnings of the names of layers of which the file may hold no more than the
            model has, unless `skip_mismatch`: a network without them is another one.

    Returns:
        The names (``layer/variable``) of the model's weights that stayed as they were.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is damaged or not of this format, or, unless `skip_mismatch`, a
            weight of the model is missing in it or has another shape, or it holds one of `complete`
            that the model lacks; names file and weight.
    """
    path = Path(path)
    arrays, _ = _read(path)
    chosen: list[tuple[Any, npt.NDArray[Any]]] = []
    skipped: list[str] = []
    variables = variables_by_key(model)
    for key in sorted(arrays.keys() - variables.keys()):
        if key.startswith(complete) and not skip_mismatch:
            raise ValueError(f"{path}: holds {key}, which {model.name} lacks")
    for key, variable in variables.items():
        array = arrays.get(key)
        if key.split("/")[0] in leave:
            skipped.append(key)
        elif array is not None and array.shape == tuple(variable.shape):
            chosen.append((variable, array))
        elif skip_mismatch:
            skipped.append(key)
        elif array is None:
            raise ValueError(f"{path}: holds no {key}, which {model.name} needs")
        else:
            raise ValueError(
                f"{path}: {key} has shape {array.shape}; {model.name} needs {tuple(variable.shape)}"
            )
    for variable, array in chosen:
        variable.assign(array)
    return skipped


def class_names_in(path: str | Path) -> tuple[str, ...] | None:
    """The classes of a file of `save_weights_float16`, in the order of the model's output.

    Returns:
        None where the file does not name them.

    Raises:
        FileNotFoundError, ValueError: As `load_weights`, of a file that can't be read.
    """
    return _read(Path(path))[1]


def _read(path: Path) -> tuple[dict[str, npt.NDArray[Any]], tuple[str, ...] | None]:
    import h5py

    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    arrays: dict[str, npt.NDArray[Any]] = {}

    def collect(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            arrays[name] = item[()]

    try:
        with h5py.File(path, "r") as file:
            attributes = dict(file.attrs)
            if "format" in attributes:
                file.visititems(collect)
        classes = bytes(attributes.get("classes", b""))
        names = tuple(json.loads(classes)) if classes else None
        found = _digest(arrays, classes)
    except Exception as error:  # damage shows as whatever HDF5 or h5py trips over
        raise ValueError(f"{path}: damaged, or not an HDF5 file ({error})") from error
    if attributes.get("format") != FORMAT:
        raise ValueError(
            f"{path}: not weights in this package's format {FORMAT}"
            + (f", but in format {attributes['format']}" if "format" in attributes else "")
        )
    if attributes.get("digest") != found:
        raise ValueError(f"{path}: damaged; what it holds differs from its digest")
    return arrays, names


def _digest(arrays: Mapping[str, npt.NDArray[Any]], classes: bytes) -> bytes:
    digest = hashlib.sha256(classes)
    for key, array in sorted(arrays.items()):
        # Little-endian, so that the digest is the same on every machine.
        stored = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        digest.update(f"{key} {stored.dtype.str} {array.shape}\n".encode())
        digest.update(stored.tobytes())
    return digest.hexdigest().encode()
