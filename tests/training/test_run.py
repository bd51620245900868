import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import keras
import numpy as np
import pytest
from rich.console import Console

from keras_affect import emotions, models
from keras_affect.models import LightweightCNN
from keras_affect.training import Recipe, processor, train
from keras_affect.training.checkpoint import Checkpoint, restore
from keras_affect.training.network import compiled
from keras_affect.training.progress import ProgressBar
from keras_affect.training.run_record import digest
from tests.datasets.test_ferplus import HAPPY, SAD, write_folder

SMALL = Recipe(
    epochs=3, batch_size=16, width=0.25, dropout=0.4, labels="drawn", dtype="float32", seed=5
)
MIXED = [6, 4, 0, 0, 0, 0, 0, 0, 0, 0]


@pytest.fixture(scope="module")
def small_set(tmp_path_factory):
    root = tmp_path_factory.mktemp("ferplus")
    votes = [HAPPY, SAD, MIXED]
    write_folder(root, "train", [(i, votes[i % 3]) for i in range(50)])
    write_folder(root, "valid", [(i, votes[i % 3]) for i in range(100, 112)])
    return root


def rows_of(out):
    with (out / "log.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def arrays_of(path):
    with np.load(path) as file:
        return {name: file[name] for name in file.files}


def run(root, out, recipe=SMALL, **arguments):
    return train(recipe, root, out, console=Console(quiet=True), **arguments)


def test_folder_of_a_run(small_set, tmp_path):
    out = tmp_path / "run"
    model = run(small_set, out)
    assert {path.name for path in out.iterdir()} == {
        "recipe.json", "run.json", "log.csv", "checkpoint.npz", "model.keras", "scores.json",
        "curves.png", "confusion.png", "circumplex.png", "reliability.png", "answered.png",
    }  # fmt: skip
    assert Recipe.load(out / "recipe.json") == SMALL
    rows = rows_of(out)
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert all(float(row["loss"]) > 0 for row in rows)
    assert {"emotion_accuracy", "val_emotion_accuracy", "learning_rate"} <= set(rows[0])
    loaded = keras.saving.load_model(out / "model.keras")
    image = np.full((1, 48, 48, 1), 99.0)
    np.testing.assert_array_equal(
        np.asarray(loaded(image)["emotion"]), np.asarray(model(image)["emotion"])
    )
    scores = json.loads((out / "scores.json").read_text())
    assert scores["images"] == 12
    assert 0 <= scores["corrupted"]["mean"] <= 1
    with pytest.raises(FileExistsError, match="holds a run already"):
        run(small_set, out)


def test_model_without_valence_arousal(small_set, tmp_path):
    recipe = replace(SMALL, valence_arousal_weight=0.0, epochs=1)
    model = run(small_set, tmp_path / "run", recipe)
    assert set(model.output_names) == {"emotion"}
    assert not (tmp_path / "run" / "circumplex.png").exists()


def test_mixup_of_the_recipe_reaches_the_batches(small_set, tmp_path, monkeypatch):
    """Pictures and labels of each batch that is trained on, against the recipe's own parts."""
    seen = []

    def fit(model, batches, **arguments):
        seen.append(list(batches.take(3).as_numpy_iterator()))
        raise KeyboardInterrupt

    monkeypatch.setattr(LightweightCNN, "fit", fit)
    for name, mixup in (("plain", 0.0), ("mixed", 0.9)):
        recipe = replace(SMALL, mixup=mixup, augmentation="none")
        with pytest.raises(KeyboardInterrupt):
            run(small_set, tmp_path / name, recipe)
    plain, mixed = seen
    for (images, labels), (mixed_images, mixed_labels) in zip(plain, mixed, strict=True):
        shares = mixed_labels["emotion"]
        np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-5)
        assert set(np.unique(labels["emotion"])) == {0.0, 1.0}
        assert ((shares > 0.02) & (shares < 0.98)).any()
        assert np.abs(mixed_images - images).max() > 20
        # A mixture of what the plain run sees: no pixel leaves the batch's own range.
        assert (mixed_images.max(axis=0) <= images.max(axis=0) + 1e-3).all()
        assert (mixed_images.min(axis=0) >= images.min(axis=0) - 1e-3).all()


