"""Exchange of neighbouring characters or words."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from paddle_automl.data.augment._texts import TextChange, places, some_places
from paddle_automl.data.augment.base import AUGMENTATIONS


@AUGMENTATIONS.register("text_swap")
class TextSwap(TextChange):
    """Exchange random characters or words of a text with the next one."""

    def changed(self, pieces: list[str], count: int, others: list[str], rng: np.random.Generator) -> list[str]:
        """Return the units in another order."""
        result = list(pieces)
        following = dict(pairwise(places(pieces)))
        for place in some_places(pieces, count, rng):
            other = following.get(place)
            if other is not None:
                result[place], result[other] = result[other], result[place]
        return result
