"""Deletion of characters or words."""

from __future__ import annotations

import numpy as np

from paddle_automl.data.augment._texts import TextChange, places, some_places
from paddle_automl.data.augment.base import AUGMENTATIONS


@AUGMENTATIONS.register("text_delete")
class TextDelete(TextChange):
    """Leave out random characters or words of a text; one always stays."""

    def changed(self, pieces: list[str], count: int, others: list[str], rng: np.random.Generator) -> list[str]:
        """Return the units that are left."""
        gone = set(some_places(pieces, min(count, len(places(pieces)) - 1), rng))
        return [piece for place, piece in enumerate(pieces) if place not in gone]
