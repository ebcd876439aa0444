"""The order of trials: by configuration, which is judged by the mean of its runs."""

from __future__ import annotations

from collections.abc import Sequence

from paddle_automl.search.configurations import (
    Configuration,
    comparable_configurations,
    ranked_configurations,
    whole_configurations,
)
from paddle_automl.search.objective import Objective, costs_of, excess_of, pareto_front
from paddle_automl.search.records import TrialRecord


class Standings:
    """The trials of a study by number, and their order."""

    def __init__(self, objectives: Sequence[Objective]) -> None:
        self.objectives = tuple(objectives)
        self._records: dict[int, TrialRecord] = {}

    def records(self) -> list[TrialRecord]:
        """Return all trials by number."""
        return [self._records[number] for number in sorted(self._records)]

    def configurations(self) -> list[Configuration]:
        """Return the configurations with usable metrics and their runs, best first."""
        return ranked_configurations(self.records(), self.objectives)

    def ranking(self) -> list[TrialRecord]:
        """Return the first trial of every configuration with usable metrics, the best configuration first.

        Those within all limits come first, by the first objective; the others follow, the smallest excess
        first. Pruned trials are included with the metrics they had reached, copies are not.
        """
        return [item.first for item in self.configurations()]

    def best(self) -> TrialRecord | None:
        """Return the first trial of the best configuration within the limits; None if there is none."""
        found = self.configurations()
        if not found or excess_of(found[0].values, self.objectives) > 0:
            return None
        return found[0].first

    def best_numbers(self, count: int) -> list[int]:
        """Return the best run of each of the `count` best configurations: checkpoints worth keeping.

        The `count` best of those that were trained to their end are among them, because one of these may win.
        """
        found = self.configurations()
        chosen = [*found[:count], *whole_configurations(found)[:count]]
        return list(dict.fromkeys(self.best_run(item) for item in chosen))

    def best_run(self, item: Configuration) -> int:
        """Return the number of the best run of a configuration."""
        return min(item.runs, key=self._rank).number

    def finalists(self, count: int) -> list[int]:
        """Return the trials with the best first runs, the candidates for repeats."""
        found = sorted(self.configurations(), key=lambda item: (item.part_of_folds, self._rank(item.runs[0])))
        chosen = [*found[:count], *whole_configurations(found)[:count]]
        return list(dict.fromkeys(item.first.number for item in chosen))

    def pareto(self) -> list[TrialRecord]:
        """Return the first trials of the configurations within the limits that none dominates."""
        allowed = [item for item in self.configurations() if excess_of(item.values, self.objectives) == 0]
        fair = comparable_configurations(allowed)
        return pareto_front([(item.first, costs_of(item.values, self.objectives)) for item in fair])

    def _rank(self, record: TrialRecord) -> tuple[float, ...]:
        values = record.values or ()
        return (excess_of(values, self.objectives), *costs_of(values, self.objectives), record.number)
