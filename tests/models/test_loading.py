import hashlib
import json
import subprocess
import sys

import keras
import numpy as np
import pytest

from keras_affect import models
from keras_affect.models import LightweightCNN
from keras_affect.weights import catalog
from keras_affect.weights.storage import load_weights, save_weights_float16


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """A catalog of two versions, in a folder of its own."""
    rows = []
    for version in (1, 2):
        model = LightweightCNN(weights=None)
        rng = np.random.default_rng(version)
        model.get_layer("emotion").bias.assign(rng.normal(size=8))
        path = tmp_path / f"tiny_v{version}.weights.h5"
        save_weights_float16(model, path)
        rows.append(
            catalog.Entry(
                model="LightweightCNN",
                name=f"tiny_v{version}",
                kind="keras",
                file=path.name,
                sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
                size=path.stat().st_size,
                config=model.get_config(),
                scores={},
                data="",
                licence="",
            )
        )
    monkeypatch.setattr(catalog, "FOLDER", tmp_path)
    monkeypatch.setattr(catalog, "entries", lambda: tuple(rows))
    return tmp_path


def bias_of(model):
    return np.asarray(model.get_layer("emotion").bias)


def test_name_without_version_is_the_newest(shipped):
    newest, second, first = (
        bias_of(LightweightCNN(weights=name)) for name in ("tiny", "tiny_v2", "tiny_v1")
    )
    np.testing.assert_array_equal(newest, second)
    assert not np.allclose(newest, first)
    np.testing.assert_allclose(first, np.random.default_rng(1).normal(size=8), rtol=1e-3, atol=1e-4)


def test_unknown_name_lists_what_ships(shipped):
    with pytest.raises(
        ValueError, match=r"argument `weights`.*'tiny', 'tiny_v1', 'tiny_v2'.*weights='imagenet'"
    ):
        LightweightCNN(weights="imagenet")


def test_flipped_byte_is_noticed(shipped):
    path = shipped / "tiny_v2.weights.h5"
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(ValueError, match=r"tiny_v2\.weights\.h5: damaged\. Expected SHA-256"):
        LightweightCNN(weights="tiny")
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"tiny_v2\.weights\.h5: missing"):
        LightweightCNN(weights="tiny")


def test_other_classes_keep_the_backbone_and_warn(shipped):
    with pytest.warns(UserWarning, match=r"trained for 8 classes.*stay random") as caught:
        other = LightweightCNN(weights="tiny", classes=["calm", "tense"])
    assert len(caught) == 1
    whole = LightweightCNN(weights="tiny")
    np.testing.assert_array_equal(
        np.asarray(other.get_layer("stem_conv").kernel),
        np.asarray(whole.get_layer("stem_conv").kernel),
    )
    assert np.asarray(other.get_layer("emotion").kernel).shape == (88, 2)


def test_a_head_of_other_names_is_left_out_though_it_has_as_many(shipped):
    names = [f"other_{i}" for i in range(8)]
    with pytest.warns(UserWarning, match=r"emotion/kernel, emotion/bias stay random"):
        other = LightweightCNN(weights="tiny", classes=names)
    assert not bias_of(other).any()
    assert bias_of(LightweightCNN(weights="tiny")).all()


@pytest.mark.parametrize("classes", [8, 3])
def test_a_name_never_leaves_a_backbone_random(shipped, classes):
    for other in ({"width": 0.5}, {"input_shape": (48, 48, 3)}):
        with pytest.raises(ValueError, match=r"tiny_v2\.weights\.h5: stem_conv/kernel has shape"):
            LightweightCNN(weights="tiny", classes=classes, **other)


def test_features_of_a_name_that_ships(shipped):
    whole = LightweightCNN(weights="tiny")
    features = LightweightCNN(weights="tiny", classes=3, include_top=False, pooling="avg")
    images = np.random.default_rng(0).uniform(0, 255, (2, 48, 48, 1)).astype(np.float32)
    pooled = keras.Model(whole.input, whole.get_layer("pool").output)
    np.testing.assert_array_equal(np.asarray(features(images)), np.asarray(pooled(images)))


def test_path_with_other_classes_needs_leave(shipped):
    path = str(shipped / "tiny_v1.weights.h5")
    np.testing.assert_array_equal(
        bias_of(LightweightCNN(weights=path)), bias_of(LightweightCNN(weights="tiny_v1"))
    )
    with pytest.raises(ValueError, match="emotion"):
        LightweightCNN(weights=path, classes=3)
    LightweightCNN(weights=path, classes=3, skip_mismatch=True)


def test_path_with_as_many_other_classes(tmp_path):
    path = str(tmp_path / "two.weights.h5")
    two = {"width": 0.125, "classes": ["calm", "tense"]}
    source = LightweightCNN(weights=None, **two)
    source.get_layer("emotion").bias.assign([1.0, 2.0])
    save_weights_float16(source, path)
    np.testing.assert_array_equal(bias_of(LightweightCNN(weights=path, **two)), [1, 2])
    turned = two | {"classes": ["tense", "calm"]}
    with pytest.raises(
        ValueError, match=r"two\.weights\.h5: of the classes calm, tense; .*tense, c"
    ):
        LightweightCNN(weights=path, **turned)
    # The head stays as it was made, and all before it is taken.
    other = LightweightCNN(weights=path, skip_mismatch=True, **turned)
    np.testing.assert_array_equal(bias_of(other), [0, 0])
    kernels = [model.get_layer("stem_conv").kernel for model in (source, other)]
    np.testing.assert_allclose(np.asarray(kernels[0]), np.asarray(kernels[1]), rtol=1e-3, atol=1e-7)
    LightweightCNN(weights=path, width=0.125, include_top=False)


