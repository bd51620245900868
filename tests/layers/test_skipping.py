"""That a branch left out is not run, and that one that runs does all it would do elsewhere."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras")

from keras import layers  # noqa: E402

from keras_affect.layers import StochasticDepth  # noqa: E402
from tests.layers.stochastic_depth_draws import (  # noqa: E402
    BACKEND,
    JIT,
    copy,
    draws,
    numbers,
    on_tensorflow,
    residuals,
)

# What each backend offers of: a graph, a graph compiled by XLA, and no graph.
MODES = [*({False: "graph", True: "xla"}[jit] for jit in JIT if BACKEND == "tensorflow")]
MODES += [*(["xla"] if BACKEND == "jax" else []), "eager"]


def compiled(model: Any, mode: str, optimizer: Any = None) -> Any:
    optimizer = optimizer or keras.optimizers.SGD(0.1)
    model.compile(optimizer, "mse", run_eagerly=mode == "eager", jit_compile=mode == "xla")
    return model


def branched(rate: float, seed: int = 3, *more: Any) -> tuple[Any, Any]:
    """A model of one block, and the block."""
    branch = keras.Sequential(
        [
            layers.Conv2D(4, 3, padding="same"),
            layers.BatchNormalization(momentum=0.5),
            layers.Dropout(0.4, seed=11),
            *more,
        ]
    )
    inputs = keras.Input((5, 5, 4))
    block = StochasticDepth(rate, mode="batch", branch=branch, seed=seed)
    x = layers.GlobalAveragePooling2D()(block(inputs))
    return keras.Model(inputs, layers.Dense(2, name="head", dtype="float32")(x)), block


def state(layer: Any) -> list[np.ndarray]:
    return [numbers(variable.value) for variable in layer.variables]


class Counted(layers.Layer):
    """The identity, which counts how often it is run forward and backward."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.counts = {"forward": 0, "backward": 0}

    def count(self, direction):
        self.counts[direction] += 1

    def call(self, inputs, training=False):
        if not training:
            return inputs
        if BACKEND == "torch":
            self.count("forward")
            outputs = inputs * 1
            outputs.register_hook(lambda _: self.count("backward"))
            return outputs
        return self.jax(inputs) if BACKEND == "jax" else self.tensorflow(inputs)

    def jax(self, inputs):
        import jax

        def counted(direction, x):
            jax.debug.callback(lambda: self.count(direction))
            return x

        identity = jax.custom_vjp(lambda x: x)
        identity.defvjp(
            lambda x: (counted("forward", x), None), lambda _, g: (counted("backward", g),)
        )
        return identity(inputs)

    def tensorflow(self, inputs):
        import tensorflow as tf

        def counted(direction, x):
            with tf.control_dependencies([tf.py_function(lambda: self.count(direction), [], [])]):
                return tf.identity(x)

        @tf.custom_gradient
        def identity(x):
            return counted("forward", x), lambda g: counted("backward", g)

        return identity(inputs)


