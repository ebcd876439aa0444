"""Threads of linear algebra in a process that shares its cores with others."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import lru_cache

from threadpoolctl import ThreadpoolController


def one_blas_thread() -> AbstractContextManager[object]:
    """Have NumPy and SciPy compute with one thread inside the context.

    A BLAS starts a thread per core, which wait for each other by spinning. A controller's small matrices then take
    three times the processor time on two idle cores, and ten times if trials keep the cores busy (BENCHMARKS.md).
    """
    context: AbstractContextManager[object] = _loaded().limit(limits=1, user_api="blas")
    return context


@lru_cache(maxsize=1)
def _loaded() -> ThreadpoolController:
    # Finding the libraries takes longer than a cheap proposal; they are loaded before the first one.
    return ThreadpoolController()
