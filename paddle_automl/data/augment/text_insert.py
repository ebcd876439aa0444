"""Insertion of characters or words."""

from __future__ import annotations

import numpy as np

from paddle_automl.data.augment._texts import TextChange
from paddle_automl.data.augment.base import AUGMENTATIONS


@AUGMENTATIONS.register("text_insert")
class TextInsert(TextChange):
    """Insert characters or words of the batch's texts at random places of a text."""

    def changed(self, pieces: list[str], count: int, others: list[str], rng: np.random.Generator) -> list[str]:
        """Return the units with further ones among them."""
        result = list(pieces)
        for _ in range(count):
            result.insert(int(rng.integers(len(result) + 1)), others[int(rng.integers(len(others)))])
        return result
