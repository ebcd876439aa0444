"""Progress of a search: counted trials, trials since the last improvement, and what failures have in common."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from paddle_automl.search.objective import Objective, costs_of, excess_of
from paddle_automl.search.records import TrialRecord
from paddle_automl.space import SearchSpace

_Point = tuple[tuple[bool, bool, float], tuple[float, ...]]
"""A result: beyond a limit, of a part of the folds, the excess over the limits; and its costs."""


class Progress:
    """Counts trials, repeats, and trials since the last improvement.

    A repeat is not an attempt to improve, so it counts neither as an improvement nor as a trial without one.
    """

    def __init__(self, objectives: Sequence[Objective]) -> None:
        self._objectives = objectives
        self._front: list[_Point] = []
        self.counted = 0
        self.repeated = 0
        self.since = 0

    @property
    def explored(self) -> int:
        """Number of different configurations among the trials."""
        return self.counted - self.repeated

    def add(self, record: TrialRecord) -> None:
        """Count one ended trial."""
        if not record.counted:
            return
        self.counted += 1
        if record.repeat_of is not None:
            self.repeated += 1
            return
        self.since += 1
        if not record.values:
            return
        excess = excess_of(record.values, self._objectives)
        costs = costs_of(record.values, self._objectives)
        # In the order of `ranked_configurations`. Beyond a limit only a smaller excess is an improvement.
        point = ((excess > 0, record.part_of_folds, excess), costs if excess == 0 else ())
        if not any(_no_worse(known, point) for known in self._front):
            self._front = [known for known in self._front if not _no_worse(point, known)] + [point]
            self.since = 0


def _no_worse(one: _Point, other: _Point) -> bool:
    if one[0] != other[0]:
        return one[0] < other[0]
    return all(a <= b for a, b in zip(one[1], other[1], strict=True))


def best_so_far(records: Sequence[TrialRecord], objective: Objective, place: int = 0) -> list[float | None]:
    """Return the best value up to each trial; those of a part of the folds count only while there are no others."""
    best: tuple[bool, float, float] | None = None
    found: list[float | None] = []
    for record in records:
        if record.values and record.repeat_of is None:
            value = record.values[place]
            key = (record.part_of_folds, objective.cost(value), value)
            best = key if best is None else min(best, key)
        found.append(None if best is None else best[2])
    return found


def common_failure(failures: Sequence[TrialRecord], space: SearchSpace, log: Path | None) -> str:
    """Return why most of the trials failed, which choices all of them share, and the path of a log."""
    reason, count = Counter(record.reason for record in failures).most_common(1)[0]
    chosen = [space.overrides(record.params) for record in failures]
    shared = [
        f"{key}={value}"
        for key, value in chosen[0].items()
        if all(other.get(key, ...) == value for other in chosen[1:])
    ]
    common = f"in common they had {', '.join(shared)}" if shared else "they have no choice in common"
    where = f"; the last one's log: {log}" if log else ""
    return f"{count} of {len(failures)} because: {reason}; {common}{where}"


def nothing_usable(
    ended: str, failures: Sequence[TrialRecord], space: SearchSpace, log: Path | None, refused: str, smaller: str
) -> str:
    """Return why a search that ended for the reason `ended` has no usable trial, and what to do.

    `refused` is why the last network was not trained, if constraints have refused some; `smaller` is the key of an
    option that makes the items smaller, if there is one.
    """
    if failures:
        return f"{ended}, and no trial succeeded; {common_failure(failures, space, log)}"
    if refused:
        return (
            f"{ended}, and no network was within the constraints; the last one: {refused}; raise the limits in "
            "search.constraints, or allow smaller networks in search.space"
        )
    ways = ", ".join(["training.epochs", *([smaller] if smaller else []), "the search space"])
    return (
        f"{ended}, and no trial completed its first epoch; give more time (budget.time) or make trials smaller "
        f"({ways})"
    )
