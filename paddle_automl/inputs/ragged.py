"""Rows of different lengths in one array, from which padded batches are cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Ragged:
    """Rows of different lengths: row i is ``values[offsets[i] : offsets[i + 1]]``.

    `offsets`: int64 ``[N + 1]``, rising from 0 to T. `values`: ``[T]``.
    """

    offsets: np.ndarray
    values: np.ndarray

    @classmethod
    def of(cls, rows: Sequence[np.ndarray], dtype: np.dtype | type) -> Ragged:
        """Return some rows ``[n_i]`` in one array."""
        lengths = np.fromiter((len(row) for row in rows), np.int64, len(rows))
        values = np.concatenate([np.empty(0, dtype), *rows]).astype(dtype, copy=False)
        return cls(offsets_of(lengths), values)

    @classmethod
    def joined(cls, parts: Sequence[Ragged]) -> Ragged:
        """Return the rows of all parts, one after the other."""
        if len(parts) == 1:
            return parts[0]
        lengths = np.concatenate([part.lengths for part in parts])
        return cls(offsets_of(lengths), np.concatenate([part.values for part in parts]))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> np.ndarray:
        """The length of each row, int64 ``[N]``."""
        return np.diff(self.offsets)

    def row(self, index: int) -> np.ndarray:
        """Return one row."""
        return self.values[self.offsets[index] : self.offsets[index + 1]]

    def take(self, rows: np.ndarray) -> Ragged:
        """Return a copy of the rows at `rows`, int64 ``[n]``."""
        places, lengths = self._places(rows)
        return Ragged(offsets_of(lengths), self.values[places])

    def padded(self, rows: np.ndarray, dtype: str) -> np.ndarray:
        """Return the rows at `rows` ``[n]`` as an array ``[n, longest]``, filled with zeros at the right.

        The longest row has at least one value, so that no axis is empty.
        """
        places, lengths = self._places(rows)
        longest = max(int(lengths.max(initial=0)), 1)
        result = np.zeros((len(rows), longest), dtype)
        if len(places):
            result[np.arange(longest) < lengths[:, None]] = self.values[places]
        return result

    def _places(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return where the values of some rows are, one row after the other, and the rows' lengths."""
        starts = self.offsets[rows]
        lengths = self.offsets[rows + 1] - starts
        return spans(starts, lengths), lengths


def offsets_of(lengths: np.ndarray) -> np.ndarray:
    """Return the offsets, int64 ``[N + 1]``, of rows of these lengths."""
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def spans(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return ``start, start + 1, ...`` for each of the `starts`, as many as its length, one after the other."""
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    return np.arange(total) + np.repeat(starts - (ends - lengths), lengths)