@pytest.mark.parametrize("mode", [m for m in MODES if (BACKEND, m) != ("tensorflow", "xla")])
def test_a_block_left_out_is_not_computed_forward_or_backward(mode):
    """Counted where it runs, not where it is traced; XLA on TensorFlow has no way to count."""
    counted = Counted()
    model, _ = branched(0.5, 3, counted)
    compiled(model, mode)
    x, y = residuals(4, 5, 5, 4), residuals(4, 2)
    keeps = draws(3, 0.5, 10)
    assert 0 < sum(keeps) < 10
    found = []
    for _ in keeps:
        model.train_on_batch(x, y)
        if BACKEND == "jax":
            import jax

            jax.effects_barrier()
        found.append(dict(counted.counts))
    expected = [{"forward": n, "backward": n} for n in np.cumsum(keeps).tolist()]
    assert found == expected


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("mode", [m for m in MODES if (BACKEND, m) != ("jax", "eager")])
def test_a_block_runs_like_any_other_or_leaves_no_trace(mode, policy):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        keras.utils.set_random_seed(1)
        model, block = branched(0.5)
        always, plain = branched(0.0)
    finally:
        keras.config.set_dtype_policy(before)
    for each in (model, always):
        compiled(each, mode)
    x, y = residuals(8, 5, 5, 4), residuals(8, 2)
    keeps = draws(3, 0.5, 8, jit_compile=mode == "xla")
    assert 2 <= sum(keeps) <= 6
    for keep in keeps:
        old = state(block.branch)
        copy(block.branch, plain.branch)
        copy(model.get_layer("head"), always.get_layer("head"))
        model.train_on_batch(x, y)
        always.train_on_batch(x, y)
        new = state(block.branch)
        # Kernel, bias, gamma, beta, moving mean and variance, and the dropout's seed.
        assert len(new) == 7
        if keep:
            tolerance = 1e-5 if policy == "float32" else 2e-2
            for found, expected in zip(new, state(plain.branch), strict=True):
                np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)
            assert not any(np.array_equal(a, b) for a, b in zip(new[4:], old[4:], strict=True))
        else:
            for found, expected in zip(new, old, strict=True):
                np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("mode", MODES)
