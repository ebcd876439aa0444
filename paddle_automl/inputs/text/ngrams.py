"""N-grams of characters and words as numbers: found, counted and weighted for many texts at once.

An n-gram is known by 64 bits of a polynomial hash of its symbols: with a vocabulary of 200,000 an unknown n-gram is
taken for one of them with a probability of 1e-14. All steps are array operations, so that a title takes 0.1 ms
alone and a few microseconds among others.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from paddle_automl.inputs.ragged import Ragged, offsets_of, spans
from paddle_automl.inputs.text.options import Block

_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_COMPACT = 1 << 23
"""Numbers of n-grams that are held before equal ones are added up."""
Words = Callable[[str], Sequence[str]]
"""Splits a text into words."""


@dataclass(frozen=True)
class Symbols:
    """The symbols of some texts, characters or words, as uint64 ``[T]``, in segments that no n-gram crosses.

    `lengths`: symbols of each segment. `rows`: the text of each segment, rising. `words`: the words themselves, for
    symbols that are words.
    """

    values: np.ndarray
    lengths: np.ndarray
    rows: np.ndarray
    words: tuple[str, ...] = ()

    def text(self, start: int, length: int) -> str:
        """Return the n-gram of `length` symbols from `start`."""
        if self.words:
            return " ".join(self.words[start : start + length])
        return "".join(map(chr, self.values[start : start + length].tolist()))


def symbols_of(texts: Sequence[str], unit: str, words: Words) -> Symbols:
    """Return the symbols of normalized texts for a unit of n-grams."""
    if unit == "characters":
        values, lengths = code_points(texts)
        return Symbols(values.astype(np.uint64), lengths, np.arange(len(texts)))
    found = [text.split() if unit == "characters_in_words" else words(text) for text in texts]
    counts = np.fromiter(map(len, found), np.int64, len(found))
    every = tuple(word for of_text in found for word in of_text)
    if unit == "words":
        return Symbols(_hashes(every), counts, np.arange(len(texts)), every)
    values, lengths = code_points([f" {word} " for word in every])
    return Symbols(values.astype(np.uint64), lengths, np.repeat(np.arange(len(texts)), counts))


def code_points(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return the code points of all texts, uint32 ``[T]``, and the number of each text's."""
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    return np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), np.uint32), lengths


def _hashes(words: Sequence[str]) -> np.ndarray:
    known: dict[str, int] = {}
    for word in words:
        if word not in known:
            encoded = word.encode("utf-8", "surrogatepass")
            known[word] = int.from_bytes(hashlib.blake2b(encoded, digest_size=8).digest(), "little")
    return np.fromiter((known[word] for word in words), np.uint64, len(words))


def windows(symbols: Symbols, shortest: int, longest: int) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Yield for each length the n-grams' length, their start ``[W]``, and their number, uint64 ``[W]``."""
    values, lengths = symbols.values, symbols.lengths
    left = np.repeat(np.cumsum(lengths), lengths) - np.arange(len(values))
    keys = values + np.uint64(1)
    for length in range(1, longest + 1):
        if length > 1:
            keys = keys[: max(len(values) - length + 1, 0)] * _FACTOR + values[length - 1 :] + np.uint64(1)
        if length >= shortest:
            starts = np.flatnonzero(left[: len(keys)] >= length)
            yield length, starts, keys[starts]


