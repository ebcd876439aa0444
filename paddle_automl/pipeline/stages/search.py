"""The trials, and bundles of the best one while they run."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Collection
from dataclasses import replace
from typing import Any

from paddle_automl.core.errors import BundleError
from paddle_automl.inputs.base import INPUTS
from paddle_automl.pipeline.jobs.base import job_of
from paddle_automl.pipeline.jobs.train import TrainRequest
from paddle_automl.pipeline.runs.keeping import CheckpointKeeper
from paddle_automl.pipeline.runs.record import read_record
from paddle_automl.pipeline.runs.sources import read_run_config, with_all_steps
from paddle_automl.pipeline.runs.trials import trial_config
from paddle_automl.pipeline.stages.base import STAGES, Stage
from paddle_automl.pipeline.stages.estimates import GRACE_S
from paddle_automl.pipeline.stages.interim import InterimBundle
from paddle_automl.pipeline.stages.run import Run
from paddle_automl.search.controllers.base import CONTROLLERS, Controller
from paddle_automl.search.coordinator import Coordinator
from paddle_automl.search.executors.base import Job
from paddle_automl.search.limits import Ending, SearchLimits
from paddle_automl.search.listener import Listener
from paddle_automl.search.records import TrialRecord
from paddle_automl.search.schedulers.base import SCHEDULERS, Scheduler

EPOCHS_KEY = "training.epochs"
TRIAL_FRACTION = 0.4
"""Fraction of the trials' time that one trial may take: what is left is enough to export the first one, and a trial
that was cut at the end of the search has seen only the begin of its learning-rate schedule."""
logger = logging.getLogger(__name__)


@STAGES.register("search")
class Search(Stage):
    """Runs the trials until they are done or their time is used up."""

    place = 20

    def work(self, run: Run, until: float | None) -> Ending:
        """Return why the search ended; raises SearchFailedError if no trial is usable."""
        limits = limits_of(run, until)
        interim = InterimBundle(run, lambda: coordinator.limits.deadline)
        keeper = CheckpointKeeper(run.config, run.study, limits.planned, lambda: interim.trials)
        listeners: list[Listener] = [run.observer, keeper]
        if run.logs is not None:
            listeners.append(run.logs)
        left = _left(limits.deadline)
        longest_s = None if left is None else max(0.0, TRIAL_FRACTION * left)
        limited: set[int] = set()

        def make_job(record: TrialRecord) -> Job:
            within_s = limit_of(run, record, longest_s, _left(coordinator.limits.deadline))
            if within_s is not None:
                limited.add(record.number)
            return trial_job(run, record, within_s)

        coordinator = Coordinator(
            run.study,
            controller_of(run, limits),
            scheduler_of(run),
            run.executor,
            make_job,
            limits=limits,
            listeners=listeners,
            baseline=run.baseline,
            first=run.first,
            given=run.given,
            background=interim,
            smaller=_smaller(run),
        )
        reserve = _Reserve(coordinator, run, self)
        coordinator.listeners += (reserve, _Shortened(run, limited))
        reserve.replay(until)
        self._announce(run)
        run.observer.plan(run.study.records(), run.describe, lambda: _left(coordinator.limits.deadline))
        ending = coordinator.run()
        if ending.reason == "interrupted":
            raise KeyboardInterrupt
        keeper.close()
        _tell_of_the_default(run)
        return ending

    def _announce(self, run: Run) -> None:
        if run.deadline.budget_s is None:
            return
        kept = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in run.reserved(self).items() if seconds)
        budget, left = run.deadline.budget_s, run.deadline.left() or 0
        run.observer.on_message(f"budget {budget:.0f} s, left {left:.0f} s; reserved for now: {kept}")


def _tell_of_the_default(run: Run) -> None:
    """Say so if the configuration's own values win, although a trial had a better result."""
    found = run.study.configurations()
    chosen = run.study.settled()[:1]
    if chosen and chosen[0].first.baseline and chosen[0].first.number != found[0].first.number:
        (default,), best, metric = chosen, found[0], run.config.search.objectives[0].metric
        run.observer.on_message(
            f"the configuration's own values stay (trial {default.first.number}, {metric} "
            f"{default.values[0]:.4g}): the lead of trial {best.first.number} ({best.values[0]:.4g}) may be chance"
        )


def limits_of(run: Run, until: float | None) -> SearchLimits:
    """Return the limits of the trials; running ones are asked to stop shortly before `until`."""
    search = run.config.search
    return SearchLimits(
        trials=search.trials,
        deadline=None if until is None else until - GRACE_S,
        stop_after=search.stop_after,
        max_failures=search.max_failures,
        grace_s=GRACE_S,
        repeats=search.final_repeats,
    )


def controller_of(run: Run, limits: SearchLimits) -> Controller:
    """Return the controller that proposes the trials."""
    search = run.config.search
    options: Any = search.controller
    controller = CONTROLLERS[options.name](
        options, space=run.space, objectives=search.objectives, seed=run.config.seed
    )
    controller.planned = limits.trials - limits.planned
    controller.cost_aware = search.cost_aware
    return controller


