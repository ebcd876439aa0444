"""Texts as bytes one after the other, for files that hold arrays of numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def are_texts(items: np.ndarray) -> bool:
    """Return whether an array ``[N]`` holds texts as objects."""
    return items.dtype == object and items.ndim == 1 and all(type(item) is str for item in items)


def packed_texts(texts: Sequence[str] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the bytes of all texts, uint8 ``[T]``, and the number of each text's, int64 ``[N]``."""
    encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
    lengths = np.fromiter(map(len, encoded), np.int64, len(encoded))
    return np.frombuffer(b"".join(encoded), np.uint8), lengths


def unpacked_texts(content: np.ndarray, lengths: np.ndarray) -> tuple[str, ...]:
    """Return the texts of `packed_texts`."""
    raw, found, start = content.tobytes(), [], 0
    for length in lengths.tolist():
        found.append(raw[start : start + length].decode("utf-8", "surrogatepass"))
        start += length
    return tuple(found)