class Counter:
    """Counts in how many texts each n-gram of a block occurs."""

    def __init__(self, block: Block) -> None:
        self.block = block
        self._symbols: list[Symbols] = []
        self._found: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self._total = self._held = 0

    def add(self, symbols: Symbols) -> None:
        """Count the n-grams of some further texts."""
        rows_of = np.repeat(symbols.rows, symbols.lengths)
        for length, starts, keys in windows(symbols, *self.block.lengths):
            unique, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
            # In each text once.
            pairs = np.unique(rows_of[starts] * len(unique) + inverse.reshape(-1))
            counts = np.bincount(pairs % max(len(unique), 1), minlength=len(unique))
            places = (starts[first] + self._total) * 64 + length
            self._found.append((unique, counts, places))
            self._held += len(unique)
        self._symbols.append(_light(symbols))
        self._total += len(symbols.values)
        if self._held > _COMPACT:
            self._compact()

    def _compact(self) -> None:
        keys, counts, places = (np.concatenate(columns) for columns in zip(*self._found, strict=True))
        unique, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
        summed = np.bincount(inverse.reshape(-1), weights=counts, minlength=len(unique)).astype(np.int64)
        self._found, self._held = [(unique, summed, places[first])], 0

    def most(self, limit: int) -> tuple[list[str], list[int]]:
        """Return the texts and counts of the most frequent n-grams, at most `limit`, sorted by text.

        Those that are rarer than the block's least count are left out; of equally frequent ones some are taken.
        """
        if not self._found:
            return [], []
        self._compact()
        keys, counts, places = self._found[0]
        wanted = np.flatnonzero(counts >= self.block.min_count)
        wanted = wanted[np.lexsort((keys[wanted], -counts[wanted]))][:limit]
        ends = np.cumsum([len(symbols.values) for symbols in self._symbols])
        parts = np.searchsorted(ends, places[wanted] // 64, side="right")
        starts = places[wanted] // 64 - np.concatenate([[0], ends])[parts]
        texts = [
            self._symbols[part].text(start, length)
            for part, start, length in zip(
                parts.tolist(), starts.tolist(), (places[wanted] % 64).tolist(), strict=True
            )
        ]
        order = sorted(range(len(texts)), key=texts.__getitem__)
        found = counts[wanted].tolist()
        return [texts[place] for place in order], [found[place] for place in order]


def _light(symbols: Symbols) -> Symbols:
    """Return the symbols without what is not needed to show them."""
    nothing = np.empty(0, np.int64)
    values = symbols.values if symbols.words else symbols.values.astype(np.uint32)
    # A word is a new object at each place; kept as they are, those of large data take gigabytes.
    return Symbols(values, nothing, nothing, tuple(map(sys.intern, symbols.words)))


@dataclass(frozen=True)
class Vocabulary:
    """The known n-grams of a block, with the number of texts that have each of them, of `documents` texts."""

    block: Block
    texts: tuple[str, ...]
    counts: np.ndarray
    documents: int

    def __len__(self) -> int:
        return len(self.texts)

    @cached_property
    def weights(self) -> np.ndarray:
        """The inverse document frequency of each n-gram: ln((1 + N) / (1 + n)) + 1, float64 ``[V]``."""
        return np.log((1 + self.documents) / (1 + self.counts)) + 1

    @cached_property
    def index(self) -> tuple[np.ndarray, np.ndarray]:
        """The sorted numbers of the n-grams, uint64 ``[V]``, and the position of each in `texts`."""
        keys = self._keys()
        order = np.argsort(keys, kind="stable")
        return keys[order], order

    def _keys(self) -> np.ndarray:
        if self.block.unit == "words":
            parts = [text.split(" ") for text in self.texts]
            values = _hashes([word for part in parts for word in part])
            lengths = np.fromiter(map(len, parts), np.int64, len(parts))
        else:
            codes, lengths = code_points(self.texts)
            values = codes.astype(np.uint64)
        keys = np.zeros(len(lengths), np.uint64)
        starts = offsets_of(lengths)[:-1]
        for place in range(int(lengths.max(initial=0))):
            longer = np.flatnonzero(lengths > place)
            keys[longer] = keys[longer] * _FACTOR + values[starts[longer] + place] + np.uint64(1)
        return keys

    def encode(self, symbols: Symbols, texts: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the known n-grams of some texts: number of each text's ``[N]``, their places, their weights.

        Each n-gram of a text is there once; places rise within a text. Weights are (1 + ln n) times the inverse
        document frequency, scaled so that their squares sum to 1 in each text, float32.
        """
        known, order = self.index
        size = len(known)
        if not size:
            return np.zeros(texts, np.int64), np.empty(0, np.int64), np.empty(0, np.float32)
        rows_of = np.repeat(symbols.rows, symbols.lengths)
        found = []
        for _, starts, keys in windows(symbols, *self.block.lengths):
            places = np.minimum(np.searchsorted(known, keys), size - 1)
            hits = known[places] == keys
            found.append(rows_of[starts[hits]] * size + order[places[hits]])
        pairs, counts = np.unique(np.concatenate(found), return_counts=True)
        rows, places = np.divmod(pairs, size)
        weights = (1 + np.log(counts)) * self.weights[places]
        squares = np.bincount(rows, weights=weights * weights, minlength=texts)
        weights /= np.sqrt(squares)[rows]
        return np.bincount(rows, minlength=texts), places, weights.astype(np.float32)


def encode(vocabularies: Iterable[Vocabulary], texts: Sequence[str], words: Words) -> tuple[Ragged, Ragged]:
    """Return the rows of a table of n-grams for normalized texts, int32 from 1, and their weights, float32.

    The rows of the vocabularies follow each other. A text without known n-grams gets one row 0 of weight 0.
    """
    counts, columns, first = [], [], 1
    made: dict[str, Symbols] = {}
    for vocabulary in vocabularies:
        unit = vocabulary.block.unit
        if unit not in made:
            made[unit] = symbols_of(texts, unit, words)
        count, places, weights = vocabulary.encode(made[unit], len(texts))
        counts.append(count)
        columns.append((places + first, weights))
        first += len(vocabulary)
    if not counts or len(counts) == 1:
        total = counts[0] if counts else np.zeros(len(texts), np.int64)
        rows, weights = columns[0] if columns else (np.empty(0, np.int64), np.empty(0, np.float32))
    else:
        total = np.sum(counts, axis=0)
        rows, weights = _joined(counts, columns, total)
    return _never_empty(total, rows.astype(np.int32), weights)


def _joined(
    counts: Sequence[np.ndarray], columns: Sequence[tuple[np.ndarray, np.ndarray]], total: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the columns of several blocks in one: text by text, in each of them block by block."""
    rows, weights = np.empty(int(total.sum()), np.int64), np.empty(int(total.sum()), np.float32)
    starts = offsets_of(total)[:-1]
    for count, (places, values) in zip(counts, columns, strict=True):
        into = spans(starts, count)
        rows[into], weights[into] = places, values
        starts = starts + count
    return rows, weights


def _never_empty(counts: np.ndarray, rows: np.ndarray, weights: np.ndarray) -> tuple[Ragged, Ragged]:
    empty = np.flatnonzero(counts == 0)
    if len(empty):
        into = offsets_of(counts)[empty]
        rows, weights = np.insert(rows, into, 0), np.insert(weights, into, 0)
        counts = np.maximum(counts, 1)
    offsets = offsets_of(counts)
    return Ragged(offsets, rows), Ragged(offsets, weights)
