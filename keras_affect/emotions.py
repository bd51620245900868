"""The eight emotions: names, order, aliases, other data sets' codes, colours, circumplex.

One order holds everywhere in this package, that of FER+: an emotion's place in `NAMES` is its
column in votes, in labels, in a model's output and in an exported file.

Valence and arousal are in the order (valence, arousal) and in [-1, 1]; `convert_scale` changes
to and from the scales that annotated sets use.

This module needs NumPy alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "AFFECTNET_CODES",
    "ALIASES",
    "CIRCUMPLEX",
    "COLORS",
    "NAMES",
    "SCALES",
    "canonical",
    "convert_scale",
    "from_affectnet",
    "index",
    "scale_bounds",
]

#: The eight emotions in FER+'s order.
NAMES: tuple[str, ...] = (
    "neutral",
    "happiness",
    "surprise",
    "sadness",
    "anger",
    "disgust",
    "fear",
    "contempt",
)

#: Other spellings in use, each to its name in `NAMES`.
ALIASES = MappingProxyType(
    {
        "neutrality": "neutral",
        "calm": "neutral",
        "happy": "happiness",
        "joy": "happiness",
        "surprised": "surprise",
        "surprising": "surprise",
        "sad": "sadness",
        "angry": "anger",
        "disgusted": "disgust",
        "fearful": "fear",
        "afraid": "fear",
        "scared": "fear",
        "contemptuous": "contempt",
    }
)

#: AffectNet's expression codes (Mollahosseini, Hasani and Mahoor 2017, table 3) to names;
#: None for its three codes that name no emotion: 8 none, 9 uncertain, 10 no face.
AFFECTNET_CODES = MappingProxyType(
    {
        0: "neutral",
        1: "happiness",
        2: "sadness",
        3: "surprise",
        4: "fear",
        5: "disgust",
        6: "anger",
        7: "contempt",
        8: None,
        9: None,
        10: None,
    }
)

#: One colour an emotion, from the palette of Okabe and Ito (Color Universal Design, 2008),
#: whose eight colours stay apart for every common kind of colour blindness.
COLORS = MappingProxyType(
    {
        "neutral": "#000000",
        "happiness": "#E69F00",
        "surprise": "#56B4E9",
        "sadness": "#0072B2",
        "anger": "#D55E00",
        "disgust": "#009E73",
        "fear": "#CC79A7",
        "contempt": "#F0E442",
    }
)


def _circumplex() -> npt.NDArray[np.float32]:
    anger, disgust = (-0.51, 0.59), (-0.60, 0.35)
    # Contempt has no row in the source. The mean of anger and disgust is an assumption.
    contempt = tuple(np.mean([anger, disgust], axis=0))
    table = np.array(
        [
            (0.0, 0.0),  # neutral: the origin, by definition
            (0.81, 0.51),
            (0.40, 0.67),
            (-0.63, -0.27),
            anger,
            disgust,
            (-0.64, 0.60),
            contempt,
        ],
        np.float32,
    )
    table.flags.writeable = False
    return table


#: (8, 2) float32, read-only: the mean (valence, arousal) in [-1, 1] that people gave each
#: emotion's word. Russell and Mehrabian 1977, "Evidence for a three-factor theory of emotions",
#: Journal of Research in Personality 11, 273-294: happy, surprised, sad, angry, disgusted,
#: fearful. Neutral is the origin by definition; contempt, which the source does not rate, is the
#: mean of anger and disgust, an assumption of this package.
CIRCUMPLEX = _circumplex()

#: Named valence-arousal scales, as (lowest, highest).
SCALES = MappingProxyType(
    {
        "unit": (-1.0, 1.0),  # AffectNet, Aff-Wild2, and this package
        "five": (-5.0, 5.0),
        "afew_va": (-10.0, 10.0),  # AFEW-VA
        "sam": (1.0, 9.0),  # the nine figures of the Self-Assessment Manikin
    }
)


def canonical(name: str) -> str:
    """The name in `NAMES` for an emotion's name or alias, in any case.

    Raises:
        ValueError: If the name is neither in `NAMES` nor in `ALIASES`.
    """
    word = str(name).strip().lower()
    word = ALIASES.get(word, word)
    if word not in NAMES:
        raise ValueError(
            f"Invalid value for argument `name`. Expected one of {', '.join(NAMES)}, "
            f"or an alias of one ({', '.join(ALIASES)}). Received: name={name!r}"
        )
    return word


def index(name: str) -> int:
    """The place of an emotion (name or alias) in `NAMES`, from 0 to 7.

    Raises:
        ValueError: If the name is neither in `NAMES` nor in `ALIASES`.
    """
    return NAMES.index(canonical(name))


def from_affectnet(code: int) -> str | None:
    """The name for one of AffectNet's expression codes, 0 to 10.

    Returns:
        The name in `NAMES`, or None for the codes 8 (none), 9 (uncertain) and 10 (no face).

    Raises:
        ValueError: If the code is not one of the eleven.
    """
    if code not in AFFECTNET_CODES:
        raise ValueError(
            "Invalid value for argument `code`. Expected an AffectNet expression code, "
            f"0 to 10. Received: code={code!r}"
        )
    return AFFECTNET_CODES[code]


def scale_bounds(scale: str | Sequence[float], argument: str = "scale") -> tuple[float, float]:
    """The lowest and the highest rating of a scale.

    Args:
        scale: A name in `SCALES` or a pair (lowest, highest).
        argument: What the scale is called in an error.

    Raises:
        ValueError: If the scale is not known, or the pair is not of finite numbers in order.
    """
    try:
        low, high = SCALES[scale] if isinstance(scale, str) else scale
        low, high = float(low), float(high)
        if not (np.isfinite(low) and np.isfinite(high) and low < high):
            raise ValueError
    except (KeyError, TypeError, ValueError):
        raise ValueError(
            f"Invalid value for argument `{argument}`. Expected one of "
            f"{', '.join(map(repr, SCALES))} or a pair (lowest, highest). "
            f"Received: {argument}={scale!r}"
        ) from None
    return low, high


def convert_scale(
    va: npt.ArrayLike, source: str | Sequence[float], target: str | Sequence[float]
) -> npt.NDArray[Any]:
    """Valence-arousal ratings moved linearly from one scale to another.

    Args:
        va: Ratings of any shape, usually `(..., 2)`, each within the source's bounds. NaN marks
            a missing rating and stays NaN.
        source: A name in `SCALES` ("unit" is [-1, 1], "five" [-5, 5], "afew_va" [-10, 10],
            "sam" 1 to 9) or a pair (lowest, highest).
        target: Likewise.

    Returns:
        An array of the same shape; float32 stays float32, all else becomes float64.

    Raises:
        ValueError: If a scale is not known, or a rating lies outside the source's bounds.

    Example:
        >>> convert_scale([-5.0, 2.5], "five", "unit")
        array([-1. ,  0.5])
    """
    low, high = scale_bounds(source, "source")
    new_low, new_high = scale_bounds(target, "target")
    values = np.asarray(va)
    if values.dtype != np.float32:
        values = values.astype(np.float64)
    # A rating stored as float32 may miss its bound by one rounding.
    slack = 1e-6 * (high - low)
    outside = (values < low - slack) | (values > high + slack)
    if outside.any():
        raise ValueError(
            f"Invalid value for argument `va`. Expected ratings in [{low:g}, {high:g}]. "
            f"Received: {values[outside].flat[0]:g}"
        )
    share = (values - values.dtype.type(low)) / values.dtype.type(high - low)
    return values.dtype.type(new_low) + share * values.dtype.type(new_high - new_low)
