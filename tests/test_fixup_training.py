"""What the initializers are for: deep residual networks without normalisation that train."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_affect.initializers import MSRA, Fixup, ZeroResidual
from keras_affect.layers.fixup import ScalarAffine


def residual_net(blocks):
    """Basic residual blocks without normalisation, after the Fixup paper's figure 1."""
    layers = keras.layers

    def bias(x):
        return ScalarAffine(use_multiplier=False)(x)

    def convolution(name):
        return layers.Conv2D(16, 3, padding="same", use_bias=False, name=name)

    inputs = keras.Input((4, 4, 3))
    x = layers.ReLU()(bias(convolution("stem")(inputs)))
    for block in range(blocks):
        y = bias(convolution(f"first_{block}")(bias(x)))
        y = convolution(f"last_{block}")(bias(layers.ReLU()(y)))
        x = layers.ReLU()(layers.Add()([x, ScalarAffine()(y)]))
    x = bias(layers.GlobalAveragePooling2D()(x))
    outputs = layers.Dense(3, kernel_initializer=ZeroResidual())(x)
    return keras.Model(inputs, outputs)


def start(model, first, last):
    """The same network at another start: one graph serves all rules and learning rates."""
    for layer in model.layers:
        role = layer.name.split("_")[0]
        if role in ("stem", "first", "last"):
            initializer = {"stem": MSRA(seed=9), "first": first, "last": last}[role]
            layer.kernel.assign(initializer(layer.kernel.shape))
        else:
            for variable in layer.trainable_variables:
                initial = 1 if variable.name == "multiplier" else 0
                variable.assign(ops.full(variable.shape, initial, variable.dtype))


def test_fifty_blocks_without_normalisation_train_with_fixup_and_not_with_msra():
    keras.utils.set_random_seed(0)
    random = np.random.default_rng(0)
    labels = np.arange(24) % 3
    images = random.normal(0, 0.3, (24, 4, 4, 3)) + np.eye(3)[labels][:, None, None]
    images = images.astype("float32")
    model = residual_net(50)
    model.compile(
        # No momentum: its state would carry one run into the next.
        keras.optimizers.SGD(0.1),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        # XLA would compile for longer than the steps take; without it JAX compiles nothing at
        # all, and dispatches some thousand operations a step one by one.
        jit_compile=keras.backend.backend() == "jax",
    )

    def losses(learning_rate):
        """Of 20 steps, or up to NaN, from which nothing comes back."""
        model.optimizer.learning_rate = learning_rate
        seen = []
        while len(seen) < 20 and not np.isnan(seen).any():
            seen.append(float(model.train_on_batch(images, labels)))
        # A classifier of zeros starts at log(3) whatever stands before it.
        assert seen[0] == pytest.approx(np.log(3), rel=1e-4)
        return np.array(seen)

    start(model, Fixup(50), ZeroResidual())
    assert losses(0.1)[-1] < 0.3
    for learning_rate in (0.1, 1e-4):
        start(model, MSRA(), MSRA())
        msra = losses(learning_rate)
        assert not (msra < 0.99 * np.log(3)).any()
        # Not for too small a step: the first one throws it far off.
        assert not msra[1] < 1e3


def test_a_branch_that_ends_in_zeros_is_its_shortcut_and_learns():
    random = np.random.default_rng(0)
    x = random.normal(size=(6, 5)).astype("float32")
    inputs = keras.Input((5,))
    y = keras.layers.Dense(7, activation="relu", kernel_initializer=MSRA(seed=0))(inputs)
    y = keras.layers.Dense(5, kernel_initializer=ZeroResidual())(y)
    model = keras.Model(inputs, keras.layers.Add()([inputs, y]))
    np.testing.assert_array_equal(model.predict(x, verbose=0), x)
    model.compile(keras.optimizers.SGD(0.1), "mse")
    before = [ops.convert_to_numpy(v).copy() for v in model.trainable_variables]
    for step, moved in ((1, [False, False, True, True]), (2, [True, True, True, True])):
        model.train_on_batch(x, np.zeros((6, 5), "float32"))
        now = [ops.convert_to_numpy(v) for v in model.trainable_variables]
        changed = [not np.array_equal(*pair) for pair in zip(before, now, strict=True)]
        assert changed == moved, f"after step {step}"
