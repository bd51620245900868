"""Write what TensorFlow Addons computes, for tests that compare this package with it.

    python tools/parity/write_fixtures.py FOLDER

`make parity` runs it in an environment of its own, with the packages of requirements.txt:
TensorFlow Addons is past its end of life, and imports beside no TensorFlow of today. So this file
imports nothing of keras_affect. It writes

- ``stochastic_depth.npz``, ``cutout.npz`` and ``fractional_pooling.npz``: inputs, what was drawn,
  outputs;
- ``migration.npz``: inputs, and what the functions of ``migration.py`` give for them, by their
  names in TensorFlow Addons;
- ``names.json``: all public names of TensorFlow Addons.

The same versions write the same bytes.
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import os
import types
import typing
import zipfile
from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow_addons as tfa
from migration import expected, inputs

VERSIONS = {"tensorflow": tf.__version__, "tensorflow_addons": tfa.__version__}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "folder", type=Path, help="where to write; files that are there are replaced"
    )
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    for name, arrays in (
        ("stochastic_depth", stochastic_depth()),
        ("cutout", cutout()),
        ("fractional_pooling", fractional_pooling()),
        ("migration", {f"input/{name}": value for name, value in inputs().items()} | expected()),
    ):
        _write(folder / f"{name}.npz", archive(arrays))
    listed = {**VERSIONS, "names": public_names()}
    _write(folder / "names.json", (json.dumps(listed, indent=1) + "\n").encode())


def stochastic_depth() -> dict[str, np.ndarray]:
    """`tfa.layers.StochasticDepth`: 16 calls in training and one at inference.

    A call that kept the residual is known by its output, since no residual is 0.
    """
    tf.keras.utils.set_random_seed(0)
    shortcut, residual = np.random.default_rng(0).normal(size=(2, 3, 4, 2)).astype(np.float32)
    probabilities = np.array([0.3, 0.5, 0.8, 1.0])
    trained, kept, inferred = [], [], []
    for probability in probabilities.tolist():
        layer = tfa.layers.StochasticDepth(probability)
        calls = np.stack([layer([shortcut, residual], training=True) for _ in range(16)])
        keeps = (calls != shortcut).all(axis=(1, 2, 3))
        sums = shortcut + keeps[:, None, None, None] * residual
        assert (calls == sums).all(), "neither kept nor left out"
        assert 0 < keeps.sum() < 16 or probability == 1, "one outcome alone was drawn"
        trained.append(calls)
        kept.append(keeps)
        inferred.append(layer([shortcut, residual], training=False))
    return {
        "shortcut": shortcut,
        "residual": residual,
        "survival_probability": probabilities,
        "kept": np.stack(kept),
        "training": np.stack(trained),
        "inference": np.stack(inferred),
    }


def cutout() -> dict[str, np.ndarray]:
    """`tfa.image.random_cutout`, and the `tfa.image.cutout` below it at centres near borders."""
    tf.random.set_seed(0)
    height, width = 9, 12
    # No pixel is 0, so that what was cut can be told.
    images = np.random.default_rng(1).integers(1, 256, (8, height, width, 2)).astype(np.float32)
    arrays = {"images": images}
    for size in (2, 4, 6):
        outputs = tfa.image.random_cutout(images, size, constant_values=0, seed=size).numpy()
        cut = (outputs == 0).all(axis=-1)
        assert (cut.sum(axis=(1, 2)) == size * size).all(), "a square hangs over the border"
        first = np.stack([cut.any(axis=2).argmax(axis=1), cut.any(axis=1).argmax(axis=1)], axis=1)
        arrays |= {
            f"random/{size}/offsets": (first + size // 2).astype(np.int32),
            f"random/{size}/outputs": outputs,
        }
        corners = itertools.product((0, height - 1), (0, width - 1))
        edges = ((0, width // 2), (height // 2, 0), (height // 2, width // 2), (1, width - 2))
        offsets = np.array([*corners, *edges], np.int32)
        arrays |= {
            f"fixed/{size}/offsets": offsets,
            f"fixed/{size}/outputs": tfa.image.cutout(images, size, offsets, 7.5).numpy(),
        }
    return arrays


def fractional_pooling() -> dict[str, np.ndarray]:
    """`tf.nn.fractional_max_pool` and `fractional_avg_pool`, with the gradient of their inputs.

    Of TensorFlow itself, and written here so that other backends can be compared with it.
    """
    random = np.random.default_rng(2)
    # Many equal values, as after a ReLU: the gradient goes to one of them.
    pixels = np.maximum(random.integers(-3, 4, (2, 11, 13, 2)), 0).astype(np.float32)
    value = tf.constant(pixels)
    arrays = {"inputs": pixels}
    for (height, width), pseudo_random, overlapping, name in itertools.product(
        ((1.0, 1.44), (1.9, 1.26), (2.5, 2.1)), (True, False), (False, True), ("max", "average")
    ):
        operator = {"max": tf.nn.fractional_max_pool, "average": tf.nn.fractional_avg_pool}[name]
        with tf.GradientTape() as tape:
            tape.watch(value)
            outputs, rows, columns = operator(
                value, [1.0, height, width, 1.0], pseudo_random, overlapping, seed=7
            )
        upstream = random.integers(-8, 9, outputs.shape).astype(np.float32)
        key = f"{name}/{height}x{width}/pseudo={pseudo_random}/overlapping={overlapping}"
        arrays |= {
            f"{key}/rows": rows.numpy().astype(np.int32),
            f"{key}/columns": columns.numpy().astype(np.int32),
            f"{key}/outputs": outputs.numpy(),
            f"{key}/upstream": upstream,
            f"{key}/gradient": tape.gradient(outputs, value, tf.constant(upstream)).numpy(),
        }
    return arrays


def public_names() -> list[str]:
    """What a user reaches as ``tfa.NAME`` or ``tfa.MODULE.NAME``, but what it imports itself."""
    names = []
    modules = [member for _, member in _public(tfa) if isinstance(member, types.ModuleType)]
    for module in modules:
        names += [
            f"{module.__name__}.{name}" for name, member in _public(module) if _own(name, member)
        ]
    names += [f"tensorflow_addons.{name}" for name, member in _public(tfa) if _own(name, member)]
    return sorted(name.replace("tensorflow_addons", "tfa") for name in names)


def _public(module: types.ModuleType) -> list[tuple[str, object]]:
    return [(name, member) for name, member in vars(module).items() if not name.startswith("_")]


def _own(name: str, member: object) -> bool:
    """Whether a name of theirs: not a module, nor imported from typing or another library."""
    if isinstance(member, types.ModuleType) or getattr(typing, name, None) is member:
        return False
    home = getattr(member, "__module__", None) or "typing"
    # Keras's old optimizers have a name in tfa.optimizers; type aliases belong to typing.
    return home.split(".")[0] in ("tensorflow_addons", "typing", "keras")


def archive(arrays: dict[str, np.ndarray]) -> bytes:
    """An ``.npz`` file; dated as no day, so that equal arrays are equal bytes."""
    arrays = arrays | {f"version/{name}": np.array(text) for name, text in VERSIONS.items()}
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as file:
        for name, array in sorted(arrays.items()):
            content = io.BytesIO()
            np.lib.format.write_array(content, np.asarray(array), allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy")
            entry.compress_type = zipfile.ZIP_DEFLATED
            file.writestr(entry, content.getvalue())
    return held.getvalue()


def _write(path: Path, content: bytes) -> None:
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_bytes(content)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    print(f"{path}: {len(content):,} bytes")


if __name__ == "__main__":
    main()
