"""What the sections about trials share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from paddle_automl.search.records import TrialRecord


def window(values: Sequence[float], goal: str) -> tuple[float, float] | None:
    """Return the range of an axis that shows the better three quarters well, or None for the whole range.

    One diverged trial would otherwise flatten all others into a line.
    """
    ordered = sorted(values, reverse=goal == "minimize")
    if len(ordered) < 8:
        return None
    worst, middle, best = ordered[0], ordered[len(ordered) // 4], ordered[-1]
    if abs(worst - best) <= 3 * abs(middle - best) or middle == best:
        return None
    edge, reach = best + (best - middle) * 0.08, middle + (middle - best) * 0.6
    return (reach, edge) if goal == "maximize" else (edge, reach)


def limit_axis(axis: Any, values: Sequence[float], goal: str, show: Sequence[float] = ()) -> bool:
    """Limit a vertical axis as `window` says, but `show` some values; return whether others are outside."""
    found = window(values, goal)
    if found is None:
        return False
    low, high = min([found[0], *show]), max([found[1], *show])
    if low < found[0] or high > found[1]:
        low, high = low - 0.05 * (high - low), high + 0.05 * (high - low)
    axis.set_ylim(low, high)
    return True


def trial_of(record: TrialRecord) -> dict[str, Any]:
    """Return a trial as JSON-like data."""
    return {
        "number": record.number,
        "state": record.state,
        "values": list(record.values or ()),
        "seconds": round(record.seconds, 3),
        "reason": record.reason,
        "folds": None if record.folds is None else list(record.folds),
        "part_of_folds": record.part_of_folds,
        "duplicate_of": record.duplicate_of,
        "repeat_of": record.repeat_of,
        "baseline": record.baseline,
        "warm_start": record.warm_start,
    }


def column(trials: Sequence[Mapping[str, Any]], place: int = 0) -> list[float]:
    """Return the values of one objective."""
    return [trial["values"][place] for trial in trials if len(trial["values"]) > place]
