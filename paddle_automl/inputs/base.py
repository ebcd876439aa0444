"""The interface of inputs: from raw items (files, texts, rows) to the arrays that a network takes.

An input is fitted in two steps. `Input.reader` decides how raw items are read (size, channels, cleaning).
`Input.fit` then learns from the training items (mean and deviation, vocabulary). The result, `Input.fitted`, is
stored in the bundle, so that prediction treats items in exactly the same way.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from paddle_automl.core.errors import ConfigError, DataError
from paddle_automl.core.registry import Registry
from paddle_automl.core.schema import PluginConfig
from paddle_automl.inputs.ragged import Ragged

Source = Any
"""One raw item before it is read: a path, bytes, a text, a Pillow image; each input states which it takes."""
Arrays = Mapping[str, np.ndarray]
"""What a network takes: the arrays ``[B, ...]`` of its inputs by name, in the order of `Input.specs`."""
Statistics = Mapping[str, Any]
"""Result of `Input.measure` on the training items; JSON-like, so that it can be cached."""
UNKNOWN_AXIS = 16
"""Length of an open axis in examples."""


@dataclass(frozen=True)
class TensorSpec:
    """One array that a network takes: its name, its shape without the batch axis (None: open), its dtype."""

    name: str
    shape: tuple[int | None, ...]
    dtype: str = "float32"

    def zeros(self, count: int = 1) -> np.ndarray:
        """Return zeros ``[count, *shape]``; an open axis gets a typical length."""
        return np.zeros((count, *(UNKNOWN_AXIS if size is None else size for size in self.shape)), self.dtype)


@dataclass(frozen=True)
class Media:
    """How people hand over one item to a server: as a file, or as a text that they type."""

    kind: Literal["file", "text"]
    types: tuple[str, ...]
    """Media types of an item, such as ``image/*``; the first is the main one."""
    unit: str
    """What `Input.extent` counts: pixels, characters."""
    most: int
    """Largest item in that unit that a server reads unless told otherwise."""


class InputConfig(PluginConfig):
    """Options of an input (``data.input``)."""


class Fitted(PluginConfig):
    """The state that an input needs to read and batch items as in training; ``input`` in ``bundle.yaml``."""


class Reader(ABC):
    """Reads one raw item; a frozen dataclass whose ``repr`` is the key of its results in the cache.

    Picklable, and cheap to send to another process.
    """

    version: ClassVar[int] = 1
    """Part of the cache's key; increased whenever the result of reading changes."""

    @abstractmethod
    def __call__(self, source: Source) -> np.ndarray:
        """Return the item as it is kept in memory; raises DataError with the source and the reason."""

    @abstractmethod
    def empty(self, count: int) -> np.ndarray:
        """Return a writable array for `count` items, zero or empty, ``[count, ...]``."""

    def watched(self) -> tuple[Callable[[Source], np.ndarray], Callable[[], str]]:
        """Return a function that reads as this reader does, and one that says what was odd in all that it has read.

        The second returns a sentence for a warning, or an empty text.
        """
        return self, str

    def convert(self, items: np.ndarray) -> np.ndarray:
        """Return items that a data set holds in memory in the form of this reader's results, ``[N, ...]``."""
        return items


class Input(ABC):
    """One kind of input, fitted to the data or restored from a bundle."""

    name: ClassVar[str] = ""
    Config: ClassVar[type[InputConfig]] = InputConfig
    Fitted: ClassVar[type[Fitted]] = Fitted
    version: ClassVar[int] = 1
    """Part of the cache's key; increased whenever the result of `measure` or `encode` changes."""
    packages: ClassVar[tuple[str, ...]] = ()
    """Further packages, where they are installed, whose versions affect what is read; a bundle records them."""
    word: ClassVar[str] = "item"
    """The word for one item in messages: image, text."""
    media: ClassVar[Media | None] = None
    """How people hand over one item; None: a server takes only the arrays of `specs`."""
    smaller: ClassVar[str] = ""
    """The option that makes one item smaller, and its training shorter; empty if there is none."""

    def __init__(self, fitted: Any) -> None:
        self.fitted = fitted

    # -- fitting ---------------------------------------------------------------------------------------------------
    @classmethod
    @abstractmethod
    def reader(cls, config: Any, *, sources: Sequence[Source] | None, items: np.ndarray | None) -> Reader:
        """Return the reader of items; exactly one of `sources` (to read) and `items` (in memory) is given.

        Raises ConfigError or DataError if the options do not fit the items.
        """

    @classmethod
    def reading_options(cls, config: Any) -> Any:
        """Return the options, JSON-like, that the reader's results depend on; by default all."""
        return config.model_dump(mode="json")

    @classmethod
    @abstractmethod
    def measure(cls, config: Any, reader: Any, batches: Iterable[np.ndarray]) -> Statistics:
        """Return the statistics of the training items, which are given in batches of the reader's results."""

    @classmethod
    @abstractmethod
    def fit(cls, config: Any, reader: Any, statistics: Statistics) -> Input:
        """Return the input of these options, this reader and these statistics."""

    # -- files -----------------------------------------------------------------------------------------------------
    @classmethod
    def restored(cls, fitted: Any, folder: Path | None) -> Input:
        """Return the input of a record; `folder` is what `save` was given, None if there is none.

        Raises BundleError for files that are missing or are not those of the record.
        """
        del folder
        return cls(fitted)

    def save(self, folder: Path) -> None:  # noqa: B027  most inputs have nothing to write
        """Write what was learned and is too large for a record, such as a vocabulary, into `folder`.

        `fitted` holds a hash of each file. The folder is created only if there is something to write.
        """

    # -- use -------------------------------------------------------------------------------------------------------
    def only(self, names: Sequence[str]) -> Input:
        """Return the input with some of its arrays alone: those that a network takes.

        Raises ConfigError for an array that it does not have.
        """
        if set(names) != {spec.name for spec in self.specs}:
            raise ConfigError(
                f"model.backbone: takes the arrays {', '.join(names)}, but {self.name} input has "
                f"{', '.join(spec.name for spec in self.specs)}"
            )
        return self

    def encode(self, items: np.ndarray) -> dict[str, Ragged] | None:
        """Return all arrays of `specs` for raw items ``[N, ...]``, not padded yet; None: `batch` does everything.

        For items whose arrays have one open axis, and that take longer to convert than to train on: the items of a
        data set are encoded once, and batches are cut from the result.
        """
        del items
        return None

    def lengths(self, encoded: Mapping[str, Ragged]) -> np.ndarray:
        """Return the length of each encoded item, int64 ``[N]``, by which items are batched: of its main array."""
        return encoded[self.specs[0].name].lengths

    def shortened(self, arrays: Arrays, most: int) -> dict[str, np.ndarray]:
        """Return a batch with about `most` numbers at most, where parts of long items can be left out of a step.

        Trainings alone do so: the number of their batches, and of the items in each, is planned.
        """
        del most
        return dict(arrays)

    @property
    @abstractmethod
    def specs(self) -> tuple[TensorSpec, ...]:
        """The arrays that a network takes, in the order of its arguments; the first is the main one."""

    def stated(self) -> Any:
        """Return the options with which other data are read in the same way; None: no options are needed."""
        return None

    @abstractmethod
    def read(self, source: Source) -> np.ndarray:
        """Read one raw item as in training; raises DataError with the source and the reason."""

    def rows(self, array: str) -> int | None:
        """Return the rows of the table into which the integers of an array are indices; None: there is no table."""
        del array
        return None

    def extent(self, source: Source) -> int:
        """Return the size of a source in `Media.unit`, found without reading all of it; raises DataError."""
        del source
        return 1

    @abstractmethod
    def batch(self, items: np.ndarray) -> dict[str, np.ndarray]:
        """Return the network's arrays for raw items ``[B, ...]``: normalized, padded."""

    def check(self, arrays: Arrays) -> None:
        """Raise DataError for values that a network cannot take: by default, indices outside of their table.

        `arrays` come from outside, and have the names, shapes and types of `specs`. A network would read such an
        index from somewhere else in memory.
        """
        for spec in self.specs:
            values, rows = arrays[spec.name], self.rows(spec.name)
            if rows is not None and values.size and not 0 <= values.min() <= values.max() < rows:
                got = f"{values.min()} to {values.max()}"
                raise DataError(f"arrays: '{spec.name}' must be from 0 to {rows - 1}, got {got}")

    def shrink(self, arrays: Arrays, factor: float) -> dict[str, np.ndarray]:
        """Return a batch at `factor` (0 < factor <= 1) of its resolution, for cheap first epochs of a training.

        Raises ConfigError naming ``training.progressive.resolution`` if the input has no resolution.
        """
        if factor == 1:
            return dict(arrays)
        raise ConfigError(f"training.progressive.resolution: {self.name} input has no resolution; leave it at 1")

    @abstractmethod
    def find(self, paths: Iterable[str | Path]) -> list[Source]:
        """Return the sources that arguments of a command line name: files, folders, lists, texts.

        Raises DataError if nothing is found.
        """

    @abstractmethod
    def describe(self, source: Source) -> str:
        """Return the name of a source for tables, logs and CSV."""

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

    def parts(self, arrays: Arrays) -> tuple[dict[str, np.ndarray], tuple[str, ...]] | None:
        """Return a batch for finding what parts of one item, such as its n-grams, say; None: it has no parts.

        `arrays` are those of the item, ``[1, ...]``. Row 0 of the batch is the item without its parts, each further
        row has one of them alone; the texts name these parts.
        """
        del arrays
        return None

    def used_parts(
        self, ragged: Callable[[str], Ragged]
    ) -> tuple[dict[str, np.ndarray], tuple[str, ...], np.ndarray] | None:
        """Return the same for the parts of many items, each once, and how much of each there is in all of them.

        `ragged` gives an array of all items by name. In a row each part has the amount 1.
        """
        del ragged
        return None

    def same_items(self, other: Input) -> bool:
        """Return whether both make the same arrays from the same sources."""
        return bool(self.fitted == other.fitted)


INPUTS: Registry[Input] = Registry("input", "paddle_automl.inputs", "data.input")


def restore(fitted: Any, folder: Path | None = None) -> Input:
    """Return the input of a validated `Fitted` from a bundle or a run's record; `folder` holds its files."""
    return INPUTS[fitted.name].restored(fitted, folder)


def batched(take: Callable[[np.ndarray], np.ndarray], rows: np.ndarray, size: int = 512) -> Iterator[np.ndarray]:
    """Yield ``take(rows)`` in chunks of `size`."""
    for start in range(0, len(rows), size):
        yield take(rows[start : start + size])
