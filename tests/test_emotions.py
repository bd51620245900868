import subprocess
import sys

import numpy as np
import pytest

from keras_affect import emotions


def test_order_is_ferplus():
    assert emotions.NAMES == (
        "neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("happy", 1),
        ("Angry", 4),
        (" sadness ", 3),
        ("SURPRISED", 2),
        ("contempt", 7),
        ("afraid", 6),
    ],
)
def test_index_takes_aliases(name, expected):
    assert emotions.index(name) == expected


def test_every_alias_leads_to_a_name():
    assert set(emotions.ALIASES.values()) <= set(emotions.NAMES)
    assert not set(emotions.ALIASES) & set(emotions.NAMES)


def test_unknown_name_says_what_is_known():
    with pytest.raises(ValueError, match=r"argument `name`\. Expected one of neutral.*'hangry'"):
        emotions.canonical("hangry")


def test_affectnet_codes():
    names = [emotions.from_affectnet(code) for code in range(11)]
    assert names == [
        "neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt",
        None, None, None,
    ]  # fmt: skip
    with pytest.raises(ValueError, match=r"0 to 10\. Received: code=11"):
        emotions.from_affectnet(11)


def test_circumplex_rows_are_the_source():
    table = emotions.CIRCUMPLEX
    assert table.shape == (8, 2)
    assert table.dtype == np.float32
    np.testing.assert_allclose(table[emotions.index("happy")], (0.81, 0.51), rtol=1e-6)
    np.testing.assert_allclose(table[emotions.index("sad")], (-0.63, -0.27), rtol=1e-6)
    np.testing.assert_allclose(table[7], (table[4] + table[5]) / 2, rtol=1e-6)
    np.testing.assert_array_equal(table[0], 0)
    with pytest.raises(ValueError, match="read-only"):
        table[0, 0] = 1


def _simulate(rgb, matrix):
    """Linear-light dichromat simulation, Viénot, Brettel and Mollon 1999 style matrices."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return np.clip(linear @ np.array(matrix).T, 0, 1)


@pytest.mark.parametrize(
    "matrix",
    [
        # Machado, Oliveira and Fernandes 2009, severity 1: protanopia, deuteranopia, tritanopia.
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
         [-0.003882, -0.048116, 1.051998]],
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
         [-0.011820, 0.042940, 0.968881]],
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
         [0.004733, 0.691367, 0.303900]],
    ],
    ids=["protanopia", "deuteranopia", "tritanopia"],
)  # fmt: skip
def test_colours_stay_apart_for_colour_blind_readers(matrix):
    assert tuple(emotions.COLORS) == emotions.NAMES
    rgb = np.array(
        [[int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)] for c in emotions.COLORS.values()]
    )
    seen = _simulate(rgb, matrix)
    apart = np.linalg.norm(seen[:, None] - seen[None], axis=-1)
    assert apart[~np.eye(8, dtype=bool)].min() > 0.08
    # The measure tells confusable colours: a red and a green of equal lightness fall together.
    pair = _simulate(np.array([[0.62, 0.33, 0.2], [0.44, 0.42, 0.2]]), matrix)
    if matrix[0][0] < 0.5:
        assert np.linalg.norm(pair[0] - pair[1]) < 0.08


@pytest.mark.parametrize(
    ("value", "source", "target", "expected"),
    [
        ([-5, 5], "five", "unit", [-1, 1]),
        ([5, 1, 9], "sam", "unit", [0, -1, 1]),
        ([-10, 5], "afew_va", "unit", [-1, 0.5]),
        ([0.5], "unit", "sam", [7]),
        ([0.5], (-1, 1), (0, 100), [75]),
    ],
)
def test_convert_scale(value, source, target, expected):
    np.testing.assert_allclose(emotions.convert_scale(value, source, target), expected)


def test_convert_scale_round_trip_and_missing():
    va = np.array([[-1, 1], [0.25, np.nan]], np.float32)
    there = emotions.convert_scale(va, "unit", "sam")
    assert there.dtype == np.float32
    np.testing.assert_allclose(emotions.convert_scale(there, "sam", "unit"), va, atol=1e-6)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (([1.5], "unit", "five"), r"argument `va`. Expected ratings in \[-1, 1\]. Received: 1.5"),
        (([0.5], "units", "five"), "argument `source`. Expected one of 'unit'.*source='units'"),
        (([0.5], "unit", (1, 1)), r"argument `target`.*target=\(1, 1\)"),
        (([0.5], "unit", (1, 2, 3)), r"argument `target`.*\(1, 2, 3\)"),
    ],
)
def test_convert_scale_errors(args, message):
    with pytest.raises(ValueError, match=message):
        emotions.convert_scale(*args)


def test_needs_numpy_alone():
    code = (
        "import sys, keras_affect.emotions;"
        "print([m for m in ('keras', 'tensorflow', 'PIL') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