def test_an_optimizer_sees_gradients_of_0_where_a_block_is_left_out(mode):
    """Not no gradients: Adam's momentum moves weights on, in a graph and without one."""
    x = residuals(8, 3)
    branch = layers.Dense(3, use_bias=False)
    inputs = keras.Input((3,))
    model = keras.Model(inputs, StochasticDepth(0.5, "batch", branch, seed=3)(inputs))
    # Nothing else has weights here, so on a step without the branch no weight is used at all.
    compiled(model, mode, keras.optimizers.SGD(0.1, momentum=0.5))
    keeps = draws(3, 0.5, 8, jit_compile=mode == "xla")
    assert 0 < sum(keeps) < 8
    velocity = np.zeros((3, 3))
    for keep in keeps:
        kernel = numbers(branch.kernel)
        model.train_on_batch(x, 0 * x)
        velocity = 0.5 * velocity - 0.1 * 2 / x.size * x.T @ (keep * (x + x @ kernel))
        np.testing.assert_allclose(numbers(branch.kernel), kernel + velocity, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("mode", [m for m in MODES if (BACKEND, m) != ("tensorflow", "xla")])
def test_losses_of_a_branch_count_where_it_runs(mode):
    more = layers.ActivityRegularization(l2=0.01), layers.ActivityRegularization(l1=0.02)
    model, block = branched(0.5, 3, *more)
    compiled(model, mode, keras.optimizers.SGD(0.0))
    x, y = residuals(8, 5, 5, 4), residuals(8, 2)
    keeps = draws(3, 0.5, 8, jit_compile=mode == "xla")
    head = model.get_layer("head")
    without = numbers(head(x.mean((1, 2))))
    skipped = np.mean((without - y) ** 2)
    twin, always = branched(0.0, 3, *(type(m).from_config(m.get_config()) for m in more))
    copy(block.branch, always.branch)
    copy(head, twin.get_layer("head"))
    compiled(twin, "eager", keras.optimizers.SGD(0.0))
    plain, _ = branched(0.0)
    copy(head, plain.get_layer("head"))
    for keep in keeps:
        loss = model.train_on_batch(x, y)
        # What a model returns is the mean since its last reset.
        model.reset_metrics()
        if keep:
            expected = twin.train_on_batch(x, y)
            twin.reset_metrics()
        assert float(loss) == pytest.approx(float(expected if keep else skipped), rel=1e-4)


@pytest.mark.parametrize("mode", MODES)
def test_losses_of_blocks_in_a_row_count_once_each(mode):
    inputs = keras.Input((3,))
    x = inputs
    for seed in range(2):
        branch = layers.ActivityRegularization(l1=1.0)
        x = StochasticDepth(0.5, "batch", branch, seed=seed)(x)
        x = layers.ActivityRegularization(l1=0.125)(x)
    model = keras.Model(inputs, layers.Dense(1, kernel_initializer="zeros")(x))
    compiled(model, mode, keras.optimizers.SGD(0.0))
    keeps = np.stack([draws(seed, 0.5, 6, jit_compile=mode == "xla") for seed in range(2)], 1)
    assert len({tuple(row) for row in keeps.tolist()}) > 2
    ones = np.ones((4, 3), np.float32)
    for row in keeps:
        loss = model.train_on_batch(ones, np.zeros((4, 1)))
        model.reset_metrics()
        size, expected = 3.0, 0.0
        for keep in row:
            # Of a branch that runs, and of what comes out: its input, or twice that.
            expected += keep * size
            size *= 1 + keep
            expected += 0.125 * size
        assert float(loss) == pytest.approx(expected, rel=1e-5)


@pytest.mark.skipif(BACKEND != "jax", reason="elsewhere Keras keeps losses, not their ids")
def test_losses_that_are_gone_are_not_known_by_their_ids():
    """An id is used again, and the loss that has it next would be counted twice: sometimes."""
    import jax

    branch = layers.ActivityRegularization(l1=1.0)
    block = StochasticDepth(0.5, "batch", keras.Sequential([branch]), seed=3)
    block.build((4, 3))

    @jax.jit
    def losses(state, x):
        return block.stateless_call([], state, x, return_losses=True, training=True)[2]

    state = [variable.value for variable in block.non_trainable_variables]
    assert len(losses(state, np.ones((4, 3), np.float32))) == 1
    assert not branch._loss_ids
    assert len(block._loss_ids) == 1


@pytest.mark.parametrize("mode", MODES)
def test_branches_in_branches(mode):
    inner = StochasticDepth(0.5, "batch", layers.BatchNormalization(momentum=0.5), seed=8)
    inputs = keras.Input((3,))
    outer = StochasticDepth(0.5, "batch", keras.Sequential([inner]), seed=7)
    model = compiled(keras.Model(inputs, outer(inputs)), mode)
    outer_keeps, inner_keeps = (draws(s, 0.5, 12, jit_compile=mode == "xla") for s in (7, 8))
    remaining = iter(inner_keeps)
    x = residuals(8, 3)
    moved, expected = [], []
    for keep in outer_keeps:
        old = state(inner.branch)
        model.train_on_batch(x, x)
        new = state(inner.branch)
        changed = {not np.array_equal(a, b) for a, b in zip(old, new, strict=True)}
        assert len(changed) == 1
        moved += changed
        # The inner one draws where the outer one runs.
        expected.append(bool(keep and next(remaining)))
    assert moved == expected
    assert 0 < sum(moved) < sum(outer_keeps)


class Remembers(layers.Layer):
    """Assigns a weight that mixed precision casts, in full precision."""

    def build(self, shape):
        third = keras.initializers.Constant(1 / 3)
        self.third = self.add_weight(name="third", initializer=third, trainable=False)

    def call(self, inputs, training=False):
        if training:
            self.third.assign(np.float32(1 / 3))
        return inputs


@pytest.mark.parametrize("mode", MODES)
def test_what_is_not_assigned_is_not_rounded(mode):
    inputs = keras.Input((3,))
    branch = Remembers(dtype="mixed_bfloat16")
    block = StochasticDepth(0.5, "batch", branch, seed=3, dtype="mixed_bfloat16")
    model = compiled(keras.Model(inputs, layers.Dense(1)(block(inputs))), mode)
    assert not all(draws(3, 0.5, 4, jit_compile=mode == "xla"))
    for _ in range(4):
        model.train_on_batch(residuals(4, 3), residuals(4, 1))
        assert numbers(branch.third) == np.float32(1 / 3)


@pytest.mark.parametrize("mode", [m for m in MODES if (BACKEND, m) != ("jax", "eager")])
def test_under_a_remat_scope_the_same_is_drawn_and_learned(mode):
    """Computed again for its gradient, a draw would be another one.

    With a convolution: in a graph of TensorFlow, Keras fails to compute again a layer whose
    `call` takes `training`, as that of Dense does.
    """
    recomputed = not (BACKEND == "tensorflow" and mode != "eager")

    def network(scope):
        keras.utils.set_random_seed(2)
        inputs = keras.Input((4, 3))
        branch = layers.Conv1D(3, 2, padding="same", activation="tanh")
        with keras.RematScope(scope):
            if recomputed:
                branch = layers.Conv1D(3, 2, padding="same", activation="tanh")
            block = StochasticDepth(0.5, "batch", branch, seed=3)
            alone = StochasticDepth(0.5, seed=4)
        x = block(inputs)
        x = alone([x, layers.Conv1D(3, 1)(x)])
        return compiled(keras.Model(inputs, x), mode), block

    (plain, block), (scoped, rematerialized) = network(None), network("full")
    assert rematerialized._remat_mode.mode == "full"
    copy(plain, scoped)
    keeps = draws(3, 0.5, 6, jit_compile=mode == "xla")
    assert 0 < sum(keeps) < 6
    x = residuals(8, 4, 3)
    for keep in keeps:
        old = state(block.branch)
        for model in (plain, scoped):
            model.train_on_batch(x, 0 * x)
        assert np.array_equal(old[0], numbers(block.branch.kernel)) != bool(keep)
        for first, second in zip(plain.variables, scoped.variables, strict=True):
            np.testing.assert_allclose(
                numbers(first.value), numbers(second.value), rtol=1e-5, atol=1e-6
            )


@on_tensorflow
def test_a_branch_under_a_remat_scope_is_refused_in_a_graph():
    with keras.RematScope("list_of_layers", layer_names=["recomputed"]):
        kept, recomputed = layers.Conv1D(3, 1, name="kept"), layers.Conv1D(3, 1, name="recomputed")
    x = residuals(8, 4, 3)
    for branch in (kept, recomputed):
        inputs = keras.Input((4, 3))
        block = StochasticDepth(0.5, "batch", keras.Sequential([branch], name="two"))
        model = compiled(keras.Model(inputs, block(inputs)), "graph")
        if branch is kept:
            model.train_on_batch(x, x)
            continue
        with pytest.raises(ValueError, match="RematScope") as error:
            model.train_on_batch(x, x)
        assert (
            "Invalid value for argument `branch`. Expected layers made outside of "
            "keras.RematScope, since TensorFlow can't compute a part of a conditional again, or "
            'mode="sample". Received: mode="batch", branch=<Sequential name=two, built=True>, '
            "whose layer 'recomputed' was made inside of one"
        ) in str(error.value)


@on_tensorflow
@pytest.mark.parametrize("jit_compile", JIT)
def test_a_training_loop_of_ones_own(jit_compile):
    """`tf.function` rewrites what it traces, the layer's code too, unlike `fit`."""
    import tensorflow as tf

    model, block = branched(0.5, 3, layers.ActivityRegularization(l2=0.01))
    x, y = residuals(8, 5, 5, 4), residuals(8, 2)

    @tf.function(jit_compile=jit_compile)
    def step():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((model(x, training=True) - y) ** 2) + sum(model.losses)
        gradients = tape.gradient(loss, model.trainable_variables)
        for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
            variable.assign(variable - 0.1 * gradient)
        return loss

    keeps = draws(3, 0.5, 6, jit_compile=jit_compile)
    assert 0 < sum(keeps) < 6
    for keep in keeps:
        old = state(block.branch)
        assert np.isfinite(step())
        changed = {not np.array_equal(a, b) for a, b in zip(old, state(block.branch), strict=True)}
        assert changed == {bool(keep)}
