"""Large folders: batches decoded ahead by the worker processes of `paddle.io.DataLoader`."""

from __future__ import annotations

import logging
import multiprocessing
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import paddle

from paddle_automl.core.errors import DataError
from paddle_automl.inputs.image.decoding import Decoder

log = logging.getLogger(__name__)


class _Batches(paddle.io.Dataset):
    """Item i is the decoded batch i: the pixels, and the bytes of a message when a file cannot be read."""

    def __init__(self, files: Sequence[Path], decoder: Decoder, batches: Sequence[np.ndarray]) -> None:
        super().__init__()
        self.files = files
        self.decoder = decoder
        self.rows = batches

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, item: int) -> tuple[np.ndarray, np.ndarray]:
        rows = self.rows[item]
        images = np.empty((len(rows), *self.decoder.shape), dtype=np.uint8)
        for position, row in enumerate(rows):
            try:
                images[position] = self.decoder(self.files[row])
            except DataError as error:
                # An exception would reach the parent as a long traceback of two processes.
                message = str(error).encode("utf-8", "backslashreplace")
                return images, np.frombuffer(message, dtype=np.uint8)
        return images, np.empty(0, dtype=np.uint8)


def stream_files(
    files: Sequence[Path], decoder: Decoder, batches: Sequence[np.ndarray], workers: int
) -> Iterator[np.ndarray]:
    """Yield the pixels of each batch of indices, ``[B, C, H, W]`` uint8, in order.

    Nothing in the workers is random, so the result is the same for any number of them. Raises DataError when
    a file has become unreadable.
    """
    if multiprocessing.current_process().daemon:
        log.warning("a daemon process may not have loader workers: images are decoded in the process itself")
        workers = 0
    loader = paddle.io.DataLoader(
        _Batches(files, decoder, batches),
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
        for images, message in iterator:
            text = np.asarray(message).tobytes()
            if text:
                raise DataError(text.decode("utf-8"))
            yield np.asarray(images)
    finally:
        # Paddle keeps its last iterator in a global variable, so one that is left early would not be
        # collected; this ends its workers, and does nothing after a complete pass.
        iterator.__del__()


@contextmanager
def _forking() -> Iterator[None]:
    """Let new processes be forks for a moment.

    A process from a fork server hands its own start method on, and then each loader worker would import
    Paddle anew, which takes seconds; these workers only run Pillow and NumPy.
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
