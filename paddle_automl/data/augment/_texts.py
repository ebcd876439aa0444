"""What augmentations of texts share: the units of a text, and how many of them change."""

from __future__ import annotations

import re
from abc import abstractmethod
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from paddle_automl.core.schema import PluginConfig
from paddle_automl.data.augment.base import Augmentation
from paddle_automl.inputs.text.cleaning import CJK, chinese_pieces

_PIECES = re.compile(r"\s+|\w+|[^\w\s]")


class TextChangeConfig(PluginConfig):
    """What is changed, and how much of it."""

    unit: Literal["characters", "words"] = "characters"
    """characters, or words (of Chinese texts those of jieba, extra `text`)."""

    fraction: float = Field(default=0.1, gt=0, le=1)
    """Fraction of the units of a text that are changed, at least one."""

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
            if not pieces:
                continue
            if others is None:
                others = [piece for text in texts for piece in self.pieces(text)]
            count = max(1, round(self.config.fraction * len(pieces)))
            changed[row] = "".join(self.changed(pieces, count, others, rng))
        return changed, targets

    def pieces(self, text: str) -> list[str]:
        """Return the units of a text, which make it up."""
        if self.config.unit == "characters":
            return list(text)
        return chinese_pieces(text) if CJK.search(text) else _PIECES.findall(text)

    @abstractmethod
    def changed(self, pieces: list[str], count: int, others: list[str], rng: np.random.Generator) -> list[str]:
        """Return the units with `count` changes; `others` are the units of all texts of the batch."""


def places(pieces: list[str], count: int, rng: np.random.Generator) -> list[int]:
    """Return `count` random places of units that are not spaces, or all of them."""
    able = [place for place, piece in enumerate(pieces) if not piece.isspace()]
    return rng.permutation(able)[:count].tolist() if able else []
