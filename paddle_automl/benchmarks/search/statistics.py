"""Ranks, fractions of wins and significance over the pairs of task and seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata, wilcoxon

from paddle_automl.search.learning.columns import Array

CONFIDENCE = 1.96


@dataclass(frozen=True)
class Standing:
    """The result of one controller over all pairs of task and seed.

    `rank` is its mean rank (1 is best) with the half width of a 95 % interval, `wins` the fraction of pairs in
    which it beats the reference (ties count half), `p_value` that of the two-sided Wilcoxon signed rank test
    against it, corrected by Holm 1979 over all controllers; `better` is the direction of the signed ranks.
    """

    controller: str
    rank: float
    rank_error: float
    wins: float
    p_value: float
    better: bool


def quartiles(regrets: Array) -> tuple[float, float, float]:
    """Return the lower quartile, the median and the upper quartile."""
    # An infinite regret (nothing usable was found) must not turn its neighbours into NaN.
    low, middle, high = np.percentile(np.minimum(regrets, 1e12), [25, 50, 75])
    return float(low), float(middle), float(high)


def standings(controllers: Sequence[str], regrets: Array, reference: Array) -> list[Standing]:
    """Return the standings for regrets [P, C] of P pairs and C controllers, and a reference's regrets [P]."""
    ranks = np.apply_along_axis(rankdata, 1, np.minimum(regrets, 1e12))
    p_values = [
        _signed_rank(np.minimum(regrets[:, c], 1e12), np.minimum(reference, 1e12)) for c in range(len(controllers))
    ]
    # A comparison with itself must not make the correction of the others stricter.
    asked = [c for c in range(len(controllers)) if not np.array_equal(regrets[:, c], reference)]
    corrected = dict(zip(asked, holm([p_values[c][0] for c in asked]), strict=True))
    return [
        Standing(
            name,
            float(ranks[:, c].mean()),
            float(CONFIDENCE * ranks[:, c].std(ddof=1) / np.sqrt(len(ranks))) if len(ranks) > 1 else float("nan"),
            float(((regrets[:, c] < reference) + 0.5 * (regrets[:, c] == reference)).mean()),
            corrected.get(c, 1.0),
            p_values[c][1],
        )
        for c, name in enumerate(controllers)
    ]


def _signed_rank(one: Array, other: Array) -> tuple[float, bool]:
    differences = one - other
    # Rounding noise of equal values is not a difference.
    differences[np.abs(differences) < 1e-12] = 0.0
    if not differences.any():
        return 1.0, False
    ranks = rankdata(np.abs(differences)) * np.sign(differences)
    return float(wilcoxon(differences, zero_method="wilcox").pvalue), bool(ranks.sum() < 0)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p-values corrected for several comparisons (Holm 1979)."""
    order = np.argsort(p_values, kind="stable")
    corrected = [0.0] * len(p_values)
    highest = 0.0
    for place, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - place) * p_values[int(index)]))
        corrected[int(index)] = highest
    return corrected
