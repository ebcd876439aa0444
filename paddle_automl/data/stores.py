"""Stores of all items: an array in memory (or mapped from a file), or the sources from which they are read."""

from __future__ import annotations

import hashlib
import logging
from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from paddle_automl.core.errors import DataError
from paddle_automl.core.parallel import in_threads
from paddle_automl.data.class_names import composed
from paddle_automl.data.items import UNREADABLE, content_of
from paddle_automl.inputs.base import Reader

log = logging.getLogger(__name__)


TRIED = 64
"""Most sources that failed before which are tried again before all of them are."""


class Store(ABC):
    """Items by index, as read by the reader."""

    @abstractmethod
    def take(self, indices: np.ndarray) -> np.ndarray:
        """Return a new array of the items at `indices`, ``[n, ...]``."""

    def stream(self, batches: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
        """Yield the items of each batch of indices, in order."""
        for indices in batches:
            yield self.take(indices)


class ArrayStore(Store):
    """All items in one array ``[N, ...]``."""

    def __init__(self, items: np.ndarray) -> None:
        # A plain view of a mapped file: indexing np.memmap itself is several times slower.
        self.items = items.view(np.ndarray)

    def take(self, indices: np.ndarray) -> np.ndarray:
        """Return a new array of the items at `indices`, ``[n, ...]``."""
        return self.items[indices]


class SourceStore(Store):
    """Items that are read whenever they are needed; `workers` processes read them for a pass over the data."""

    def __init__(self, sources: Sequence[Any], reader: Reader, workers: int) -> None:
        self.sources = tuple(sources)
        self.reader = reader
        self.workers = workers

    def take(self, indices: np.ndarray) -> np.ndarray:
        """Return a new array of the items at `indices`, ``[n, ...]``.

        Raises DataError if a source has become unreadable.
        """
        items = self.reader.empty(len(indices))

        def read(row: int) -> None:
            items[row] = self.reader(self.sources[indices[row]])

        in_threads(read, range(len(indices)))
        return items

    def stream(self, batches: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
        """Yield the items of each batch of indices, in order, read ahead by worker processes."""
        if self.workers == 0 or len(batches) < 2:
            return super().stream(batches)
        # Paddle is imported where its loader is used: reading items does not need it.
        from paddle_automl.data.streaming import stream_sources

        return stream_sources(self.sources, self.reader, batches, self.workers)


@dataclass(frozen=True)
class Items:
    """Result of reading all sources: the items (None if they were only checked), failures and copies.

    `failures`: the reason by row; such a row of `items` is empty. `copies`: for the row of a duplicate, the first
    row with the same content.
    """

    items: np.ndarray | None
    failures: dict[int, str] = field(default_factory=dict)
    copies: dict[int, int] = field(default_factory=dict)
    content: np.ndarray | None = None
    """What `data.items.content_of` gives for each source, uint64 ``[N]``."""


def read_all(sources: Sequence[Any], reader: Reader, word: str, *, keep: bool) -> Items:
    """Read all sources in threads; with `keep` false they are only checked.

    `word` is the word for one item in the log.
    """
    log.info("%s %d %ss", "reading" if keep else "checking", len(sources), word)
    items = reader.empty(len(sources)) if keep else None
    failures: dict[int, str] = {}
    digests: list[bytes | None] = [None] * len(sources)
    content = np.full(len(sources), UNREADABLE, dtype=np.uint64)
    watched, noted = reader.watched()

    def read(row: int) -> None:
        try:
            item = watched(sources[row])
        except DataError as error:
            failures[row] = str(error)
        else:
            found = digests[row] = digest_of(item)
            content[row] = content_of(sources[row], found)
            if items is not None:
                items[row] = item

    in_threads(read, range(len(sources)))
    odd = noted()
    if odd:
        log.warning("%s", odd)
    return Items(items, dict(sorted(failures.items())), _first_of_each(digests), content)


def mended(known: Items, sources: Sequence[Any], reader: Reader, word: str) -> Items:
    """Return a result of `read_all` with the sources that failed then and can be read now, or `known`.

    A source may fail for a reason that is no part of it: missing permissions, a drive that was away, too little
    memory, a format that a later version of a package reads. Of many only some are tried first.
    """
    rows = np.array(list(known.failures), dtype=np.int64)
    some = rows[np.linspace(0, len(rows) - 1, TRIED).astype(np.int64)] if len(rows) > TRIED else rows
    if not any(_is_readable(sources[row], reader) for row in some):
        return known
    again = read_all([sources[row] for row in rows], reader, word, keep=True)
    assert again.items is not None
    assert again.content is not None
    assert known.content is not None
    failures = {int(rows[place]): reason for place, reason in again.failures.items()}
    content, items = known.content.copy(), None
    content[rows] = again.content
    same: list[Hashable]
    if known.items is not None:
        items = np.array(known.items)
        items[rows] = again.items
        same = [digest_of(item) for item in items]
    else:
        # What was read of the others is not kept, so copies of them are recognized by the bytes of their files.
        first = {number: row for row, number in reversed([*enumerate(known.content.tolist())])}
        numbered = enumerate(content.tolist())
        twins = [first.setdefault(number, row) if row in known.failures else row for row, number in numbered]
        same = [known.copies.get(row, row) for row in twins]
    copies = _first_of_each([None if row in failures else value for row, value in enumerate(same)])
    return Items(items, failures, copies, content)


def _is_readable(source: Any, reader: Reader) -> bool:
    try:
        reader(source)
    except DataError:
        return False
    return True


def copies_of(items: np.ndarray) -> dict[int, int]:
    """Return for the row of each duplicate the first row with the same content."""
    return _first_of_each([digest_of(item) for item in items])


def digest_of(item: Any) -> bytes:
    """Return a hash of one item's content: of an array's values, or of a text, whatever its Unicode form is."""
    if isinstance(item, np.ndarray) and item.dtype != object:
        content = repr(item.shape).encode() + np.ascontiguousarray(item).tobytes()
    elif isinstance(item, str):
        content = composed(item).encode("utf-8", "surrogatepass")
    else:
        content = repr(item).encode("utf-8", "backslashreplace")
    return hashlib.blake2b(content, digest_size=16).digest()


def _first_of_each(digests: Sequence[Hashable | None]) -> dict[int, int]:
    first: dict[Hashable, int] = {}
    copies: dict[int, int] = {}
    for row, digest in enumerate(digests):
        if digest is not None and first.setdefault(digest, row) != row:
            copies[row] = first[digest]
    return copies