def scheduler_of(run: Run) -> Scheduler:
    """Return the scheduler, with the largest number of epochs that a trial may have."""
    options = run.config.search.scheduler
    varied = [decision for decision in run.space.decisions if decision.key == EPOCHS_KEY]
    most = [int(str(decision.domain.ends()[1])) for decision in varied] or [run.config.training.epochs]
    return SCHEDULERS[options.name](options, epochs=max(most))


def limit_of(run: Run, record: TrialRecord, longest_s: float | None, left: float | None) -> float | None:
    """Return the seconds that a trial is given, or None if all of its epochs surely fit into them.

    `longest_s` are the most for one trial, `left` those until the deadline.
    """
    # After a network that was solved at once there is a result, and others may take what is left.
    most_s = None if run.estimates.trial_solve_s else longest_s
    within_s = left if most_s is None else _shorter(most_s, left)
    # A repeat with fewer epochs would be compared with whole trainings.
    if within_s is None or record.repeat:
        return None
    epochs = run.space.overrides(record.params).get(EPOCHS_KEY, run.config.training.epochs)
    return None if run.estimates.trial_fits(within_s, epochs) else within_s


def trial_job(run: Run, record: TrialRecord, within_s: float | None = None) -> Job:
    """Return the job of a trial, whose configuration is written to its folder.

    With `within_s` it has as many of its epochs as fit into that many seconds.
    """
    folder = run.folder.trial(record.number)
    config = trial_config(run.config, run.space, record.params, folder.alone, record.repeat)
    folder.write_config(config)
    search = run.config.search
    # A repeat measures the same network again, and noise must not refuse it now.
    request = TrainRequest(
        config,
        folder.path,
        run.shared,
        within_s=within_s,
        solve_s=run.estimates.trial_solve_s,
        constrained=record.repeat_of is None,
        answers=run.config.ensemble is not None,
        all_folds=not SCHEDULERS[search.scheduler.name].cuts_short,
    )
    return replace(
        job_of("train", request, folder.log("train"), run.config),
        timeout_s=search.trial_timeout_s,
        memory_mb=search.trial_memory_mb,
        epochs=config.training.epochs,
        provisional=config.compression.in_trials,
        folds=run.estimates.networks,
    )


def _smaller(run: Run) -> str:
    """Return the key of the option that makes the items smaller, or an empty text."""
    option = INPUTS[run.config.data.input.name].smaller
    return f"data.input.{option}" if option else ""


def _shorter(longest_s: float | None, left: float | None) -> float | None:
    return None if longest_s is None or left is None else max(0.0, min(longest_s, left))


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else deadline - time.monotonic()


class _Reserve(Listener):
    """Updates the end of the trials as the estimates for the later stages improve."""

    def __init__(self, coordinator: Coordinator, run: Run, stage: Search) -> None:
        self.coordinator, self.run, self.stage = coordinator, run, stage

    def replay(self, until: float | None) -> None:
        """Take over the trials that a search that is continued has already; it ends by `until` at the latest."""
        for record in self.run.study.records():
            self._note(record)
        self._update(until)

    def on_end(self, record: TrialRecord) -> None:
        """Update the estimates."""
        self._note(record)
        self._update()

    def _note(self, record: TrialRecord) -> None:
        with contextlib.suppress(BundleError):
            result = read_record(self.run.folder.trial(record.number))
            self.run.estimates.ended(record.number, result, self._epochs(record))

    def _update(self, latest: float | None = None) -> None:
        self.run.estimates.learn([item.first for item in self.run.study.settled()])
        until = self.run.until(self.stage)
        if until is not None:
            until = until if latest is None else min(until, latest)
            deadline, useful_s = until - GRACE_S, self.run.estimates.useful_trial_s
            last = None if useful_s is None else deadline - useful_s
            self.coordinator.limits = replace(self.coordinator.limits, deadline=deadline, last_start=last)

    def _epochs(self, record: TrialRecord) -> float:
        """Return the epochs of a trial over all training items: those of a shortened one have fewer steps."""
        config = read_run_config(self.run.folder.trial(record.number).config)
        trained, whole = config.training, with_all_steps(config, self.run.config).training
        epochs = trained.progressive.whole_epochs(max(record.curve, default=0))
        items = self.run.results["check"].train
        return epochs * trained.steps(items) / whole.steps(items)


class _Shortened(Listener):
    """Tells which of the trials with limited time had fewer epochs than configured."""

    def __init__(self, run: Run, limited: Collection[int]) -> None:
        self.run, self.limited = run, limited

    def on_end(self, record: TrialRecord) -> None:
        """Show the notes of the trial's own record."""
        if record.number not in self.limited or not record.finished:
            return
        with contextlib.suppress(BundleError):
            told = set(self.run.results["check"].notes)
            for note in read_record(self.run.folder.trial(record.number)).notes:
                if note in told:
                    continue
                self.run.observer.on_message(f"trial {record.number}: {note}")
