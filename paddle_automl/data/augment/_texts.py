"""What augmentations of texts share: the units of a text, and how many of them change."""

from __future__ import annotations

import re
from abc import abstractmethod
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from paddle_automl.core.schema import PluginConfig
from paddle_automl.data.augment.base import Augmentation
from paddle_automl.inputs.text.cleaning import UNSPACED, chinese_pieces

_PIECES = re.compile(r"\s+|\w+(?:['\u2019]\w+)*|[^\w\s]")
_WORDLIKE = re.compile(r"\w\w")


class TextChangeConfig(PluginConfig):
    """What is changed, and how much of it."""

    unit: Literal["characters", "words"] = "characters"
    """characters, or words (of Chinese texts those of jieba, extra `text`)."""

    fraction: float = Field(default=0.1, gt=0, le=1)
    """Fraction of the characters or words of a text, without spaces, that are changed; at least one."""

    probability: float = Field(default=0.5, ge=0, le=1)
    """Probability that a text is changed."""


class TextChange(Augmentation):
    """Changes some characters or words of texts, as in EDA (Wei and Zou 2019, arXiv:1901.11196)."""

    stage: ClassVar[Literal["item", "batch"]] = "item"
    takes: ClassVar[frozenset[str]] = frozenset({"text"})

    class Config(TextChangeConfig):
        """What is changed, and how much of it."""

    def __init__(self, config: TextChangeConfig) -> None:
        self.config = config

    def __call__(
        self, values: np.ndarray, targets: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return changed texts, object ``[B]``."""
        changed = values.copy()
        texts = [str(text) for text in values]
        others: list[str] | None = None
        for row in np.flatnonzero(rng.random(len(texts)) < self.config.probability).tolist():
            pieces = self.pieces(texts[row])
            units = len(places(pieces))
            if not units:
                continue
            if others is None:
                others = [piece for text in texts for piece in self.pieces(text) if not piece.isspace()]
            count = max(1, round(self.config.fraction * units))
            made = self.changed(pieces, count, others, rng)
            changed[row] = "".join(made) if self.config.unit == "characters" else _spaced(made)
        return changed, targets

    def pieces(self, text: str) -> list[str]:
        """Return the units of a text and the spaces between them, which make it up."""
        if self.config.unit == "characters":
            return list(text)
        if not UNSPACED.search(text):
            return _PIECES.findall(text)
        pieces: list[str] = []
        for piece in chinese_pieces(text):
            # jieba cuts words of other languages at letters such as an accented e, and at every Korean syllable.
            if pieces and _are_one(pieces[-1], piece):
                pieces[-1] += piece
            else:
                pieces.append(piece)
        return pieces

    @abstractmethod
    def changed(self, pieces: list[str], count: int, others: list[str], rng: np.random.Generator) -> list[str]:
        """Return the units with `count` changes; `others` are the units of all texts of the batch."""


def places(pieces: list[str]) -> list[int]:
    """Return the places of units that are not spaces."""
    return [place for place, piece in enumerate(pieces) if not piece.isspace()]


def some_places(pieces: list[str], count: int, rng: np.random.Generator) -> list[int]:
    """Return `count` random places of units that are not spaces, or all of them."""
    able = places(pieces)
    return rng.permutation(able)[:count].tolist() if able else []


def _are_one(left: str, right: str) -> bool:
    """Return whether two units next to each other would be read as one word."""
    first, second = left[-1], right[0]
    return not (UNSPACED.match(first) or UNSPACED.match(second)) and bool(_WORDLIKE.match(first + second))


def _spaced(pieces: list[str]) -> str:
    """Return the text of words, with a space between two that would be read as one."""
    text = ""
    for piece in pieces:
        text += f" {piece}" if text and piece and _are_one(text, piece) else piece
    return text