def test_tensorboard_logs(small_set, tmp_path, monkeypatch):
    out = tmp_path / "run"
    run(small_set, out, replace(SMALL, epochs=1), tensorboard=True)
    assert list((out / "tensorboard").rglob("events.out.tfevents.*"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match="pip install tensorboard"):
        run(small_set, tmp_path / "other", tensorboard=True)
    assert not (tmp_path / "other").exists()


def test_weight_decay_spares_normalisation(small_set, tmp_path):
    """One step at a learning rate of next to nothing but decay shrinks kernels alone."""
    model = compiled(SMALL, 10)
    for variable in model.trainable_variables:
        assert model.optimizer._use_weight_decay(variable) == (variable.ndim > 1)


def test_another_architecture():
    recipe = replace(SMALL, model="ResNet18", width=0.125, stochastic_depth=0.3)
    model = compiled(recipe, 10)
    assert type(model) is models.ResNet18
    assert (model.width, model.dropout, model.stochastic_depth) == (0.125, 0.4, 0.3)
    with pytest.raises(ValueError, match="VGG13 has no residual branches"):
        compiled(replace(recipe, model="VGG13"), 10)


def test_resume_refuses_another_recipe(small_set, tmp_path):
    (tmp_path / "run").mkdir()
    replace(SMALL, epochs=1).save(tmp_path / "run" / "recipe.json")
    with pytest.raises(ValueError, match=r"another recipe: epochs=3, was 1"):
        run(small_set, tmp_path / "run", SMALL, resume=True)
    with pytest.raises(FileNotFoundError, match=r"recipe\.json"):
        run(small_set, tmp_path / "other", SMALL, resume=True)


def test_broken_off_in_its_first_epoch(small_set, tmp_path, monkeypatch):
    """Nothing is done then: it begins anew, and the terminal has its cursor again."""
    bars = []

    def stop(bar, batch, logs=None):
        bars.append(bar)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ProgressBar, "on_train_batch_end", stop)
        with pytest.raises(KeyboardInterrupt):
            run(small_set, tmp_path / "run", SMALL)
    assert not bars[0]._bar.live.is_started
    assert not (tmp_path / "run" / "checkpoint.npz").exists()
    output = io.StringIO()
    console = Console(file=output, width=200)
    again = train(SMALL, small_set, tmp_path / "run", console=console, resume=True)
    assert "no epoch was done; from the start" in output.getvalue()
    whole = run(small_set, tmp_path / "whole", SMALL)
    for one, two in zip(again.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-5)
    assert len(json.loads((tmp_path / "run" / "run.json").read_text())["sessions"]) == 1


def test_resumed_on_other_pictures(small_set, tmp_path):
    recipe = replace(SMALL, epochs=1)
    run(small_set, tmp_path / "run", recipe)
    record = tmp_path / "run" / "run.json"
    before = json.loads(record.read_text())
    record.write_text(json.dumps(before | {"images": before["images"] - 1}))
    with pytest.raises(ValueError, match=r"run\.json: the run began with \d+ pictures an epoch"):
        run(small_set, tmp_path / "run", recipe, resume=True)


