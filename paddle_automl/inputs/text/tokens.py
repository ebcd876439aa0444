"""Tokens: the characters, words or parts of words that a network reads in order."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property

import numpy as np

from paddle_automl.inputs.ragged import Ragged, offsets_of, spans
from paddle_automl.inputs.text.ngrams import Words, code_points
from paddle_automl.inputs.text.options import TokensConfig

UNKNOWN = "<unknown>"
FIRST = 2
"""Row of the first token of a vocabulary: 0 is padding, 1 is unknown."""
LARGEST_FILE = 64 << 20
"""Most bytes of a vocabulary file."""
PARTS = 4
"""Parts of a long text that ``windows`` reads."""


def cut(lengths: np.ndarray, most: int, long: str) -> tuple[np.ndarray, np.ndarray]:
    """Return what is read of texts with so many tokens, int64 ``[N]``: places among all tokens, and lengths."""
    starts = offsets_of(lengths)[:-1]
    kept = np.minimum(lengths, most)
    places = spans(starts, kept)
    if long != "head" and (lengths > most).any():
        # Steps are cut in equal parts, of which each begins where its part of the text does.
        parts = 2 if long == "head_tail" else PARTS
        inner = spans(np.zeros(len(kept), np.int64), kept)
        part = np.minimum(inner * parts // most, parts - 1)
        jump = np.repeat(lengths - kept, kept) * part // (parts - 1)
        places = places + jump
    return places, kept


class Vocabulary(ABC):
    """Known tokens; `count` rows of a table of them, padding and unknown included."""

    file: str
    """Name of its file in a bundle."""

    @property
    @abstractmethod
    def texts(self) -> list[str]:
        """The text of each row: of padding an empty one."""

    @property
    def count(self) -> int:
        """Rows of a table of the tokens."""
        return len(self.texts)

    @abstractmethod
    def encode(self, texts: Sequence[str], words: Words, most: int, long: str) -> Ragged:
        """Return the tokens of cleaned texts as rows, int32, at least one for each text and at most `most`."""

    @abstractmethod
    def content(self) -> bytes:
        """Return the content of its file."""


class Listed(Vocabulary):
    """Tokens that are characters, or words."""

    file = "tokens.txt"

    def __init__(self, kind: str, known: Sequence[str]) -> None:
        self.kind = kind
        self.known = known

    @cached_property
    def texts(self) -> list[str]:
        """The text of each row."""
        return ["", UNKNOWN, *self.known]

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {token: row for row, token in enumerate(self.known, start=FIRST)}

    @cached_property
    def _characters(self) -> tuple[np.ndarray, np.ndarray]:
        codes = np.array([ord(token) for token in self.known] or [0], np.uint32)
        order = np.argsort(codes)
        return codes[order], (order + FIRST).astype(np.int32)

    def encode(self, texts: Sequence[str], words: Words, most: int, long: str) -> Ragged:
        """Return the rows of the tokens; see the base class."""
        if self.kind == "words":
            found = [words(text) for text in texts]
            lengths = np.fromiter(map(len, found), np.int64, len(found))
            places, kept = cut(lengths, most, long)
            rows = self._rows
            every = np.fromiter((rows.get(word, 1) for of in found for word in of), np.int32, int(lengths.sum()))
            return never_empty(kept, every[places])
        codes, lengths = code_points(texts)
        places, kept = cut(lengths, most, long)
        known, rows_of = self._characters
        wanted = codes[places]
        at = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
        return never_empty(kept, np.where(known[at] == wanted, rows_of[at], 1).astype(np.int32))

    def content(self) -> bytes:
        """Return a line for each token."""
        return "".join(f"{token}\n" for token in self.known).encode("utf-8", "surrogatepass")


def never_empty(lengths: np.ndarray, values: np.ndarray) -> Ragged:
    """Return rows in which an empty text has one unknown token."""
    empty = np.flatnonzero(lengths == 0)
    if len(empty):
        values = np.insert(values, offsets_of(lengths)[empty], 1)
        lengths = np.maximum(lengths, 1)
    return Ragged(offsets_of(lengths), values)


class TokenCounter:
    """Learns the tokens of a configuration from cleaned training texts."""

    def __init__(self, config: TokensConfig, words: Words, longest: int) -> None:
        self.config = config
        self.words = words
        self.longest = longest
        self.whole = self.read = 0
        """Tokens of all texts, and those of them that are read."""
        self._counts: Counter[str] = Counter()
        self.texts: list[str] = []
        """All texts, for tokens that are parts of words."""

    def add(self, texts: Sequence[str]) -> None:
        """Count some further texts."""
        kind = self.config.kind
        if kind in ("characters", "words"):
            split: Callable[[str], Iterable[str]] = self.words if kind == "words" else list
            for text in texts:
                found = list(split(text))
                self._counts.update(set(found))
                self.note(len(found))
        elif kind != "none":
            self.texts.extend(texts)

    def note(self, length: int) -> None:
        """Count the tokens of a text."""
        self.whole += length
        self.read += min(length, self.longest)

    def most(self) -> list[str]:
        """Return characters or words, the most frequent first."""
        config = self.config
        found = [(token, count) for token, count in self._counts.items() if count >= config.min_count]
        found.sort(key=lambda item: (-item[1], item[0]))
        return [token for token, _ in found[: config.most]]
