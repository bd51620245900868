"""Checks of arguments, with one wording for all of them."""

from __future__ import annotations

import numbers
from typing import Any

__all__ = ["check_count", "check_flag", "check_rate", "invalid"]


def invalid(name: str, expected: str, value: object) -> ValueError:
    """The error about an argument that is not as it should be."""
    return ValueError(
        f"Invalid value for argument `{name}`. Expected {expected}. Received: {name}={value!r}"
    )


def check_rate(name: str, value: Any) -> float:
    """The probability in [0, 1) that an argument holds, as a float.

    Raises:
        ValueError: If it isn't one. True and False are no numbers here.
    """
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not is_number or not 0 <= value < 1:  # false of NaN too
        raise invalid(name, "a float in [0, 1)", value)
    return float(value)


def check_count(name: str, value: Any) -> int:
    """The integer of 1 or more that an argument holds.

    Raises:
        ValueError: If it isn't one.
    """
    is_number = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not is_number or value < 1:
        raise invalid(name, "an integer of 1 or more", value)
    return int(value)


def check_flag(name: str, value: Any) -> bool:
    """The bool that an argument holds.

    Raises:
        ValueError: If it is anything else, 0 and 1 included.
    """
    if not isinstance(value, bool):
        raise invalid(name, "True or False", value)
    return value
