"""A verified bundle of the best trial so far, made during the search."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from paddle_automl.core.errors import AutoMLError
from paddle_automl.core.files import read_json_object, write_json
from paddle_automl.core.loading import validate
from paddle_automl.pipeline.jobs.base import job_of
from paddle_automl.pipeline.jobs.export import BundleResult, ExportRequest
from paddle_automl.pipeline.runs.folder import RunFolder
from paddle_automl.pipeline.runs.sources import read_run_config
from paddle_automl.pipeline.stages.choice import best_run
from paddle_automl.pipeline.stages.manifest import last_result
from paddle_automl.pipeline.stages.run import Run
from paddle_automl.search.background import Background
from paddle_automl.search.executors.base import Failed, Finished, Job
from paddle_automl.search.records import INTERRUPTED

REST = 10.0
"""The next bundle waits this many times as long as the last one took, so that they use a tenth of the time."""
NOTE = "a trial's weights, exported during the search; not tested yet"
MANIFEST, EXPORT = "interim", "export"
logger = logging.getLogger(__name__)


class InterimBundle(Background):
    """Exports the best trial so far as soon as there is one, and later better ones.

    A search that is cut short, or that has no time for refit and export, leaves this bundle. It is replaced in one
    step, and only by a trial that ranks higher. The test split is not used. `trials_end` returns the end of the
    trials.
    """

    def __init__(self, run: Run, trials_end: Callable[[], float | None]) -> None:
        self.run = run
        self._trials_end = trials_end
        known = interim_of(run.folder)
        self._exported: int | None = known[0] if known else None
        self._running: int | None = None
        self._not_before = time.monotonic()
        # A search that ended before has a final bundle, which only the next final one replaces.
        self._done = known is None and run.folder.bundle_file.exists()
        self._final = _finally_exported(run.folder) if self._done else set()

    @property
    def trials(self) -> set[int]:
        """The trials of the bundle in the folder, and of the one that is being made."""
        return {number for number in (self._exported, self._running) if number is not None} | self._final

    def next(self) -> Job | None:
        """Return the export of a trial that ranks above the exported one, if it is time for it."""
        now, end = time.monotonic(), self._trials_end()
        takes = self.run.estimates.export_s or 0.0
        resting = now < self._not_before and not self._worse_than_baseline()
        if self._done or resting or (end is not None and now + takes > end):
            return None
        best = best_run(self.run)
        if best is None or best.number == self._exported:
            return None
        self._running, self.run.estimates.exporting_since = best.number, now
        return self._job(best.number)

    def _worse_than_baseline(self) -> bool:
        """Return whether the bundle is of a trial below the configuration's own values."""
        ranking = [record.number for record in self.run.study.ranking()]
        baseline = next((record.number for record in self.run.study.records() if record.baseline), None)
        if self._exported not in ranking or baseline not in ranking:
            return False
        return ranking.index(self._exported) > ranking.index(baseline)

    def on_end(self, event: Finished | Failed) -> None:
        """Record which trial the bundle holds now, and the time of the export."""
        now, number, estimates = time.monotonic(), self._running, self.run.estimates
        self._running = None
        assert estimates.exporting_since is not None
        seconds, estimates.exporting_since = now - estimates.exporting_since, None
        self._not_before = now + REST * seconds
        if isinstance(event, Failed):
            if event.reason != INTERRUPTED:
                self.run.observer.on_message(f"the bundle of trial {number} could not be made: {event.reason}")
            return
        estimates.export_s = max(seconds, estimates.export_s or 0.0)
        try:
            result = validate(BundleResult, dict(event.result))
        except AutoMLError as error:
            self.run.observer.on_message(f"the bundle of trial {number} could not be made: {error}")
            return
        self._exported = number
        write_interim(self.run.folder, number, result)
        state, why = "a verified bundle", ""
        if not result.verified:
            state, why = "a bundle", f"; {result.fault()}"
        self.run.observer.on_message(f"{state} of trial {number} is now in {self.run.folder.bundle}{why}")

    def _job(self, number: int) -> Job:
        run, trial = self.run, self.run.folder.trial(number)
        config = read_run_config(trial.config)
        # Further formats are left to the final export, so that this bundle takes little time of the search.
        config = config.model_copy(update={"deployment": config.deployment.model_copy(update={"formats": ()})})
        request = ExportRequest(config, trial.path, run.folder.bundle, run.shared, test=False, note=NOTE)
        return job_of("export", request, run.folder.log("interim"), run.config)


def _finally_exported(folder: RunFolder) -> set[int]:
    """Return the trial of the final bundle; empty where it is of another network."""
    result = last_result(folder.manifest(EXPORT))
    return trial_of(folder, str(result.get("source"))) if isinstance(result, dict) else set()


def trial_of(folder: RunFolder, source: str) -> set[int]:
    """Return the trial that a folder relative to the output is of, or none for another network."""
    path = folder.inside(source).path
    return {int(path.name)} if path.parent == folder.trials and path.name.isdigit() else set()


def write_interim(folder: RunFolder, number: int | None, result: BundleResult) -> None:
    """Record that the folder holds the bundle of a trial, which is not the final one."""
    write_json(folder.manifest(MANIFEST), {"trial": number, "result": result.model_dump(mode="json")})


def interim_of(folder: RunFolder) -> tuple[int, BundleResult] | None:
    """Return the trial whose bundle is in the folder, with its record, or None for a final bundle or none."""
    known = read_json_object(folder.manifest(MANIFEST))
    if known is None or not folder.bundle_file.exists():
        return None
    try:
        return int(known["trial"]), validate(BundleResult, known["result"])
    except (AutoMLError, KeyError, TypeError, ValueError):
        return None
