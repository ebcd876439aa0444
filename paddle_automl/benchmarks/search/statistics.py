"""Ranks, fractions of wins and significance of controllers over tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata, t

from paddle_automl.search.learning.columns import Array

CONFIDENCE = 0.95
SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Standing:
    """The result of one controller over all tasks.

    `rank` is its mean rank (1 is best) with `rank_error`, the half width of a 95 % interval by Student's t, None
    for a single task with a single seed. `wins` describes the runs: the fraction of the pairs of task and seed in
    which it beats the reference (ties count half). `p_value` is that of the two-sided Wilcoxon signed rank test
    against the reference, corrected by Holm 1979 over all controllers, None where there are too few tasks for a
    test; `better` is the direction of the signed ranks.
    """

    controller: str
    rank: float
    rank_error: float | None
    wins: float
    p_value: float | None
    better: bool


def quartiles(regrets: Array) -> tuple[float, float, float]:
    """Return the lower quartile, the median and the upper quartile."""
    # An infinite regret (nothing usable was found) must not turn its neighbours into NaN.
    low, middle, high = np.percentile(np.minimum(regrets, 1e12), [25, 50, 75])
    return float(low), float(middle), float(high)


def standings(controllers: Sequence[str], regrets: Array, against: str) -> list[Standing]:
    """Return the standings for regrets [T, S, C] of T tasks, S seeds and C controllers, one of them the reference.

    The runs of one task share what that task favours, so they are one observation, however many seeds there are:
    interval and test are over the tasks, with each task's mean rank over its seeds. The test takes the ranks among
    the two controllers alone, so that its result does not depend on the others. With one task only both are over
    its seeds, the test with the differences of the regrets, and hold for that task alone.
    """
    # An infinite regret (nothing usable was found) is the worst, and equal to another one.
    regrets = np.minimum(regrets, 1e12)
    ranks = rankdata(regrets, axis=2)
    differences = regrets - regrets[:, :, [list(controllers).index(against)]]
    # Rounding noise of equal values is not a difference.
    differences[np.abs(differences) < 1e-12] = 0.0
    signs = np.sign(differences)
    one = len(regrets) == 1
    tested = differences[0] if one else signs.mean(axis=1)
    tests = [_signed_rank(column) for column in tested.T]
    # A comparison with itself must not make the correction of the others stricter.
    asked = [c for c in range(len(controllers)) if differences[:, :, c].any()]
    corrected = dict(zip(asked, holm([tests[c][0] for c in asked]), strict=True))
    enough = smallest_p(len(tested)) < SIGNIFICANT
    return [
        Standing(
            name,
            float(ranks[:, :, c].mean()),
            _half_width(ranks[0, :, c] if one else ranks[:, :, c].mean(axis=1)),
            float((1.0 - signs[:, :, c].mean()) / 2),
            corrected.get(c, 1.0) if enough else None,
            tests[c][1],
        )
        for c, name in enumerate(controllers)
    ]


def basis(tasks: int, seeds: int, comparisons: int) -> str:
    """Return, in words, what the intervals and tests of `standings` are over, and what they cannot show."""
    of_seeds = f"{seeds} seed{'' if seeds == 1 else 's'}"
    if tasks == 1:
        count, what = seeds, of_seeds
        text = f"One task only: intervals (95 %, Student's t) and p are over its {of_seeds}, for this task alone."
    else:
        count, what = tasks, f"{tasks} tasks"
        text = (
            f"Intervals (95 %, Student's t) and p are over the {what}, each with its mean over {of_seeds}; the "
            "fraction ahead is that of all pairs of task and seed."
        )
    least = smallest_p(count) * max(comparisons, 1)
    if smallest_p(count) >= SIGNIFICANT:
        few = "is" if count == 1 else "are"
        return f"{text} {what} {few} too few for a test, which needs at least {_fewest()}."
    if least >= SIGNIFICANT:
        return f"{text} With {what} and {comparisons} comparisons no p can be below {min(1.0, least):.2g}."
    return text


def smallest_p(count: int) -> float:
    """Return the smallest p-value of a two-sided signed rank test of this many differences, at most 1."""
    return min(1.0, 2.0 ** (1 - count))


def _fewest() -> int:
    return next(count for count in range(1, 100) if smallest_p(count) < SIGNIFICANT)


def _half_width(values: Array) -> float | None:
    if len(values) < 2:
        return None
    quantile = t.ppf((1 + CONFIDENCE) / 2, len(values) - 1)
    return float(quantile * values.std(ddof=1) / np.sqrt(len(values)))


def _signed_rank(differences: Array) -> tuple[float, bool]:
    """Return the exact two-sided p-value (Wilcoxon 1945), and whether the differences are mostly negative.

    Zeros have no part in the test, and ties share their mean rank. SciPy's test takes the normal distribution for
    more than 13 differences with ties.
    """
    differences = differences[differences != 0]
    # Mean ranks of ties may be halves.
    doubled = np.rint(2 * rankdata(np.abs(differences))).astype(int)
    chances = np.ones(1)
    for rank in doubled:
        # The sum of the positive ranks has this rank with chance 1/2.
        chances = (np.pad(chances, (0, rank)) + np.pad(chances, (rank, 0))) / 2
    positive = int(doubled[differences > 0].sum())
    p_value = 2.0 * min(chances[: positive + 1].sum(), chances[positive:].sum())
    return min(1.0, float(p_value)), bool(2 * positive < doubled.sum())


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p-values corrected for several comparisons (Holm 1979)."""
    order = np.argsort(p_values, kind="stable")
    corrected = [0.0] * len(p_values)
    highest = 0.0
    for place, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - place) * p_values[int(index)]))
        corrected[int(index)] = highest
    return corrected
