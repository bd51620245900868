import keras
import numpy as np
import pytest

from keras_affect.training import OneCycle


def one_cycle(step, peak, total, warmup, start_factor=25.0, end_factor=10_000.0):
    """The rate in plain Python: half a cosine from the start to the peak, half one to the end."""
    last, start, end = total - 1, peak / start_factor, peak / end_factor
    top = warmup * last
    if step < top:
        return start + (peak - start) * (1 - np.cos(np.pi * step / top)) / 2
    share = min((step - top) / (last - top), 1)
    return end + (peak - end) * (1 + np.cos(np.pi * share)) / 2


@pytest.mark.parametrize(("total", "warmup"), [(100, 0.3), (7, 0.5), (1_001, 0.05)])
def test_against_plain_python(total, warmup):
    schedule = OneCycle(0.2, total, warmup)
    steps = [*range(0, total, max(1, total // 50)), total - 1, total + 10]
    ours = [float(schedule(step)) for step in steps]
    expected = [one_cycle(step, 0.2, total, warmup) for step in steps]
    np.testing.assert_allclose(ours, expected, rtol=1e-3, atol=1e-7)


def test_ends_and_peak():
    schedule = OneCycle(0.1, 101, 0.3, start_factor=10, end_factor=100)
    assert float(schedule(0)) == pytest.approx(0.01, rel=1e-5)
    assert float(schedule(30)) == pytest.approx(0.1, rel=1e-5)
    assert float(schedule(100)) == pytest.approx(0.001, rel=1e-3)
    assert float(schedule(5_000)) == pytest.approx(0.001, rel=1e-3)


def test_config_round_trip():
    schedule = OneCycle(0.1, 50, 0.2)
    optimizer = keras.optimizers.SGD(schedule)
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert again._learning_rate.get_config() == schedule.get_config()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"peak": 0}, r"argument `peak`. Expected a float above 0. Received: peak=0"),
        ({"total_steps": 1}, r"argument `total_steps`. Expected an integer of 2 or more"),
        ({"warmup": 1.0}, r"argument `warmup`. Expected a float in \(0, 1\)"),
        ({"end_factor": 0.5}, r"argument `end_factor`"),
        ({"peak": float("nan")}, r"peak=nan"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        OneCycle(**({"peak": 0.1, "total_steps": 10} | arguments))
