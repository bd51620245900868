from __future__ import annotations

import numpy as np
import pytest

keras = pytest.importorskip("keras")

from keras_affect import models  # noqa: E402
from keras_affect.models import VGG13, GoogLeNet, LightweightCNN, ResNet18  # noqa: E402
from keras_affect.training import widen  # noqa: E402
from tests.training.networks import pictures, trained  # noqa: E402


@pytest.mark.parametrize("architecture", [LightweightCNN, ResNet18])
@pytest.mark.parametrize("width", [0.375, 0.75])
def test_answers_as_the_narrow_one(architecture, width):
    narrow = trained(architecture((32, 32, 1), None, width=0.25))
    wide = architecture((32, 32, 1), None, width=width)
    assert wide.count_params() > narrow.count_params()
    before = narrow(pictures(narrow), training=False)
    widen(narrow, wide)
    after = wide(pictures(narrow), training=False)
    assert before.keys() == after.keys() == {"emotion", "valence_arousal"}
    for name, answer in before.items():
        answer = keras.ops.convert_to_numpy(answer)
        assert np.ptp(answer, axis=0).max() > 1e-3  # it tells pictures apart
        np.testing.assert_allclose(
            keras.ops.convert_to_numpy(after[name]), answer, rtol=0, atol=1e-5
        )


def test_channels_are_copies_that_training_tells_apart():
    narrow = trained(LightweightCNN((32, 32, 1), None, width=0.25, dropout=0.0))
    wide = LightweightCNN((32, 32, 1), None, width=0.5, dropout=0.0)
    widen(narrow, wide)
    kernel = keras.ops.convert_to_numpy(wide.get_layer("stage2_block1_1_conv").kernel)
    old = keras.ops.convert_to_numpy(narrow.get_layer("stage2_block1_1_conv").kernel)
    # What all copies of an input's channel add up to is what stood there, for each output.
    sums = {channel.tobytes() for channel in np.round(old.sum(2), 4).transpose(2, 0, 1)}
    assert {c.tobytes() for c in np.round(kernel.sum(2), 4).transpose(2, 0, 1)} == sums
    # The stem's 8 channels stand twice, in the same way.
    stem = keras.ops.convert_to_numpy(wide.get_layer("stem_conv").kernel)
    pairs = [
        (one, two)
        for one in range(16)
        for two in range(one)
        if np.array_equal(stem[..., one], stem[..., two])
    ]
    assert len(pairs) == 8
    wide.compile(
        keras.optimizers.SGD(0.1), {"emotion": "categorical_crossentropy", "valence_arousal": "mse"}
    )
    labels = {"emotion": np.eye(8)[[0, 1, 2]], "valence_arousal": np.zeros((3, 2))}
    wide.fit(pictures(wide), labels, verbose=0)
    stem = keras.ops.convert_to_numpy(wide.get_layer("stem_conv").kernel)
    assert all(np.abs(stem[..., one] - stem[..., two]).max() > 1e-5 for one, two in pairs)


def test_the_same_weights_each_time():
    narrow = trained(LightweightCNN((32, 32, 1), None, width=0.25))
    one, two = (LightweightCNN((32, 32, 1), None, width=0.5) for _ in range(2))
    widen(narrow, one)
    widen(narrow, two)
    for a, b in zip(one.get_weights(), two.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_into_another_dtype():
    narrow = trained(LightweightCNN((32, 32, 1), None, width=0.25))
    wide = LightweightCNN((32, 32, 1), None, width=0.5, dtype="mixed_bfloat16")
    widen(narrow, wide)
    assert wide.get_layer("stem_conv").dtype_policy.name == "mixed_bfloat16"
    assert wide.get_layer("stem_conv").kernel.dtype == "float32"


@pytest.mark.parametrize("architecture", [VGG13, GoogLeNet])
def test_refuses_channels_that_do_not_add_up(architecture):
    """Flattened or concatenated: a copy is not where its channel's share is read."""
    narrow = architecture((48, 48, 1), None, width=0.125)
    wide = architecture((48, 48, 1), None, width=0.25)
    before = wide.get_weights()
    with pytest.raises(ValueError, match=rf"a {architecture.__name__} .*otherwise in emotion"):
        widen(narrow, wide)
    for one, two in zip(before, wide.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize(
    ("other", "received"),
    [
        (lambda: LightweightCNN((32, 32, 1), None, width=0.5), r"conv.*for one of"),
        # So narrow that two stages have as many channels, and no convolution between them.
        (lambda: LightweightCNN((32, 32, 1), None, width=0.1), r"\d+ weights for \d+"),
        (lambda: ResNet18((32, 32, 1), None, width=0.25), "a ResNet18"),
        (
            lambda: LightweightCNN((32, 32, 1), None, width=0.25, stem_convolutions=2),
            "stem_convolutions 2 for 1",
        ),
        (lambda: LightweightCNN((32, 32, 1), None, width=0.25, include_top=False), "heads"),
        (lambda: LightweightCNN((32, 32, 3), None, width=0.25), "input_shape"),
        (lambda: LightweightCNN((32, 32, 1), None, 7, width=0.25), "class_names"),
        (
            lambda: LightweightCNN((32, 32, 1), None, width=0.25, valence_arousal=False),
            "valence_arousal True for False|valence_arousal False for True",
        ),
    ],
)
def test_refuses_what_is_no_narrower_network(other, received):
    wide = LightweightCNN((32, 32, 1), None, width=0.375)
    before = wide.get_weights()
    with pytest.raises(ValueError, match=rf"argument `narrow`.*LightweightCNN.*{received}"):
        widen(other(), wide)
    for one, two in zip(before, wide.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_shipped_weights():
    narrow = models.LightweightCNN(weights="ferplus_v3")
    widen(narrow, LightweightCNN(weights=None, width=1.5))
