"""Configurations and their runs: a repeated one is judged by the mean of its runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from paddle_automl.search.learning.encoding import Encoding
from paddle_automl.search.learning.estimates import FEWEST, estimate
from paddle_automl.search.learning.final_choice import next_repeat, ranked, winner
from paddle_automl.search.objective import Objective, costs_of, excess_of
from paddle_automl.search.records import TrialRecord


@dataclass(frozen=True)
class Configuration:
    """One configuration: its first trial, and all its runs that ended with a result.

    `values` are the objectives' means over the runs, without repeats that the deadline cut short. A first trial
    that was stopped before its end is none of the runs once there is a whole repeat. `failed` counts the repeats
    that failed by themselves.
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

    @property
    def partial(self) -> bool:
        """Whether no run is one of the whole training."""
        return all(run.partial for run in self.runs)

    @property
    def part_of_folds(self) -> bool:
        """Whether no run was judged by all folds of the cross-validation."""
        return all(run.part_of_folds for run in self.runs)

    @property
    def folds_text(self) -> str:
        """``1 of 5 folds`` if no run was judged by all of them, else an empty text."""
        return self.runs[0].folds_text if self.part_of_folds else ""


@dataclass(frozen=True)
class FinalChoice:
    """What the repeats show about the winner, in the first objective.

    `mean`, `lowest` and `highest` are those of its runs. `observed` is the configuration with the best first run,
    which would have won without repeats, `observed_value` the value of that run, `observed_mean` the mean of its
    runs, and `gain` the difference by which the winner's mean is better.
    """

    winner: Configuration
    metric: str
    mean: float
    lowest: float
    highest: float
    observed: Configuration
    observed_value: float
    observed_mean: float
    gain: float


def final_choice(found: Sequence[Configuration], objectives: Sequence[Objective]) -> FinalChoice | None:
    """Return what the repeats show, or None if the winner was not repeated; `found` has the winner first."""
    allowed = [item for item in found if not _beyond(item, objectives)]
    if not allowed or len(allowed[0].runs) + allowed[0].failed < 2:
        return None
    winner, objective = allowed[0], objectives[0]
    observed = min(_may_win(allowed), key=lambda item: _by_first_run(item, objectives))
    gain = objective.cost(observed.values[0]) - objective.cost(winner.values[0])
    first = observed.runs[0].values
    assert first is not None, "a configuration has the runs with values"
    return FinalChoice(
        winner,
        objective.metric,
        winner.values[0],
        *winner.spread,
        observed,
        first[0],
        observed.values[0],
        gain,
    )


def ranked_configurations(records: Sequence[TrialRecord], objectives: Sequence[Objective]) -> list[Configuration]:
    """Return the configurations with usable metrics, best first.

    Those within all limits come first, by the mean of the first objective (`final_choice.ranked`; a failed repeat
    counts as the worst cost of all trials, because such a configuration may fail again), then by the other
    objectives. The others follow, the smallest excess first. In both groups those that were cut before all folds of
    their cross-validation were done come last: a value of one fold may be better only because its items are easier.
    """
    found = sorted(_grouped(records), key=lambda item: _by_first_run(item, objectives))
    allowed = [item for item in found if not _beyond(item, objectives)]
    beyond = [item for item in found if _beyond(item, objectives)]
    beyond.sort(key=lambda item: (item.part_of_folds, excess_of(item.values, objectives)))
    result = []
    for part in (False, True):
        group = [item for item in allowed if item.part_of_folds is part]
        result += [group[place] for place in ranked(_costs(group, objectives))]
    return result + beyond


def whole_configurations(found: Sequence[Configuration]) -> list[Configuration]:
    """Return the configurations with a run of the whole training."""
    return [item for item in found if not item.partial]


def comparable_configurations(found: Sequence[Configuration]) -> list[Configuration]:
    """Return the configurations that were judged by all folds, or all of them if none was."""
    return [item for item in found if not item.part_of_folds] or list(found)


Chance = Callable[[float], float]
"""The standard error of a value of the first objective that is due to the choice of the validation items."""


