from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

from keras_affect import __version__
from keras_affect.weights.storage import (
    class_names_in,
    load_weights,
    save_weights_float16,
    variables_by_key,
)


def plain(classes: int = 3, seed: int = 0, width: int = 6, heads: int = 1) -> Any:
    keras.utils.set_random_seed(seed)
    image = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(width, 3, name="stem")(image)
    x = keras.layers.BatchNormalization(name="norm")(x)
    x = keras.layers.Dropout(0.5, name="dropout")(keras.layers.Flatten()(x))
    outputs = [keras.layers.Dense(classes, name="emotion")(x)]
    if heads == 2:
        outputs.append(keras.layers.Dense(2, name="valence_arousal")(x))
    model = keras.Model(image, outputs if heads == 2 else outputs[0])
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        if "moving_variance" in variable.path:
            # Smaller than half precision can hold.
            variable.assign(rng.uniform(1e-9, 2e-9, variable.shape))
        elif "moving_mean" in variable.path:
            variable.assign(rng.normal(0, 1e5, variable.shape))
    return model


class Subclass(keras.Model):
    """Its variables' paths begin with its own name, which Keras numbers anew for each."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = keras.layers.Conv2D(6, 3, name="stem")
        self.norm = keras.layers.BatchNormalization(name="norm")
        self.emotion = keras.layers.Dense(3, name="emotion")

    def call(self, x: Any) -> Any:
        return self.emotion(keras.layers.Flatten()(self.norm(self.stem(x))))


def values(model: Any) -> dict[str, np.ndarray]:
    return {
        key: keras.ops.convert_to_numpy(variable.value).copy()
        for key, variable in variables_by_key(model).items()
    }


KEYS = [
    "stem/kernel",
    "stem/bias",
    "norm/gamma",
    "norm/beta",
    "norm/moving_mean",
    "norm/moving_variance",
    "emotion/kernel",
    "emotion/bias",
]


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "some.weights.h5"
    save_weights_float16(plain(), path)
    return path


def test_keys_are_the_layers_names_whatever_the_model_is_called() -> None:
    assert list(variables_by_key(plain())) == KEYS
    for _ in range(2):
        model = Subclass()
        model(np.zeros((1, 8, 8, 1)))
        assert model.weights[0].path.startswith("subclass")
        assert sorted(variables_by_key(model)) == sorted(KEYS)


def test_keys_of_layers_within_layers() -> None:
    image = keras.Input((4, 3))
    model = keras.Model(
        image, keras.layers.TimeDistributed(keras.layers.Dense(2, name="each"), name="over")(image)
    )
    assert list(variables_by_key(model)) == ["over/each/kernel", "over/each/bias"]


def test_two_of_one_name_are_refused() -> None:
    image = keras.Input((3,))
    inner = [keras.layers.Dense(3, name="same"), keras.layers.Dense(3, name="same")]
    block = keras.layers.Pipeline(inner, name="block")
    model = keras.Model(image, block(image), name="some")
    with pytest.raises(ValueError, match="some has two variables at block/same/kernel"):
        variables_by_key(model)


def test_weights_of_the_model_itself_are_refused() -> None:
    model = plain()
    model.add_weight(shape=(1,), name="loose")
    with pytest.raises(ValueError, match="weights that belong to none of its layers"):
        variables_by_key(model)


def test_round_trip_is_within_half_precision(saved: Path) -> None:
    source, target = plain(), plain(seed=1)
    assert load_weights(target, saved) == []
    loaded = values(target)
    other = values(plain(seed=1))
    for key, value in values(source).items():
        if "moving" in key:
            np.testing.assert_array_equal(loaded[key], value)
            continue
        # Round to nearest: half a step of 2^-10, or of 2^-24 for the smallest numbers.
        error = np.abs(loaded[key] - value)
        assert (error <= np.maximum(np.abs(value) * 2.0**-11, 2.0**-25)).all()
        if key.endswith("kernel"):
            assert error.max() > 0, "stored in half precision"
            assert np.abs(other[key] - value).max() > 0.01, "another seed's weights differ"


def test_a_second_round_trip_changes_nothing(saved: Path, tmp_path: Path) -> None:
    model = plain(seed=1)
    load_weights(model, saved)
    save_weights_float16(model, tmp_path / "again.h5")
    assert (tmp_path / "again.h5").read_bytes() == saved.read_bytes()


def test_classes_are_kept_and_part_of_what_is_damaged(saved: Path, tmp_path: Path) -> None:
    assert class_names_in(saved) is None
    model = plain()
    model.class_names = ("calm", "gespannt, müde")
    path = tmp_path / "named.h5"
    save_weights_float16(model, path)
    assert class_names_in(path) == ("calm", "gespannt, müde")
    with h5py.File(path, "r+") as file:
        file.attrs["classes"] = np.bytes_(b'["calm", "tense"]')
    with pytest.raises(ValueError, match=r"named\.h5: damaged"):
        class_names_in(path)


def test_low_precision_variables(tmp_path: Path) -> None:
    keras.config.set_dtype_policy("bfloat16")
    try:
        low = plain()
    finally:
        keras.config.set_dtype_policy("float32")
    save_weights_float16(low, tmp_path / "a.h5")
    exact = plain(seed=1)
    load_weights(exact, tmp_path / "a.h5")
    kernel = np.array(keras.ops.cast(low.get_layer("stem").kernel, "float32"))
    np.testing.assert_array_equal(values(exact)["stem/kernel"], kernel)


def test_layout(saved: Path) -> None:
    found: dict[str, Any] = {}
    with h5py.File(saved) as file:
        assert file.attrs["format"] == 1
        assert file.attrs["package"].decode() == f"keras_affect {__version__}"
        file.visititems(
            lambda name, item: found.update({name: item.dtype} if hasattr(item, "dtype") else {})
        )
    assert set(found) == set(KEYS)
    assert {key for key, dtype in found.items() if dtype == np.float32} == {
        "norm/moving_mean",
        "norm/moving_variance",
    }
    assert {found[key] for key in KEYS if "moving" not in key} == {np.dtype(np.float16)}


def test_a_subclass_reads_a_functional_models_file(saved: Path) -> None:
    model = Subclass()
    model(np.zeros((1, 8, 8, 1)))
    assert load_weights(model, saved) == []
    image = np.random.default_rng(0).normal(size=(2, 8, 8, 1))
    reference = plain(seed=1)
    load_weights(reference, saved)
    np.testing.assert_allclose(model(image), reference(image), rtol=1e-5)


def test_refuses_to_overwrite(saved: Path) -> None:
    before = saved.read_bytes()
    with pytest.raises(FileExistsError, match="exists already"):
        save_weights_float16(plain(seed=1), saved)
    assert saved.read_bytes() == before
    save_weights_float16(plain(seed=1), saved, overwrite=True)
    assert saved.read_bytes() != before


@pytest.mark.parametrize("number", [7e4, np.inf, np.nan])
def test_numbers_beyond_half_precision_are_refused(number: float, tmp_path: Path) -> None:
    model = plain()
    model.get_layer("emotion").bias.assign([0, number, 0])
    with pytest.raises(ValueError, match="emotion/bias holds numbers that are not finite"):
        save_weights_float16(model, tmp_path / "a.h5")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.h5: no such file"):
        load_weights(plain(), tmp_path / "none.h5")


@pytest.mark.parametrize(
    ("change", "message", "skipped"),
    [
        ({"heads": 2}, "holds no valence_arousal/kernel", ["valence_arousal/kernel"]),
        ({"classes": 5}, "emotion/kernel has shape (216, 3); functional needs (216, 5)", None),
    ],
)
def test_what_does_not_fit_is_named_and_nothing_is_loaded(
    change: dict[str, int], message: str, skipped: Any, saved: Path
) -> None:
    model = plain(seed=1, **change)
    before = values(model)
    name = message.replace("functional", model.name)
    with pytest.raises(ValueError, match=re.escape(f"{saved}: {name}")):
        load_weights(model, saved)
    for key, value in values(model).items():
        np.testing.assert_array_equal(value, before[key])
    head = "valence_arousal" if skipped else "emotion"
    assert load_weights(model, saved, skip_mismatch=True) == [f"{head}/kernel", f"{head}/bias"]
    after = values(model)
    np.testing.assert_array_equal(after[f"{head}/kernel"], before[f"{head}/kernel"])
    reference = plain(seed=2)
    load_weights(reference, saved)
    np.testing.assert_array_equal(after["stem/kernel"], values(reference)["stem/kernel"])


def test_a_head_that_the_model_lacks_is_left_out(tmp_path: Path) -> None:
    save_weights_float16(plain(heads=2), tmp_path / "a.h5")
    assert load_weights(plain(seed=1), tmp_path / "a.h5") == []


def test_a_flipped_byte_anywhere_never_passes_for_other_weights(saved: Path) -> None:
    content = saved.read_bytes()
    model = plain(seed=1)
    load_weights(model, saved)
    right = values(model)
    messages = []
    places = np.random.default_rng(0).choice(len(content), 250, replace=False)
    for place in places:
        damaged = bytearray(content)
        damaged[place] ^= 0xFF
        saved.write_bytes(damaged)
        try:
            load_weights(model, saved)
        except ValueError as error:
            messages.append(str(error))
            continue
        # HDF5 pads its tables: a byte that nobody reads may differ.
        for key, value in values(model).items():
            np.testing.assert_array_equal(value, right[key])
    assert len(messages) > 50
    assert all(message.startswith(f"{saved}: ") for message in messages)


def test_a_flipped_byte_of_a_weight_is_caught(saved: Path) -> None:
    content = saved.read_bytes()
    with h5py.File(saved) as file:
        offset = file["emotion/kernel"].id.get_offset()
    saved.write_bytes(
        content[: offset + 5] + bytes([content[offset + 5] ^ 1]) + content[offset + 6 :]
    )
    with pytest.raises(ValueError, match="damaged; what it holds differs from its digest"):
        load_weights(plain(), saved)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_truncated_file_is_called_damaged(share: float, saved: Path) -> None:
    content = saved.read_bytes()
    saved.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match=r"some\.weights\.h5: damaged, or not an HDF5 file"):
        load_weights(plain(), saved)


def test_other_hdf5_files_are_not_taken(tmp_path: Path) -> None:
    plain().save_weights(tmp_path / "keras.weights.h5")
    with pytest.raises(ValueError, match=r"not weights in this package's format 1$"):
        load_weights(plain(), tmp_path / "keras.weights.h5")
    with h5py.File(tmp_path / "newer.h5", "w") as file:
        file.attrs["format"] = 2
    with pytest.raises(ValueError, match="format 1, but in format 2"):
        load_weights(plain(), tmp_path / "newer.h5")


def test_the_bytes_depend_on_the_weights_alone(saved: Path, tmp_path: Path) -> None:
    model = Subclass()
    model(np.zeros((1, 8, 8, 1)))
    for key, variable in variables_by_key(model).items():
        variable.assign(values(plain())[key])
    save_weights_float16(model, tmp_path / "other.h5")
    digests = {hashlib.sha256(path.read_bytes()).hexdigest() for path in tmp_path.glob("*.h5")}
    assert len(digests) == 1
