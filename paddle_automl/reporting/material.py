"""What a report is made from: the records of a search, read from its folder or incomplete."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from paddle_automl.search.configurations import Configuration, ranked_configurations, settled_configurations
from paddle_automl.search.learning.encoding import Encoding
from paddle_automl.search.objective import Objective, curve_objective
from paddle_automl.search.reading import StoredStudy
from paddle_automl.search.records import TrialRecord


@dataclass(frozen=True)
class Material:
    """Records of a search or of a single training; whatever does not exist is empty or None.

    All mappings are JSON-like and hold no paths of this machine.
    """

    name: str
    """Name of the output folder."""
    running: bool = False
    """Whether a command works in the folder now."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """The configuration of the search, as written to its folder."""
    plugins: Sequence[str] = ()
    """The plugins that the configuration names."""
    data: Mapping[str, Any] = field(default_factory=dict)
    """The facts about the data."""
    study: StoredStudy | None = None
    """The trials."""
    study_fault: str = ""
    """Why the trials could not be read."""
    objectives: Sequence[Objective] = ()
    """What was optimized, with limits."""
    summary: Mapping[str, Any] = field(default_factory=dict)
    """The summary of a finished search."""
    source: str = ""
    """The folder whose weights were exported, relative to the output folder."""
    kept: str = ""
    """Why the final export has not replaced an earlier bundle, if so."""
    refit: Mapping[str, Any] | None = None
    """The record of the refit."""
    refit_curve: Sequence[Mapping[str, Any]] = ()
    """The metrics of the refit, one mapping per epoch."""
    further_curve: Sequence[Mapping[str, Any]] = ()
    """The same of the exported network if it is neither a trial's nor the refit's, such as a fine-tuned one."""
    ensemble: Mapping[str, Any] = field(default_factory=dict)
    """The record of the ensemble of the best trials."""
    curve: Sequence[Mapping[str, Any]] = ()
    """The metrics of a single training, one mapping per epoch."""
    bundle: Mapping[str, Any] | None = None
    """The content of ``bundle.yaml``."""
    bundle_mb: float | None = None
    """Size of the bundle."""
    compression: Mapping[str, Any] | None = None
    """The record of the chain of compression."""
    answers: Mapping[str, Any] | None = None
    """The network's answers on one split of the data; see `answers.Answers`."""
    answers_fault: str = ""
    """Why there are no answers."""
    machine: Mapping[str, str] = field(default_factory=dict)
    """The machine and the packages that the report was made with."""
    commands: Mapping[str, str] = field(default_factory=dict)
    """The commands that repeat the search, train the winner and use the bundle, by name."""

    @cached_property
    def records(self) -> list[TrialRecord]:
        """The trials, by number."""
        if self.study is None:
            return []
        return sorted(self.study.records(self.objectives or None), key=lambda record: record.number)

    @cached_property
    def goals(self) -> tuple[Objective, ...]:
        """The objectives, from the configuration or else from the study."""
        return tuple(self.objectives or (self.study.objectives if self.study else ()))

    @cached_property
    def configurations(self) -> list[Configuration]:
        """The configurations with a result, the winner first; of an ended search the one that it chose."""
        if not self.goals or self.study is None:
            return []
        found = ranked_configurations(self.records, self.goals)
        chosen = self.summary.get("best_trial")
        if any(item.first.number == chosen for item in found):
            return sorted(found, key=lambda item: item.first.number != chosen)
        return found if self.running else settled_configurations(found, self.goals, Encoding(self.study.space))

    @property
    def first_runs(self) -> list[TrialRecord]:
        """The first run of each configuration that has values: no copies and no repeats."""
        return [r for r in self.records if r.values and r.repeat_of is None and r.duplicate_of is None]

    @property
    def unverified(self) -> list[str]:
        """The formats of the bundle whose parity check did not pass, or was not made."""
        if self.bundle is None:
            return []
        bundle = self.bundle
        return [
            str((item.get("exporter") or {}).get("name", "?"))
            for item in (bundle, *(bundle.get("formats") or ()))
            if not (item.get("parity") or {}).get("verified")
        ]

    @property
    def curve_metric(self) -> str:
        """The metric of the learning curves."""
        if self.goals:
            return curve_objective(self.goals).metric
        return str(self.config.get("metric") or "accuracy")

    @property
    def word(self) -> str:
        """The word for one item of the data."""
        return str(self.data.get("word") or (self.answers or {}).get("word") or "item")
