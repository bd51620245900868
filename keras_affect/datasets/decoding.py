"""Pictures decoded by several threads and given in their order."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

import numpy as np
import numpy.typing as npt

__all__ = ["Decodes", "in_order"]

_Picture = npt.NDArray[np.uint8]


class Decodes(Protocol):
    """Anything that decodes pictures by their number, from several threads at once."""

    def picture(self, index: int) -> _Picture:
        """Picture `index`, uint8 `(height, width, channels)`; ValueError if it is at fault."""


def in_order(
    data: Decodes, indices: Iterable[int], threads: int | None = None
) -> Iterator[tuple[int, _Picture | ValueError]]:
    """Each picture, or what is wrong with it, in the order of `indices`.

    Pillow decodes outside of Python's lock, so threads are enough. A few pictures a thread are
    decoded ahead, and no more: memory does not grow with their number.

    Args:
        data: The pictures.
        indices: Which.
        threads: How many at a time. None: one a processor, at most eight.

    Yields:
        The index, and the picture or the ValueError that decoding it raised. Anything else that
        it raises is raised here.
    """
    threads = threads or min(8, os.cpu_count() or 1)
    waiting: deque[tuple[int, Future[_Picture]]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="decoding")
    try:
        for index in indices:
            waiting.append((index, pool.submit(data.picture, index)))
            if len(waiting) > 4 * threads:
                yield _result(*waiting.popleft())
        while waiting:
            yield _result(*waiting.popleft())
    finally:
        # Also where the caller stops early: what was begun is finished, the rest is dropped.
        pool.shutdown(cancel_futures=True)


def _result(index: int, decoding: Future[_Picture]) -> tuple[int, _Picture | ValueError]:
    try:
        return index, decoding.result()
    except ValueError as error:
        return index, error
