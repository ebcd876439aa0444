"""Where the pixels of all images are: an array in memory (or mapped from a file), or the image files."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from paddle_automl.core.errors import DataError
from paddle_automl.core.runtime import usable_cores
from paddle_automl.inputs.image.decoding import Decoder

log = logging.getLogger(__name__)


class PixelStore(ABC):
    """Decoded pixels of images by index."""

    shape: tuple[int, int, int]

    @abstractmethod
    def take(self, indices: np.ndarray) -> np.ndarray:
        """Return a new array of the images at `indices`, ``[n, C, H, W]`` uint8."""

    def stream(self, batches: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
        """Yield the images of each batch of indices, in order."""
        for indices in batches:
            yield self.take(indices)


class ArrayStore(PixelStore):
    """All images in one uint8 array ``[N, C, H, W]``."""

    def __init__(self, images: np.ndarray) -> None:
        # The plain view of a mapped file: indexing np.memmap itself is several times slower.
        self.images = images.view(np.ndarray)
        channels, height, width = images.shape[1:]
        self.shape = (channels, height, width)

    def take(self, indices: np.ndarray) -> np.ndarray:
        """Return a new array of the images at `indices`, ``[n, C, H, W]`` uint8."""
        return self.images[indices]


class FileStore(PixelStore):
    """Images that are decoded whenever they are needed, for a pass over the data by `workers` processes."""

    def __init__(self, files: Sequence[Path], decoder: Decoder, workers: int) -> None:
        self.files = tuple(files)
        self.decoder = decoder
        self.workers = workers
        self.shape = decoder.shape

    def take(self, indices: np.ndarray) -> np.ndarray:
        """Return a new array of the images at `indices`, ``[n, C, H, W]`` uint8.

        Raises DataError when a file has become unreadable.
        """
        images = np.empty((len(indices), *self.shape), dtype=np.uint8)

        def decode(row: int) -> None:
            images[row] = self.decoder(self.files[indices[row]])

        in_threads(decode, range(len(indices)))
        return images

    def stream(self, batches: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
        """Yield the images of each batch of indices, in order, decoded ahead by worker processes."""
        if self.workers == 0 or len(batches) < 2:
            return super().stream(batches)
        # Paddle is imported where its loader is used, so that decoding alone does without.
        from paddle_automl.data.streaming import stream_files

        return stream_files(self.files, self.decoder, batches, self.workers)


def from_arrays(images: np.ndarray, decoder: Decoder) -> np.ndarray:
    """Return arrays ``[N, H, W, C]`` uint8 as ``[N, C, h, w]`` of the decoder's size and channels."""
    if images.shape[1:] == (decoder.height, decoder.width, decoder.channels):
        return np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    result = np.empty((len(images), *decoder.shape), dtype=np.uint8)

    def convert(row: int) -> None:
        pixels = images[row]
        result[row] = decoder(Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels))

    in_threads(convert, range(len(images)))
    return result


def decode_all(files: Sequence[Path], decoder: Decoder, *, keep: bool) -> tuple[np.ndarray | None, dict[int, str]]:
    """Decode all files in threads; return the pixels ``[N, C, H, W]``, and the reason for each that fails.

    Pixels of a failed file are zero. With `keep` false the files are only checked, and the pixels are None.
    """
    work = "decoding" if keep else "checking"
    log.info("%s %d image files at %d x %d", work, len(files), decoder.height, decoder.width)
    images = np.zeros((len(files), *decoder.shape), dtype=np.uint8) if keep else None
    failures: dict[int, str] = {}

    def decode(row: int) -> None:
        try:
            pixels = decoder(files[row])
        except DataError as error:
            failures[row] = str(error)
        else:
            if images is not None:
                images[row] = pixels

    in_threads(decode, range(len(files)))
    return images, dict(sorted(failures.items()))


def in_threads(function: Callable[[int], Any], rows: Iterable[int]) -> None:
    """Call `function` for each row, in as many threads as this process has cores; Pillow frees the GIL."""
    threads = usable_cores()
    if threads == 1:
        for row in rows:
            function(row)
        return
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(function, rows, chunksize=16):
            pass
