"""That the benchmarks run, once each at the smallest size, and that their ratios are right.

No time is asserted. What only starts processes, imports and exports, is left to `make bench`.
"""

from __future__ import annotations

import statistics
import types

import keras
import pytest

from tests.benchmarks.conftest import Comparison

tensorflow_alone = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="tf.data and tf.nn are TensorFlow's"
)


class Benchmark:
    """Stands in for pytest-benchmark's fixture: its clock shows the times it is given."""

    def __init__(self, times=(1.0,)):
        self.extra_info = {}
        self.times = list(times)

    def pedantic(self, target, setup, rounds, warmup_rounds, iterations):
        assert iterations == 1
        for _ in range(warmup_rounds + rounds):
            setup()
            target()
        data = self.times[:rounds]
        self.stats = types.SimpleNamespace(stats=types.SimpleNamespace(data=data))


def test_ratios(monkeypatch):
    # The other contender takes 100 s in its warm-up, then 2, 4 and 9; ours 1, 2 and 6.
    clock = iter([0, 100, 100, 102, 102, 106, 106, 115])
    monkeypatch.setattr("tests.benchmarks.conftest.time.perf_counter", lambda: next(clock))
    results, turns = [], []
    compare = Comparison(Benchmark((1.0, 2.0, 6.0)), results, smoke=False)

    compare(
        "speed",
        lambda: turns.append("ours"),
        lambda: turns.append("other"),
        rounds=3,
        warmups=1,
        calls=2,
        ratio="speed",
        target=1.5,
    )
    (result,) = results
    assert (result.ours, result.other, result.ratio) == (1.0, 2.0, 2.0)
    assert result.target == (False, 1.5)
    assert compare.benchmark.extra_info == {"comparison": "speed", "ratio": 2.0, "smoke": False}
    assert turns == ["other", "ours"] * 4

    clock = iter([0, 2, 2, 6, 6, 15])
    compare(
        "time",
        lambda: None,
        lambda: None,
        rounds=3,
        warmups=0,
        statistic=statistics.fmean,
        target=0.9,
    )
    assert (results[1].ours, results[1].other, results[1].ratio) == (3.0, 5.0, 0.6)
    assert results[1].target == (True, 0.9)


@pytest.fixture
def compare():
    return Comparison(Benchmark(), [], smoke=True)


@tensorflow_alone
@pytest.mark.parametrize("keys", [False, True])
@pytest.mark.parametrize("augmentation", ["cutout", "mixup"])
def test_augmentation_runs(compare, augmentation, keys):
    from tests.benchmarks import bench_augmentation

    bench_augmentation.test_throughput(compare, True, augmentation, keys)
    assert len(compare.results) == 1


@tensorflow_alone
def test_fractional_pooling_runs(compare):
    from tests.benchmarks import bench_fractional_pooling

    bench_fractional_pooling.test_pooling(compare, True, "max", False, True, "plain")
    assert len(compare.results) == 1


@tensorflow_alone
def test_stochastic_depth_runs(compare):
    from tests.benchmarks import bench_stochastic_depth

    bench_stochastic_depth.test_training_step(compare, True)
    assert len(compare.results) == 1


@tensorflow_alone
def test_onednn_runs(compare):
    from tests.benchmarks import bench_onednn

    bench_onednn.test_training_step(compare, True)
    assert len(compare.results) == 1
