"""What is wrong with a data set's rows and pictures: raised at once, or skipped and counted."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Literal

__all__ = ["Faults", "OnError"]

OnError = Literal["raise", "skip"]


class Faults:
    """Faults met while a data set is read.

    Args:
        on_error: "raise" stops at the first; "skip" counts them, for `report` to tell.

    Attributes:
        count: How many were met.

    Raises:
        ValueError: If `on_error` is neither.
    """

    def __init__(self, on_error: OnError) -> None:
        if on_error not in ("raise", "skip"):
            raise ValueError(
                "Invalid value for argument `on_error`. Expected 'raise' or 'skip'. "
                f"Received: on_error={on_error!r}"
            )
        self._raise = on_error == "raise"
        self.count = 0
        # One is enough: a set of half a million rows may have as many faults.
        self._first = ""

    def add(self, message: str) -> None:
        """Raise ValueError with this message, or count it."""
        if self._raise:
            raise ValueError(message)
        self._first = self._first or message
        self.count += 1

    def report(self, place: Path, total: int, stacklevel: int = 4) -> None:
        """Warn once, with the count and the first fault, if there were any."""
        if self.count:
            warnings.warn(
                f"{place}: {self.count} of {total} rows or pictures skipped; "
                f"the first: {self._first}",
                UserWarning,
                stacklevel=stacklevel,
            )
