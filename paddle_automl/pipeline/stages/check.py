"""The stage before the first trial: the data are read, and every option is built once."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping

from paddle_automl.core.errors import ConfigError, TimeUpError
from paddle_automl.core.files import write_text
from paddle_automl.pipeline.jobs.base import call, job_of
from paddle_automl.pipeline.jobs.check import CheckRequest, CheckResult
from paddle_automl.pipeline.runs.facts import remember_data
from paddle_automl.pipeline.stages.base import STAGES, Stage
from paddle_automl.pipeline.stages.choice import chance_of
from paddle_automl.pipeline.stages.fine_tune import FREE_S, FineTune
from paddle_automl.pipeline.stages.run import Run

FRACTION = 0.25
"""Fraction of the budget after which no further option is built, from the start of the command; the trials find out
about the others."""


class _Watch:
    """Measures what the check spends its time on, and ends it when its part of the budget is used up."""

    def __init__(self, run: Run, labels: list[str], shown: Callable[[int, Mapping[str, float]], object]) -> None:
        self.run = run
        self.labels = labels
        self.shown = shown
        self.times: list[tuple[float, str]] = []
        self.before_s = run.deadline.passed
        """Seconds from the start of the command to that of the check."""
        self.reached = time.monotonic()
        self.left_out = 0

    def on_report(self, number: int, metrics: Mapping[str, float]) -> bool:
        """Note the time of what was just done: 0 stands for the data, then the options from 1."""
        now = time.monotonic()
        self.times.append((now - self.reached, "reading the data" if number == 0 else self.labels[number - 1]))
        self.reached = now
        if number:
            self.shown(number, metrics)
        budget = self.run.deadline.budget_s
        if budget is not None and self.run.deadline.passed > FRACTION * budget:
            self.left_out = len(self.labels) - number
        return not self.left_out

    def blame(self) -> str:
        """Return a sentence that names what took longest, or what was being done when the time was up."""
        now = time.monotonic()
        doing = (
            "reading the data" if not self.times else self.labels[min(len(self.times) - 1, len(self.labels) - 1)]
        )
        longest, what = max([*self.times, (0.0 if self.left_out else now - self.reached, doing)])
        own = self.run.deadline.passed - self.before_s
        took = (
            f"the start has taken {self.before_s:.0f} s and the check {own:.0f} s, {longest:.0f} s of it for {what}"
        )
        if not self.left_out:
            return took
        return (
            f"{took}; {self.left_out} of {len(self.labels)} options were not built, because both may use "
            f"{FRACTION:.0%} of budget.time; the trials will tell whether they work"
        )


@STAGES.register("check")
class Check(Stage):
    """Builds every option once, and compares the data with those of the study's trials."""

    place = 10

    def work(self, run: Run, until: float | None) -> CheckResult:
        """Return the facts about the data; raises ConfigError with every option that cannot work."""
        labels = [item.label for item in run.candidates]
        watch = _Watch(run, labels, run.observer.job(f"checking the data and {len(labels)} options"))
        candidates = tuple((item.label, item.config) for item in run.candidates)
        has_trials = run.opened is not None and bool(run.study.records())
        known = run.folder.splits if has_trials and run.folder.splits.is_file() else None
        request = CheckRequest(run.config, candidates, run.shared, known)
        job = job_of("check", request, run.folder.log("check"), run.config)
        try:
            facts = call(run.executor, job, CheckResult, watch.on_report, until)
        except TimeUpError:
            budget = run.config.budget.time or 0.0
            raise ConfigError(
                f"budget.time: {budget:.0f} s are too short: {watch.blame()}; raise budget.time, or use smaller "
                "items (data.input) or fewer options (search.space)"
            ) from None
        if watch.left_out:
            run.observer.on_message(watch.blame())
        run.begin()
        run.study.chance = chance_of(run.config, facts)
        remember_data(run.folder, facts, has_trials)
        if known is None and facts.items:
            write_text(run.folder.splits, json.dumps(facts.items, ensure_ascii=False) + "\n")
        for note in facts.notes:
            run.observer.on_message(note)
        if run.baseline is None:
            run.observer.on_message(
                "search.space: auto does not include the configuration's own values, so there is no baseline trial"
            )
        tell_of_no_fine_tuning(run)
        for file, reason in facts.skipped_files:
            run.observer.on_message(f"left out: {file}: {reason}")
        return facts


def tell_of_no_fine_tuning(run: Run) -> None:
    """Tell the user at once if the budget has no time for the recipes that the configuration names."""
    if run.config.fine_tuning.recipes and not FineTune().wanted(run):
        budget = run.config.budget.time or 0.0
        run.observer.on_message(
            f"budget.time: {budget:.0f} s leave no time for fine_tuning.recipes, which need more "
            f"than {FREE_S:.0f} s"
        )
