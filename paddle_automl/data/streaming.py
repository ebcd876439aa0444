"""Data larger than memory: batches read ahead by the worker processes of `paddle.io.DataLoader`."""

from __future__ import annotations

import logging
import multiprocessing
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import paddle

from paddle_automl.core.errors import DataError
from paddle_automl.inputs.base import Reader

log = logging.getLogger(__name__)


class _Batches(paddle.io.Dataset):
    """A data set whose element i is batch i: its items, or the bytes of a message if a source cannot be read."""

    def __init__(self, sources: Sequence[Any], reader: Reader, batches: Sequence[np.ndarray]) -> None:
        super().__init__()
        self.sources = sources
        self.reader = reader
        self.rows = batches

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, item: int) -> tuple[np.ndarray, np.ndarray]:
        rows = self.rows[item]
        items = self.reader.empty(len(rows))
        for position, row in enumerate(rows):
            try:
                items[position] = self.reader(self.sources[row])
            except DataError as error:
                # An exception would appear in the parent as a long traceback of two processes.
                message = str(error).encode("utf-8", "backslashreplace")
                return items, np.frombuffer(message, dtype=np.uint8)
        return items, np.empty(0, dtype=np.uint8)


def stream_sources(
    sources: Sequence[Any], reader: Reader, batches: Sequence[np.ndarray], workers: int
) -> Iterator[np.ndarray]:
    """Yield the items of each batch of indices, ``[B, ...]``, in order.

    Nothing in the workers is random, so the result is the same for any number of them. Raises DataError if a source
    has become unreadable.
    """
    if multiprocessing.current_process().daemon:
        log.warning("a daemon process may not have loader workers: items are read in the process itself")
        workers = 0
    loader = paddle.io.DataLoader(
        _Batches(sources, reader, batches),
        batch_size=None,
        places=[paddle.CPUPlace()],
        num_workers=workers,
        # Containers have little shared memory, and pipes are faster for small batches.
        use_shared_memory=False,
        use_buffer_reader=False,
    )
    with _forking():
        iterator = iter(loader)
    try:
        for items, message in iterator:
            text = np.asarray(message).tobytes()
            if text:
                raise DataError(text.decode("utf-8"))
            yield np.asarray(items)
    finally:
        # Paddle keeps its last iterator in a global variable, so one that is not exhausted would not be
        # collected; this ends its workers, and does nothing after a complete pass.
        iterator.__del__()


@contextmanager
def _forking() -> Iterator[None]:
    """Let new processes be forks for a moment.

    A process from a fork server passes its start method on, so each loader worker would import Paddle again, which
    takes seconds; these workers only read and run NumPy.
    """
    method = multiprocessing.get_start_method(allow_none=True)
    if "fork" not in multiprocessing.get_all_start_methods():
        yield
        return
    multiprocessing.set_start_method("fork", force=True)
    try:
        yield
    finally:
        multiprocessing.set_start_method(method, force=True)