def test_load_takes_files_folders_and_names(shipped, tmp_path):
    model = LightweightCNN(weights="tiny")
    run = tmp_path / "run"
    run.mkdir()
    model.save(run / "model.keras")
    for source in (run, run / "model.keras", "tiny"):
        np.testing.assert_array_equal(bias_of(models.load(source)), bias_of(model))


def test_a_run_goes_before_a_name_and_a_folder_of_data_does_not(shipped, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = LightweightCNN(weights="tiny")
    folder = tmp_path / "tiny"
    folder.mkdir()
    np.testing.assert_array_equal(bias_of(models.load("tiny")), bias_of(model))
    with pytest.raises(FileNotFoundError, match=r"tiny: no model\.keras in it"):
        models.load(folder)
    model.get_layer("emotion").bias.assign_add(np.ones(8))
    model.save(folder / "model.keras")
    np.testing.assert_array_equal(bias_of(models.load("tiny")), bias_of(model))


def test_load_takes_the_arguments_that_a_name_was_trained_with(tmp_path, monkeypatch):
    rows = []
    for model in (
        LightweightCNN(weights=None, width=0.25, stochastic_depth=0.2),
        models.ResNet18(weights=None, width=0.125, valence_arousal=False, activation="silu"),
    ):
        path = tmp_path / f"{model.name}_own_v1.weights.h5"
        save_weights_float16(model, path)
        rows.append(
            catalog.Entry(
                model=type(model).__name__,
                name=f"{model.name}_own_v1",
                kind="keras",
                file=path.name,
                sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
                size=path.stat().st_size,
                config=json.loads(json.dumps(model.get_config())),
                scores={},
                data="",
                licence="",
            )
        )
    monkeypatch.setattr(catalog, "FOLDER", tmp_path)
    monkeypatch.setattr(catalog, "entries", lambda: tuple(rows))
    for row in rows:
        for name in (row.name, row.name.removesuffix("_v1")):
            loaded = models.load(name)
            assert type(loaded).__name__ == row.model
            assert loaded.get_config() == row.config
            load_weights(loaded, tmp_path / row.file)  # fits: same width, same heads


def made_and_loaded(make, load, path):
    """What the second of two programs prints; each a process of its own, with the path."""
    for code in (make, load):
        done = subprocess.run(
            [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_load_needs_nothing_of_the_training(tmp_path):
    """In a process that knows no schedule of ours: as `keras-affect evaluate` in the shell."""
    make = (
        "import sys, keras\n"
        "from keras_affect.models import LightweightCNN\n"
        "from keras_affect.training import OneCycle\n"
        "model = LightweightCNN(weights=None, width=0.25)\n"
        "model.compile(keras.optimizers.SGD(OneCycle(0.1, 10)), loss='mse')\n"
        "model.save(sys.argv[1])\n"
    )
    load = (
        "import sys\n"
        "from keras_affect import models\n"
        "print(type(models.load(sys.argv[1])).__name__, 'keras_affect.training' in sys.modules)"
    )
    printed = made_and_loaded(make, load, tmp_path / "m.keras")
    assert printed == ["LightweightCNN", "False"]


def test_load_knows_every_class_of_the_package(tmp_path):
    """In a process that imported `models` alone: as `keras-affect export` in the shell."""
    make = (
        "import sys, keras\n"
        "from keras_affect import augmentation, ensembles, initializers, layers, models\n"
        "x = image = keras.Input((16, 16, 1))\n"
        "for layer in (augmentation.Cutout(4), layers.FractionalMaxPooling2D(1.5),\n"
        "              keras.layers.Flatten(), layers.ScalarAffine(),\n"
        "              layers.DropConnect(keras.layers.Dense(3), name='last')):\n"
        "    x = layer(x)\n"
        "for made in (initializers.Xavier(), initializers.MSRA(), initializers.Fixup(4),\n"
        "             initializers.ZeroResidual()):\n"
        "    x = keras.layers.Dense(3, kernel_initializer=made)(x)\n"
        "ensembles.Ensemble([keras.Model(image, x)], flips=True).save(sys.argv[1])\n"
    )
    load = (
        "import sys\n"
        "from keras_affect import models\n"
        "loaded = models.load(sys.argv[1])\n"
        "print(type(loaded).__name__, type(loaded.members[0].get_layer('last')).__name__)"
    )
    printed = made_and_loaded(make, load, tmp_path / "m.keras")
    assert printed == ["Ensemble", "DropConnect"]


def test_load_says_what_is_wrong(shipped, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing\.keras: no such file"):
        models.load(tmp_path / "nothing.keras")
    with pytest.raises(FileNotFoundError, match=r"no model\.keras in it"):
        models.load(tmp_path)
    (tmp_path / "text.keras").write_text("text")
    with pytest.raises(ValueError, match=r"text\.keras: not a Keras model"):
        models.load(tmp_path / "text.keras")
    with pytest.raises(ValueError, match=r"ships 'tiny'"):
        models.load("huge")
    with pytest.raises(FileNotFoundError, match=r"model\.tflite: expected a \.keras file"):
        models.load(tmp_path / "model.tflite")
