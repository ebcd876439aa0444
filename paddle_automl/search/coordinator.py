"""The coordinator: asks the controller, hands trials to the executor, writes the study, keeps the limits.

It prints nothing; what happens is told to listeners.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from paddle_automl.core.errors import AutoMLError, SearchFailedError, TrialError
from paddle_automl.search.controllers.base import Controller
from paddle_automl.search.executors.base import Event, Executor, Failed, Finished, Job, Reported
from paddle_automl.search.interrupt import CtrlC
from paddle_automl.search.listener import Listener
from paddle_automl.search.progress import Progress, RunningTrial, common_failure
from paddle_automl.search.records import INTERRUPTED, NO_TIME, TrialRecord
from paddle_automl.search.schedulers.base import Decision, Scheduler
from paddle_automl.search.study import Study
from paddle_automl.space import Params

POLL_S = 0.25
DUPLICATES_IN_A_ROW = 20
KILL_WAIT_S = 15.0


@dataclass(frozen=True)
class Limits:
    """When a search ends.

    `deadline` is a value of ``time.monotonic()``; a trial that runs then is asked to stop at its next report
    and killed `grace_s` seconds later.
    """

    trials: int
    deadline: float | None = None
    stop_after: int | None = None
    max_failures: int = 5
    grace_s: float = 5.0


EndReason = Literal["trials", "deadline", "exhausted", "no improvement", "interrupted"]


@dataclass(frozen=True)
class Ending:
    """Why a search ended: a word for programs, a sentence for people."""

    reason: EndReason
    message: str


class Coordinator:
    """Runs one search. `make_job` turns a trial's record into the job that evaluates it.

    A job's result is ``{"metrics": {name: number}}`` with the metrics of all objectives.
    """

    def __init__(
        self,
        study: Study,
        controller: Controller,
        scheduler: Scheduler,
        executor: Executor,
        make_job: Callable[[TrialRecord], Job],
        *,
        limits: Limits,
        listeners: Sequence[Listener] = (),
        baseline: Params | None = None,
    ) -> None:
        self.study = study
        self.controller = controller
        self.scheduler = scheduler
        self.executor = executor
        self.make_job = make_job
        self.limits = limits
        self.listeners = tuple(listeners)
        self.baseline = baseline
        self._objective = study.objectives[0]
        self._running: dict[int, RunningTrial] = {}
        self._curves: dict[int, dict[int, float]] = {}
        self._log: Path | None = None
        self._failures: list[TrialRecord] = []
        self._duplicates = 0
        self._inbox: deque[Event] = deque()
        self._ctrl_c = CtrlC()
        self._progress = Progress(study.objectives)

    def run(self) -> Ending:
        """Run trials until a limit is reached and return why the search ended.

        Ctrl-C ends it cleanly: trials that run are asked again when the search is continued. Raises
        SearchFailedError when the search ends without one usable trial.
        """
        for record in self.study.records():
            self._note(record)
        if self.baseline is not None:
            self.study.enqueue_baseline(self.baseline)
        try:
            with self._ctrl_c:
                ending = self._loop()
        except BaseException:
            self._abandon()
            raise
        if ending.reason != "interrupted" and not self.study.ranking():
            raise SearchFailedError(self._nothing_usable(ending))
        return ending

    def _loop(self) -> Ending:
        while True:
            ending = self._why_not_ask()
            if ending is not None and ending.reason == "interrupted":
                self._tell(f"interrupted: stopping {len(self._running)} running trial(s)")
                self._abandon()
                return ending
            if ending is None and self.executor.free > 0:
                self._ask()
            elif ending is not None and not self._running:
                return ending
            else:
                self._inbox.extend(self.executor.poll(POLL_S))
                while self._inbox:
                    self._handle(self._inbox.popleft())
            self._give_up_after_failures()
            self._keep_deadline()

    def _why_not_ask(self) -> Ending | None:
        """Return why no further trial may start now; with nothing running it is why the search ends."""
        limits, counted = self.limits, self._progress.counted
        if self._ctrl_c.pressed:
            return Ending("interrupted", "interrupted by Ctrl-C")
        if self._late():
            return Ending("deadline", "the time for searching is used up")
        if counted + len(self._running) >= limits.trials:
            return Ending("trials", f"all {limits.trials} trials are done")
        if limits.stop_after is not None and self._progress.since >= limits.stop_after:
            return Ending("no improvement", f"no improvement in the last {self._progress.since} trials")
        if self._duplicates >= DUPLICATES_IN_A_ROW:
            return Ending("exhausted", f"the last {self._duplicates} proposals were known trials")
        if self.executor.free > 0 and self.study.exhausted(self.controller):
            return Ending("exhausted", "everything in the search space was tried")
        return None

    def _late(self) -> bool:
        return self.limits.deadline is not None and time.monotonic() >= self.limits.deadline

    def _ask(self) -> None:
        record = self.study.ask(self.controller)
        if record.duplicate_of is not None:
            self._duplicates += 1
            if record.state != "running":
                self._ended([record])
            return
        self._duplicates = 0
        if self._late():
            # The controller took its time; nothing may start now, so it is asked again another day.
            self._ended(self.study.interrupt(record.number))
            return
        try:
            job = self.make_job(record)
        except AutoMLError as error:
            self._ended(self.study.fail(record.number, str(error)))
            return
        self._log = job.log_file
        self._running[record.number] = RunningTrial(record, job)
        self.executor.submit(record.number, job)
        for listener in self.listeners:
            listener.on_start(record)

    def _handle(self, event: Event) -> None:
        trial = self._running[event.id]
        if isinstance(event, Reported):
            self._report(trial, event)
            return
        del self._running[event.id]
        if isinstance(event, Failed):
            self._ended(self._fail(trial, event.reason))
        else:
            self._ended(self._finish(trial, event))

    def _report(self, trial: RunningTrial, event: Reported) -> None:
        trial.last_epoch = event.epoch
        value = event.metrics.get(self._objective.metric)
        usable = value is not None and math.isfinite(value)
        if value is not None and usable:
            cost = self._objective.cost(value)
            costs = self._curves.setdefault(event.id, {})
            if not costs or cost < min(costs.values()):
                trial.metrics = dict(event.metrics)
            trial.curve[event.epoch] = value
            costs[event.epoch] = cost
        for listener in self.listeners:
            listener.on_report(trial.record, event.epoch, event.metrics)
        last = trial.job.epochs is not None and event.epoch >= trial.job.epochs
        if not last:
            if trial.kill_at is not None:
                trial.stopped = NO_TIME
            elif usable:
                decision = self.scheduler.decide(event.id, event.epoch, cost, self._curves)
                if decision is Decision.STOP:
                    trial.stopped = f"stopped by the scheduler after epoch {event.epoch}"
        self.executor.reply(event.id, go_on=not trial.stopped)

    def _finish(self, trial: RunningTrial, event: Finished) -> list[TrialRecord]:
        number = trial.record.number
        try:
            metrics = _metrics(event.result)
            if trial.stopped:
                return self.study.prune(number, metrics or trial.metrics, trial.curve, trial.stopped)
            return self.study.complete(number, metrics, trial.curve)
        except TrialError as error:
            return self.study.fail(number, str(error), trial.curve)

    def _fail(self, trial: RunningTrial, reason: str) -> list[TrialRecord]:
        number = trial.record.number
        if reason == NO_TIME and trial.metrics:
            return self.study.prune(number, trial.metrics, trial.curve, NO_TIME)
        return self.study.fail(number, reason, trial.curve)

    def _ended(self, records: Sequence[TrialRecord]) -> None:
        for record in records:
            self._note(record)
            for listener in self.listeners:
                listener.on_end(record)
            if record.state == "failed" and record.counted:
                self._failures.append(record)

    def _give_up_after_failures(self) -> None:
        if len(self._failures) >= self.limits.max_failures and not self.study.ranking():
            raise SearchFailedError(self._why_failed(f"the first {len(self._failures)} trials all failed"))

    def _note(self, record: TrialRecord) -> None:
        self._progress.add(record)
        if record.finished and record.duplicate_of is None:
            self._curves[record.number] = {
                epoch: self._objective.cost(value) for epoch, value in record.curve.items()
            }
        else:
            self._curves.pop(record.number, None)

    def _keep_deadline(self) -> None:
        if not self._late():
            return
        now = time.monotonic()
        fresh = [trial for trial in self._running.values() if trial.kill_at is None]
        for trial in fresh:
            trial.kill_at = now + self.limits.grace_s
        if fresh:
            self._tell(f"the time for searching is used up: stopping {len(fresh)} running trial(s)")
        for number, trial in self._running.items():
            if trial.kill_at is not None and now >= trial.kill_at:
                self.executor.kill(number, NO_TIME)

    def _abandon(self) -> None:
        """Kill what runs; what had just finished is kept, the rest is asked again later."""
        for number in self._running:
            self.executor.kill(number, INTERRUPTED)
        ended: list[TrialRecord] = []
        open_ends = set(self._running)
        give_up = time.monotonic() + KILL_WAIT_S
        while open_ends and time.monotonic() < give_up:
            self._inbox.extend(self.executor.poll(POLL_S))
            while self._inbox:
                event = self._inbox.popleft()
                if isinstance(event, Finished):
                    ended += self._finish(self._running.pop(event.id), event)
                if not isinstance(event, Reported):
                    open_ends.discard(event.id)
        for number in sorted(self._running):
            ended += self.study.interrupt(number)
        self._running.clear()
        for record in ended:
            for listener in self.listeners:
                listener.on_end(record)

    def _tell(self, message: str) -> None:
        for listener in self.listeners:
            listener.on_message(message)

    def _nothing_usable(self, ending: Ending) -> str:
        if self._failures:
            return self._why_failed(f"{ending.message}, and no trial succeeded")
        return (
            f"{ending.message}, and no trial got through its first epoch; give more time (budget.time) "
            "or make trials smaller (training.epochs, data.image_size, the search space)"
        )

    def _why_failed(self, start: str) -> str:
        return f"{start}; {common_failure(self._failures, self.study.space, self._log)}"


def _metrics(result: Mapping[str, Any]) -> dict[str, float]:
    metrics = result.get("metrics", {})
    if not isinstance(metrics, Mapping):
        raise TrialError(f"the trial gave no metrics but {metrics!r}")
    return {str(name): value for name, value in metrics.items() if isinstance(value, int | float)}
