"""The stage before the first trial: the data are read, and every option is built once."""

from __future__ import annotations

import json

from paddle_automl.core.errors import ConfigError, TimeUpError
from paddle_automl.core.files import write_text
from paddle_automl.pipeline.jobs.base import call, job_of
from paddle_automl.pipeline.jobs.check import CheckRequest, CheckResult
from paddle_automl.pipeline.runs.facts import remember_data
from paddle_automl.pipeline.stages.base import STAGES, Stage
from paddle_automl.pipeline.stages.run import Run


@STAGES.register("check")
class Check(Stage):
    """Builds every option once, and compares the data with those of the study's trials."""

    place = 10

    def work(self, run: Run, until: float | None) -> CheckResult:
        """Return the facts about the data; raises ConfigError with every option that cannot work."""
        on_report = run.observer.job(f"checking the data and {len(run.candidates)} options")
        candidates = tuple((item.label, item.config) for item in run.candidates)
        has_trials = run.opened is not None and bool(run.study.records())
        known = run.folder.splits if has_trials and run.folder.splits.is_file() else None
        request = CheckRequest(run.config, candidates, run.shared, known)
        job = job_of("check", request, run.folder.log("check"), run.config)
        try:
            facts = call(run.executor, job, CheckResult, on_report, until)
        except TimeUpError:
            raise ConfigError(
                f"budget.time: {run.config.budget.time:.0f} s are too short: reading the data and building "
                f"{len(candidates)} options took {run.deadline.passed:.0f} s of them; raise budget.time, or "
                "use smaller items (data.input) or fewer options (search.space)"
            ) from None
        run.begin()
        remember_data(run.folder, facts, has_trials)
        if known is None and facts.items:
            write_text(run.folder.splits, json.dumps(facts.items, ensure_ascii=False) + "\n")
        for note in facts.notes:
            run.observer.on_message(note)
        if run.baseline is None:
            run.observer.on_message(
                "search.space: auto does not include the configuration's own values, so there is no baseline trial"
            )
        for file, reason in facts.skipped_files:
            run.observer.on_message(f"left out: {file}: {reason}")
        return facts
