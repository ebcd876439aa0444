"""Tables of n-grams."""

from __future__ import annotations

from paddle_automl.models.tables import RowTable


class NGramTable(RowTable):
    """A vector of each n-gram, [V, D]: an item is the sum of those of its n-grams by their weights."""
