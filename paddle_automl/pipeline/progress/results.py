"""The result of a search."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.jobs.check import CheckResult
from paddle_automl.pipeline.jobs.compress import CompressResult
from paddle_automl.pipeline.jobs.export import BundleResult
from paddle_automl.pipeline.jobs.train import TrainResult
from paddle_automl.search.configurations import Configuration, FinalChoice, final_choice
from paddle_automl.search.objective import Objective
from paddle_automl.search.records import TrialRecord

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True)
class SearchResult:
    """A finished search.

    `ended` says why no more trials were started; `best` is the first trial of the winning configuration and
    `best_config` the configuration that trains it again; `source` is the folder, relative to `output`, whose
    weights were exported: one of the winner's own runs, or the refit, or that of an earlier bundle that was kept
    (`BundleResult.kept`), empty if these weights are gone; `configurations` are those with a result, the
    winner first, each with all its runs; `pareto` are the first trials of those that no other dominates. `refit`
    and `compression` are None if there was none. `stage_seconds` are the times of the stages.
    """

    output: Path
    ended: str
    best: TrialRecord
    best_config: RunConfig
    trials: tuple[TrialRecord, ...]
    pareto: tuple[TrialRecord, ...]
    configurations: tuple[Configuration, ...]
    source: str
    refit: TrainResult | None
    bundle: BundleResult
    compression: CompressResult | None
    data: CheckResult
    seconds: float
    stage_seconds: Mapping[str, float]
    objectives: tuple[Objective, ...]
    describe: Callable[[TrialRecord], str]

    @property
    def metrics(self) -> Mapping[str, Any]:
        """Return the scores of the exported network: `validation`, `test` and `costs`."""
        return self.bundle.metrics

    @property
    def final_choice(self) -> FinalChoice | None:
        """Return the result of the repeats, or None if the winner was not repeated."""
        return final_choice(self.configurations, self.objectives)

    def trials_table(self) -> pandas.DataFrame:
        """Return the trials as a table: number, state, metrics, choices, seconds."""
        import pandas

        rows = [
            {
                "number": record.number,
                "state": record.state,
                **record.metrics,
                **{f"params.{key}": value for key, value in record.params.items()},
                "seconds": record.seconds,
                "reason": record.reason,
                "repeat_of": record.repeat_of,
            }
            for record in self.trials
        ]
        return pandas.DataFrame(rows)