def test_start_from_another_run(small_set, tmp_path):
    source = LightweightCNN(weights=None, width=SMALL.width)
    source.save(tmp_path / "m.keras")
    path = str(tmp_path / "m.keras")
    started = compiled(replace(SMALL, start_from=path), 10)
    for one, two in zip(started.get_weights(), source.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    fresh = compiled(SMALL, 10).get_weights()
    assert not np.array_equal(fresh[0], source.get_weights()[0])
    with pytest.raises(ValueError, match=r"argument `start_from`.*m\.keras', \w") as refused:
        run(small_set, tmp_path / "run", replace(SMALL, width=0.125, start_from=path))
    assert "`narrow`" not in str(refused.value)  # an argument of another function
    turned = LightweightCNN(weights=None, width=SMALL.width, classes=emotions.NAMES[::-1])
    turned.save(tmp_path / "turned.keras")
    with pytest.raises(ValueError, match=r"`start_from`.*turned\.keras', one of .*contempt, fear"):
        compiled(replace(SMALL, start_from=str(tmp_path / "turned.keras")), 10)
    with pytest.raises(FileNotFoundError, match=r"none\.keras"):
        run(small_set, tmp_path / "run", replace(SMALL, start_from=str(tmp_path / "none.keras")))
    assert not (tmp_path / "run").exists()


def test_start_from_a_narrower_run(tmp_path):
    source = LightweightCNN(weights=None, width=SMALL.width)
    source.save(tmp_path / "m.keras")
    wide = compiled(replace(SMALL, width=0.5, start_from=str(tmp_path / "m.keras")), 10)
    assert wide.count_params() > source.count_params()
    faces = np.random.default_rng(0).uniform(0, 255, (3, 48, 48, 1))
    for name, answer in source(faces).items():
        np.testing.assert_allclose(wide(faces)[name], answer, rtol=0, atol=1e-5)


def test_start_from_a_run_with_a_shallower_stem(tmp_path):
    # Regularised otherwise than the recipe says, in a way that changes no answer.
    source = LightweightCNN(weights=None, width=SMALL.width, drop_connect=0.2)
    source.save(tmp_path / "m.keras")
    faces = np.random.default_rng(0).uniform(0, 255, (3, 48, 48, 1))
    larger = replace(SMALL, stem_convolutions=2, start_from=str(tmp_path / "m.keras"))
    for width in (SMALL.width, 0.5):  # wider too, at once
        network = compiled(replace(larger, width=width), 10)
        assert (network.stem_convolutions, network.width) == (2, width)
        for name, answer in source(faces).items():
            np.testing.assert_allclose(network(faces)[name], answer, rtol=0, atol=1e-5)
    network.save(tmp_path / "two.keras")
    with pytest.raises(ValueError, match=r"`start_from`.*two\.keras.*stem_convolutions 2 for 1"):
        compiled(replace(SMALL, width=0.5, start_from=str(tmp_path / "two.keras")), 10)


def test_a_share_of_the_weights_at_the_start(small_set, tmp_path):
    source = LightweightCNN(weights=None, width=SMALL.width)
    source.save(tmp_path / "m.keras")
    recipe = replace(SMALL, start_from=str(tmp_path / "m.keras"))
    trained = run(small_set, tmp_path / "whole", recipe)
    mixed = run(small_set, tmp_path / "mixed", replace(recipe, start_share=0.3))
    resumed = run(small_set, tmp_path / "mixed", replace(recipe, start_share=0.3), resume=True)
    ends = (model.get_weights() for model in (source, trained, mixed, resumed))
    assert json.loads((tmp_path / "mixed" / "run.json").read_text())["start"] == digest(source)
    for start, end, mean, again in zip(*ends, strict=True):
        assert np.abs(end - start).max() > 1e-4
        np.testing.assert_allclose(mean, 0.3 * start + 0.7 * end, rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(again, mean)


def test_a_share_of_pictures_with_a_cameras_losses(small_set, tmp_path):
    recipe = replace(SMALL, augmentation="camera")
    as_named, same, never = (
        run(small_set, tmp_path / name, replace(recipe, degradation_probability=share))
        for name, share in (("as_named", None), ("same", 0.5), ("never", 0.0))
    )
    for named, equal in zip(as_named.get_weights(), same.get_weights(), strict=True):
        np.testing.assert_array_equal(named, equal)
    differences = zip(as_named.get_weights(), never.get_weights(), strict=True)
    assert max(np.abs(named - other).max() for named, other in differences) > 1e-4


@pytest.mark.parametrize("width", [SMALL.width, 0.5])
@pytest.mark.parametrize("before", [False, True])
def test_start_from_a_run_with_or_without_mirror_images(width, before, tmp_path):
    source = LightweightCNN(weights=None, width=SMALL.width, mirrored=before)
    source.save(tmp_path / "m.keras")
    recipe = replace(SMALL, width=width, mirrored=not before, start_from=str(tmp_path / "m.keras"))
    network = compiled(recipe, 10)
    assert network.mirrored is not before
    expected = LightweightCNN(weights=None, width=SMALL.width, mirrored=not before)
    expected.set_weights(source.get_weights())
    faces = np.random.default_rng(0).uniform(0, 255, (3, 48, 48, 1))
    for name, answer in expected(faces).items():
        np.testing.assert_allclose(network(faces)[name], answer, rtol=0, atol=1e-5)


@pytest.mark.parametrize("width", [SMALL.width, 0.5])
@pytest.mark.parametrize(("before", "after"), [(0.0, 0.2), (0.3, 0.0), (0.3, 0.2)])
def test_start_from_a_run_of_another_stochastic_depth(width, before, after, tmp_path):
    source = LightweightCNN(weights=None, width=SMALL.width, stochastic_depth=before)
    source.save(tmp_path / "m.keras")
    start = str(tmp_path / "m.keras")
    network = compiled(replace(SMALL, width=width, stochastic_depth=after, start_from=start), 10)
    assert network.stochastic_depth == after
    faces = np.random.default_rng(0).uniform(0, 255, (3, 48, 48, 1))
    for name, answer in source(faces).items():
        np.testing.assert_allclose(network(faces)[name], answer, rtol=0, atol=1e-5)


def test_what_plots_need_is_looked_for_before_the_work(small_set, tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, "keras_affect.visualize", raising=False)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match="plots need matplotlib"):
        run(small_set, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_log_names_what_curves_show(small_set, tmp_path):
    run(small_set, tmp_path / "run", replace(SMALL, epochs=1))
    (row,) = rows_of(tmp_path / "run")
    assert "valence_arousal_concordance" in row
    assert "val_valence_arousal_concordance" in row


def command(data, out, *more):
    arguments = [
        "train", "--data", data, "--out", out, "--epochs", "4", "--batch-size", "8",
        "--width", "0.25", "--dropout", "0.4", "--labels", "drawn", "--dtype", "float32",
        "--deterministic", *more,
    ]  # fmt: skip
    return [sys.executable, "-m", "keras_affect", *map(str, arguments)]


def test_killed_run_resumes_to_the_same_weights(small_set, tmp_path):
    """Kill a training in its second epoch or later; resumed, it ends as an unbroken one."""
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    subprocess.run(command(small_set, whole), check=True, env=environment, capture_output=True)

    process = subprocess.Popen(
        command(small_set, broken),
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    checkpoint = broken / "checkpoint.npz"
    for _ in range(20_000):  # a busy machine takes minutes to its first epoch
        if checkpoint.exists() or process.poll() is not None:
            break
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    at_kill = arrays_of(checkpoint)
    assert 1 <= at_kill["epochs_done"] < 4, "killed too late to show anything"

    subprocess.run(
        [*command(small_set, broken), "--resume"], check=True, env=environment, capture_output=True
    )
    one, two = arrays_of(whole / "checkpoint.npz"), arrays_of(checkpoint)
    assert set(one) == set(two) == set(at_kill)
    for name in one:
        np.testing.assert_array_equal(one[name], two[name], err_msg=name)
    logs = [rows_of(out) for out in (whole, broken)]
    for row in [*logs[0], *logs[1]]:
        row.pop("seconds")
    assert logs[0] == logs[1]
    # What is compared does change: nearly every variable went on from where it was at the kill.
    changed = [name for name in one if not np.array_equal(one[name], at_kill[name])]
    assert len(changed) > 0.9 * len(one)


def test_checkpoint_holds_every_variable(small_set, tmp_path):
    """Also the state of dropout's seed generator, which `.keras` files leave out."""
    model = compiled(SMALL, 10)
    states = [v for v in model.variables if "seed" in v.path]
    assert len(states) == 1


def small_model():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), keras.layers.Dropout(0.5)])
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), loss="mse")
    model.optimizer.build(model.trainable_variables)
    return model


