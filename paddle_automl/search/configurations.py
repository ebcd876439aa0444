"""Configurations and their runs: a repeated one is judged by the mean of its runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from paddle_automl.search.learning.final_choice import next_repeat, ranked
from paddle_automl.search.objective import Objective, costs_of, excess_of
from paddle_automl.search.records import TrialRecord


@dataclass(frozen=True)
class Configuration:
    """One configuration: its first trial, and all its runs that ended with a result.

    `values` are the objectives' means over the runs, without repeats that the deadline cut short. `failed` counts
    the repeats that failed by themselves.
    """

    first: TrialRecord
    runs: tuple[TrialRecord, ...]
    values: tuple[float, ...]
    failed: int = 0

    @property
    def spread(self) -> tuple[float, float]:
        """The lowest and the highest value of the first objective."""
        values = [run.values[0] for run in self.runs if run.values]
        return min(values), max(values)


@dataclass(frozen=True)
class FinalChoice:
    """What the repeats show about the winner, in the first objective.

    `mean`, `lowest` and `highest` are those of its runs. `observed` is the configuration with the best first run,
    which would have won without repeats, `observed_mean` the mean of its runs, and `gain` the difference by which
    the winner's mean is better.
    """

    winner: Configuration
    metric: str
    mean: float
    lowest: float
    highest: float
    observed: Configuration
    observed_mean: float
    gain: float


def final_choice(found: Sequence[Configuration], objectives: Sequence[Objective]) -> FinalChoice | None:
    """Return what the repeats show, or None if the winner was not repeated; `found` has the winner first."""
    allowed = [item for item in found if not _beyond(item, objectives)]
    if not allowed or len(allowed[0].runs) + allowed[0].failed < 2:
        return None
    winner, objective = allowed[0], objectives[0]
    observed = min(allowed, key=lambda item: _by_first_run(item, objectives))
    gain = objective.cost(observed.values[0]) - objective.cost(winner.values[0])
    return FinalChoice(
        winner,
        objective.metric,
        winner.values[0],
        *winner.spread,
        observed,
        observed.values[0],
        gain,
    )


def ranked_configurations(records: Sequence[TrialRecord], objectives: Sequence[Objective]) -> list[Configuration]:
    """Return the configurations with usable metrics, best first.

    Those within all limits come first, by the mean of the first objective (`final_choice.ranked`; a failed repeat
    counts as the worst cost of all trials, because such a configuration may fail again), then by the other
    objectives. The others follow, the smallest excess first.
    """
    found = sorted(_grouped(records), key=lambda item: _by_first_run(item, objectives))
    allowed = [item for item in found if excess_of(item.values, objectives) == 0]
    beyond = [item for item in found if excess_of(item.values, objectives) > 0]
    beyond.sort(key=lambda item: excess_of(item.values, objectives))
    order = ranked(_costs(allowed, objectives))
    return [allowed[place] for place in order] + beyond


def to_repeat(
    records: Sequence[TrialRecord], objectives: Sequence[Objective], left: int, running: Sequence[int]
) -> int | None:
    """Return the trial whose configuration is run again, or None if there is nothing to decide.

    `running` are the trials whose configurations are being repeated. With several objectives the repeats go to the
    candidates for the export: within the limits, best in the first objective.
    """
    allowed = [item for item in ranked_configurations(records, objectives) if not _beyond(item, objectives)]
    allowed.sort(key=lambda item: _by_first_run(item, objectives))
    # Only the number of running repeats matters.
    costs = [
        [*known, *[known[0]] * list(running).count(item.first.number)]
        for item, known in zip(allowed, _costs(allowed, objectives), strict=True)
    ]
    place = next_repeat(costs, left)
    return None if place is None else allowed[place].first.number


def _beyond(item: Configuration, objectives: Sequence[Objective]) -> bool:
    return excess_of(item.values, objectives) > 0


def _by_first_run(item: Configuration, objectives: Sequence[Objective]) -> tuple[float, ...]:
    values = item.first.values or ()
    return (*costs_of(values, objectives), item.first.number)


def _grouped(records: Sequence[TrialRecord]) -> list[Configuration]:
    groups: dict[int, list[TrialRecord]] = {}
    failed: dict[int, int] = {}
    for record in sorted(records, key=lambda record: record.number):
        first = record.number if record.repeat_of is None else record.repeat_of
        if record.duplicate_of is not None:
            continue
        if record.values and (record.repeat_of is None or record.state == "complete"):
            groups.setdefault(first, []).append(record)
        elif record.state == "failed" and record.repeat_of is not None and record.counted:
            failed[first] = failed.get(first, 0) + 1
    result = []
    for number, runs in groups.items():
        columns = zip(*(run.values or () for run in runs), strict=True)
        values = tuple(fmean(column) for column in columns)
        result.append(Configuration(runs[0], tuple(runs), values, failed.get(number, 0)))
    return result


def _costs(found: Sequence[Configuration], objectives: Sequence[Objective]) -> list[list[float]]:
    """Return the costs of each configuration's runs in the first objective, its first run first."""
    seen = [[objectives[0].cost(run.values[0]) for run in item.runs if run.values] for item in found]
    worst = max((max(costs) for costs in seen), default=0.0)
    return [[*costs, *[worst] * item.failed] for costs, item in zip(seen, found, strict=True)]
