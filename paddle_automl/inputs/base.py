"""What an input is: the way from raw items (files, texts, rows) to the arrays that a network takes.

An input is fitted in two steps. `Input.reader` decides, before anything is read, how raw items are read (size,
channels, cleaning). `Input.fit` looks at the training items (mean and deviation, vocabulary). What comes out stands
in a bundle as `Input.fitted`, so that prediction repeats it exactly.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from paddle_automl.core.registry import Registry
from paddle_automl.core.schema import PluginConfig

Source = Any
"""One raw item before it is read: a path, bytes, a text, a Pillow image; each input says which it takes."""
Arrays = Mapping[str, np.ndarray]
"""What a network takes: the arrays ``[B, ...]`` of its inputs by name, in the order of `Input.specs`."""
Statistics = Mapping[str, Any]
"""What `Input.measure` found out about the training items; JSON-like, so that it can be cached."""
UNKNOWN_AXIS = 16
"""Length that stands for an open axis where an example is needed."""


@dataclass(frozen=True)
class TensorSpec:
    """One array that a network takes: its name, its shape without the batch axis (None: open), its dtype."""

    name: str
    shape: tuple[int | None, ...]
    dtype: str = "float32"

    def zeros(self, count: int = 1) -> np.ndarray:
        """Return zeros ``[count, *shape]``; an open axis gets a typical length."""
        return np.zeros((count, *(UNKNOWN_AXIS if size is None else size for size in self.shape)), self.dtype)


class InputConfig(PluginConfig):
    """Options of an input (``data.input``)."""


class Fitted(PluginConfig):
    """What an input needs to read and batch items as in training; ``input`` in ``bundle.yaml``."""


class Reader(ABC):
    """Reads one raw item; a frozen dataclass whose ``repr`` is the key of its results in the cache.

    Picklable, and cheap to send to another process.
    """

    version: ClassVar[int] = 1
    """Part of the cache's key; raised with any change of what is read."""

    @abstractmethod
    def __call__(self, source: Source) -> np.ndarray:
        """Return the item as it is kept in memory; raises DataError that names the source and the reason."""

    @abstractmethod
    def empty(self, count: int) -> np.ndarray:
        """Return a writable array for `count` items, zero or empty, ``[count, ...]``."""

    def convert(self, items: np.ndarray) -> np.ndarray:
        """Return items that a data set holds in memory as this reader would give them, ``[N, ...]``."""
        return items


class Input(ABC):
    """One kind of input, fitted to the data or restored from a bundle."""

    name: ClassVar[str] = ""
    Config: ClassVar[type[InputConfig]] = InputConfig
    Fitted: ClassVar[type[Fitted]] = Fitted
    word: ClassVar[str] = "item"
    """What one item is called in messages: image, text."""

    def __init__(self, fitted: Any) -> None:
        self.fitted = fitted

    # -- fitting ---------------------------------------------------------------------------------------------------
    @classmethod
    @abstractmethod
    def reader(cls, config: Any, *, sources: Sequence[Source] | None, items: np.ndarray | None) -> Reader:
        """Return how items are read; exactly one of `sources` (to read) and `items` (in memory) is given.

        Raises ConfigError or DataError where the options do not fit the items.
        """

    @classmethod
    @abstractmethod
    def measure(cls, config: Any, reader: Any, batches: Iterable[np.ndarray]) -> Statistics:
        """Return what must be known about the training items, given batch by batch as the reader gives them."""

    @classmethod
    @abstractmethod
    def fit(cls, config: Any, reader: Any, statistics: Statistics) -> Input:
        """Return the input of these options, this reader and these statistics."""

    # -- use -------------------------------------------------------------------------------------------------------
    @property
    @abstractmethod
    def specs(self) -> tuple[TensorSpec, ...]:
        """The arrays that a network takes, in the order of its arguments; the first is the main one."""

    def stated(self) -> Any:
        """Return the options with which other data are read as this input's were; None: as any data are."""
        return None

    @abstractmethod
    def read(self, source: Source) -> np.ndarray:
        """Return one raw item, as the training's reader gave it; raises DataError naming source and reason."""

    @abstractmethod
    def batch(self, items: np.ndarray) -> dict[str, np.ndarray]:
        """Return the network's arrays of raw items ``[B, ...]``: normalized, padded."""

    def shrink(self, arrays: Arrays, factor: float) -> dict[str, np.ndarray]:
        """Return a batch at `factor` (0 < factor <= 1) of its resolution, for cheap first epochs of a training.

        Raises ConfigError naming ``training.progressive.resolution`` where there is no such thing.
        """
        if factor == 1:
            return dict(arrays)
        from paddle_automl.core.errors import ConfigError

        raise ConfigError(f"training.progressive.resolution: {self.name} input has no resolution; leave it at 1")

    @abstractmethod
    def find(self, paths: Iterable[str | Path]) -> list[Source]:
        """Return the sources that words of a command line stand for: files, folders, lists, texts.

        Raises DataError where nothing is found.
        """

    @abstractmethod
    def describe(self, source: Source) -> str:
        """Return a source as a table, a log or a CSV names it."""

    @abstractmethod
    def write(self, item: np.ndarray, stem: Path) -> Path:
        """Write a raw item to a file that `read` gives back exactly; `stem` lacks the suffix; returns the file."""

    @abstractmethod
    def example(self, count: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Return `count` random items as a batch of typical values, for timing."""

    def facts(self, items: np.ndarray) -> dict[str, np.ndarray]:
        """Return statistics per item, ``[B]`` each, by name: for data checks and as a reference for drift."""
        del items
        return {}

    def same_items(self, other: Input) -> bool:
        """Return whether both take the very same arrays for the same sources."""
        return bool(self.fitted == other.fitted)


INPUTS: Registry[Input] = Registry("input", "paddle_automl.inputs", "data.input")


def restore(fitted: Any) -> Input:
    """Return the input of a validated `Fitted`, as it stands in a bundle or in a run's record."""
    return INPUTS[fitted.name](fitted)


def batched(take: Callable[[np.ndarray], np.ndarray], rows: np.ndarray, size: int = 512) -> Iterator[np.ndarray]:
    """Yield ``take(rows)`` in chunks of `size`."""
    for start in range(0, len(rows), size):
        yield take(rows[start : start + size])