def settled_configurations(
    found: Sequence[Configuration],
    objectives: Sequence[Objective],
    encoding: Encoding,
    chance: Chance | None = None,
) -> list[Configuration]:
    """Return ranked configurations with the one to ship first, the others in their order.

    It is one of the finalists within the limits, whose weights are kept, by the estimates of `final_choice.winner`:
    the default's configuration, unless another is surely better. Without enough whole runs for an estimate the
    order is that of `found`, but the default's configuration stays unless another is better by more than `chance`.
    """
    whole = whole_configurations([item for item in found if not _beyond(item, objectives)])
    if not whole:
        return list(found)
    costs = _costs(whole, objectives)
    estimates = estimate(encoding, [item.first.params for item in whole], costs)
    if estimates is None:
        return _default_first(found, objectives, chance)
    place = winner(costs, estimates, _baseline_of(whole))
    return [whole[place], *(item for item in found if item is not whole[place])]


def _default_first(
    found: Sequence[Configuration], objectives: Sequence[Objective], chance: Chance | None
) -> list[Configuration]:
    """Return the configurations with the default's first, where the lead of the best one may be chance."""
    place = _baseline_of(found)
    if chance is None or not place or _beyond(found[place], objectives):
        return list(found)
    default, best = found[place], found[0]
    lead = costs_of(default.values, objectives)[0] - costs_of(best.values, objectives)[0]
    if lead > chance(default.values[0]):
        return list(found)
    return [default, *(item for item in found if item is not default)]


def to_repeat(
    records: Sequence[TrialRecord], objectives: Sequence[Objective], left: int, running: Sequence[int]
) -> int | None:
    """Return the trial whose configuration is run again, or None if there is nothing to decide.

    `running` are the trials whose configurations are being repeated. With several objectives the repeats go to the
    candidates for the export, within the limits and best in the first objective. The configuration's own values are
    among them.
    """
    allowed = [item for item in ranked_configurations(records, objectives) if not _beyond(item, objectives)]
    allowed = _may_win(allowed)
    allowed.sort(key=lambda item: _by_first_run(item, objectives))
    # Only the number of running repeats matters.
    costs = [
        [*known, *[known[0]] * list(running).count(item.first.number)]
        for item, known in zip(allowed, _costs(allowed, objectives), strict=True)
    ]
    place = next_repeat(costs, left, _baseline_of(allowed))
    return None if place is None else allowed[place].first.number


def _baseline_of(found: Sequence[Configuration]) -> int | None:
    """Return the place of the configuration's own values, if they were tried to the end."""
    whole = [place for place, item in enumerate(found) if item.first.baseline and not item.partial]
    return whole[0] if whole else None


def _may_win(allowed: Sequence[Configuration]) -> list[Configuration]:
    """Return those of the configurations within the limits that `settled_configurations` may choose."""
    whole = whole_configurations(allowed)
    return whole if len(whole) >= FEWEST else comparable_configurations(allowed)


def _beyond(item: Configuration, objectives: Sequence[Objective]) -> bool:
    return excess_of(item.values, objectives) > 0


def _by_first_run(item: Configuration, objectives: Sequence[Objective]) -> tuple[float, ...]:
    values = item.runs[0].values or ()
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
        whole = [run for run in runs if not run.partial]
        # A part of a training says little about the whole one.
        own, runs = runs[0], whole or runs
        columns = zip(*(run.values or () for run in runs), strict=True)
        values = tuple(fmean(column) for column in columns)
        result.append(Configuration(own, tuple(runs), values, failed.get(number, 0)))
    return result


def _costs(found: Sequence[Configuration], objectives: Sequence[Objective]) -> list[list[float]]:
    """Return the costs of each configuration's runs in the first objective, its first run first."""
    seen = [[objectives[0].cost(run.values[0]) for run in item.runs if run.values] for item in found]
    worst = max((max(costs) for costs in seen), default=0.0)
    return [[*costs, *[worst] * item.failed] for costs, item in zip(seen, found, strict=True)]
