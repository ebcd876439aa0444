"""Many small pieces of work in the threads of one process."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from paddle_automl.core.runtime import usable_cores


def in_threads(function: Callable[[int], Any], rows: Iterable[int]) -> None:
    """Call `function` for each row, in as many threads as this process has cores.

    Useful for work that releases Python's global lock, as Pillow and NumPy do.
    """
    threads = usable_cores()
    if threads == 1:
        for row in rows:
            function(row)
        return
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(function, rows, chunksize=16):
            pass