def test_checkpoint_holds_seed_states_and_slots(tmp_path):
    x, y = np.ones((8, 4)), np.ones((8, 3))
    model = small_model()
    model.fit(x, y, verbose=0, callbacks=[Checkpoint(tmp_path / "c.npz")])
    other = small_model()
    assert restore(other, tmp_path / "c.npz") == 1
    for one, two in zip(
        [*model.variables, *model.optimizer.variables],
        [*other.variables, *other.optimizer.variables],
        strict=True,
    ):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(two))
    np.testing.assert_array_equal(
        np.asarray(model(x, training=True)), np.asarray(other(x, training=True))
    )


def test_checkpoint_damaged_or_of_another_model(tmp_path):
    path = tmp_path / "c.npz"
    small_model().fit(np.ones((8, 4)), np.ones((8, 3)), verbose=0, callbacks=[Checkpoint(path)])
    with pytest.raises(FileNotFoundError, match=r"none\.npz: no checkpoint there"):
        restore(small_model(), tmp_path / "none.npz")
    bigger = keras.Sequential([keras.Input((5,)), keras.layers.Dense(3), keras.layers.Dropout(0.5)])
    bigger.compile(keras.optimizers.SGD(0.1, momentum=0.9), loss="mse")
    bigger.optimizer.build(bigger.trainable_variables)
    before = [np.asarray(v).copy() for v in bigger.variables]
    with pytest.raises(ValueError, match=r"c\.npz: a checkpoint of another model"):
        restore(bigger, path)
    for one, two in zip(before, bigger.variables, strict=True):
        np.testing.assert_array_equal(one, np.asarray(two))
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ValueError, match=r"c\.npz: damaged"):
        restore(small_model(), path)


