"""Which weights stay on disk while a search runs: those of the best trials."""

from __future__ import annotations

from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.trials import WEIGHTS_FILE, trial_folder
from paddle_automl.search.listener import Listener
from paddle_automl.search.records import TrialRecord
from paddle_automl.search.study import Study


class CheckpointKeeper(Listener):
    """Deletes a trial's weights as soon as enough others are better."""

    def __init__(self, config: RunConfig, study: Study) -> None:
        self.config = config
        self.study = study

    def on_end(self, record: TrialRecord) -> None:
        """Delete the weights of every ended trial that is not among the best."""
        keep = set(self.study.best_numbers(self.config.search.keep_checkpoints))
        for other in self.study.records():
            if other.state != "running" and other.number not in keep:
                (trial_folder(self.config, other.number) / WEIGHTS_FILE).unlink(missing_ok=True)
