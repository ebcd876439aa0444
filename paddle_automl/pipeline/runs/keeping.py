"""Deletes weights during a search, except those of the best trials."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Set

from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.runs.folder import RunFolder
from paddle_automl.search.learning.final_choice import FINALISTS
from paddle_automl.search.listener import Listener
from paddle_automl.search.records import TrialRecord
from paddle_automl.search.study import Study


class CheckpointKeeper(Listener):
    """Deletes a trial's weights, and its compressed network, as soon as enough other configurations are better.

    Of a kept configuration only the best run's weights remain. While repeats are still planned (`repeats`), the
    candidates for them are not deleted. `exported` returns the trials that a bundle is made of: their networks may
    remain the exported ones.
    """

    def __init__(
        self, config: RunConfig, study: Study, repeats: int = 0, exported: Callable[[], Set[int]] = frozenset
    ) -> None:
        self.config = config
        self.folder = RunFolder(config.folder)
        self.study = study
        self.repeats = repeats
        self.exported = exported

    def on_end(self, record: TrialRecord) -> None:
        """Delete the weights of every ended trial that is not among the best."""
        wanted = self._kept
        keep = self.study.best_numbers(max(wanted, FINALISTS) if self.repeats else wanted)
        # The default may win after all, even if others look better so far.
        default = [other.number for other in self.study.records() if other.baseline]
        self._delete_others({*keep, *default, *(self.study.finalists(FINALISTS) if self.repeats else ())})

    def close(self) -> None:
        """Delete weights that were kept only for the repeats."""
        best = self.study.best_numbers(self._kept)
        self._delete_others({*best, *map(self.study.best_run, self.study.settled()[:1])})

    @property
    def _kept(self) -> int:
        """Return the number of best configurations whose weights are kept."""
        ensemble, wanted = self.config.ensemble, self.config.search.keep_checkpoints
        return wanted if ensemble is None else max(wanted, ensemble.candidates)

    def _delete_others(self, keep: set[int]) -> None:
        keep = keep | self.exported()
        for other in self.study.records():
            if other.state != "running" and other.number not in keep:
                trial = self.folder.trial(other.number)
                trial.weights.unlink(missing_ok=True)
                trial.fold_answers.unlink(missing_ok=True)
                if self.config.compression.in_trials:
                    shutil.rmtree(trial.bundle, ignore_errors=True)