# === The processor


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("model name : A\nflags\t\t: fpu avx512f avx512_bf16 avx512_vnni\n", True),
        ("flags : fpu amx_bf16\n", True),
        ("processor\t: 0\nFeatures\t: fp asimd bf16 i8mm\n", True),
        ("flags\t\t: fpu avx512f avx512_vnni\nbugs : bf16\n", False),
        ("Features : fp asimd\n", False),
        ("hardware : a board\n", None),
    ],
)
def test_whether_a_processor_computes_bfloat16(tmp_path, text, expected):
    path = tmp_path / "cpuinfo"
    assert processor.computes_bfloat16(path) is None
    path.write_text(text)
    assert processor.computes_bfloat16(path) is expected


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "float32"])
@pytest.mark.parametrize(("can", "gpus"), [(True, []), (False, []), (None, []), (False, ["gpu:0"])])
def test_who_trains_in_bfloat16_without_its_instructions_is_told(
    small_set, tmp_path, monkeypatch, dtype, can, gpus
):
    monkeypatch.setattr(processor, "computes_bfloat16", lambda: can)
    monkeypatch.setattr(
        keras.distribution, "list_devices", lambda kind: gpus if kind == "gpu" else ["cpu:0"]
    )

    def stop(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("keras_affect.training.run.compiled", stop)
    printed = io.StringIO()
    with pytest.raises(KeyboardInterrupt):
        train(
            replace(SMALL, dtype=dtype), small_set, tmp_path / "run", console=Console(file=printed)
        )
    said = "--dtype float32 is quicker here" in printed.getvalue()
    assert said == (can is False and not gpus and dtype == "mixed_bfloat16")
