"""What the commands and the Python functions return."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paddle_automl.pipeline.config import RunConfig
from paddle_automl.search.configurations import Configuration, FinalChoice, final_choice
from paddle_automl.search.objective import Objective
from paddle_automl.search.records import TrialRecord

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True)
class BundleOutcome:
    """An exported bundle with its scores, its proof and its speed, as recorded in its ``bundle.yaml``."""

    bundle: Path
    metrics: Mapping[str, Any]
    parity: Mapping[str, Any]
    parity_summary: str
    latency: tuple[Mapping[str, Any], ...]
    size_mb: float
    verified: bool
    formats: tuple[Mapping[str, Any], ...] = ()
    """Further formats: name, parity_summary, latency, verified."""
    fastest: str | None = None
    """Name of the format that was the fastest."""

    @classmethod
    def from_job(cls, result: Mapping[str, Any]) -> BundleOutcome:
        """Return the outcome of an export job."""
        return cls(
            bundle=Path(result["bundle"]),
            metrics=result["metrics"],
            parity=result["parity"],
            parity_summary=result["parity_summary"],
            latency=tuple(result["latency"]),
            size_mb=result["size_mb"],
            verified=result["verified"],
            formats=tuple(result.get("formats", ())),
            fastest=result.get("fastest"),
        )

    def parity_text(self) -> str:
        """Return one sentence: the verdict, the figures and where the difference is largest."""
        return f"{self.bundle}: {self.parity_summary}"


@dataclass(frozen=True)
class TrainingOutcome:
    """One training: the folder with its weights, and its validation metrics at the best epoch."""

    folder: Path
    metrics: Mapping[str, float]
    best_epoch: int
    epochs_run: int
    stopped: str
    seconds: float
    skipped_files: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()

    @classmethod
    def from_job(cls, folder: Path, result: Mapping[str, Any]) -> TrainingOutcome:
        """Return the outcome of a training job."""
        return cls(
            folder=folder,
            metrics=result["metrics"],
            best_epoch=result["best_epoch"],
            epochs_run=result["epochs_run"],
            stopped=result["stopped"],
            seconds=result["seconds"],
            skipped_files=tuple((file, reason) for file, reason in result["skipped_files"]),
            notes=tuple(result["notes"]),
        )


@dataclass(frozen=True)
class SearchResult:
    """A finished search.

    `ended` says why no more trials were started; `best` is the first trial of the winning configuration and
    `best_config` the configuration that trains it alone; `source` is the folder whose weights were exported,
    one of the winner's own runs or the last training; `configurations` are those with a result, the winner
    first, each with all its runs; `pareto` are the first trials of those that none beats in every objective.
    """

    output: Path
    ended: str
    best: TrialRecord
    best_config: RunConfig
    trials: tuple[TrialRecord, ...]
    pareto: tuple[TrialRecord, ...]
    configurations: tuple[Configuration, ...]
    source: str
    final: TrainingOutcome | None
    bundle: BundleOutcome
    data: Mapping[str, Any]
    seconds: float
    objectives: tuple[Objective, ...]
    describe: Callable[[TrialRecord], str]

    @property
    def metrics(self) -> Mapping[str, Any]:
        """Return the scores of the exported network: `validation`, `test` and `costs`."""
        return self.bundle.metrics

    @property
    def final_choice(self) -> FinalChoice | None:
        """Return what the repeats of the best told, or None where the winner was not repeated."""
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
