"""The coordinator: asks the controller, gives trials to the executor, writes the study, enforces the limits.

It prints nothing; events are reported to listeners.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean

from paddle_automl.core.errors import AutoMLError, OutputError, SearchFailedError
from paddle_automl.core.machine_faults import is_machine_fault
from paddle_automl.search.background import BACKGROUND, POLL_S, Background, BackgroundSlot
from paddle_automl.search.configurations import to_repeat
from paddle_automl.search.controllers.base import Controller
from paddle_automl.search.executors.base import KILL_WAIT_S, Event, Executor, Failed, Finished, Job, Reported
from paddle_automl.search.interrupt import CtrlC
from paddle_automl.search.learning.final_choice import FINALISTS
from paddle_automl.search.limits import Ending, SearchLimits
from paddle_automl.search.listener import Listener
from paddle_automl.search.progress import Progress, common_failure, nothing_usable
from paddle_automl.search.records import INTERRUPTED, NO_TIME, TrialRecord
from paddle_automl.search.running import Running, RunningTrial, stopped_by_machine
from paddle_automl.search.schedulers.base import Scheduler
from paddle_automl.search.study import Study
from paddle_automl.space import Params

DUPLICATES_IN_A_ROW = 20
REFUSED_IN_A_ROW = 100
"""So many networks beyond the constraints, one after the other, end the search."""


class Coordinator:
    """Runs one search. `make_job` turns a trial's record into the job that evaluates it.

    First the controller's proposals, then, as long as there is time, the planned repeats of the best
    (`SearchLimits.repeats`), for whatever reason the proposals ended. A job's result is
    ``{"metrics": {name: number}}`` with the metrics of all objectives. A study without trials begins with
    `baseline`, then those `given`, then `first`. `background` may use a free slot between two trials. `smaller` is
    the key of an option that makes items smaller, to be named where no trial has enough time.
    """

    def __init__(  # noqa: PLR0913  each argument is a separate choice of the caller
        self,
        study: Study,
        controller: Controller,
        scheduler: Scheduler,
        executor: Executor,
        make_job: Callable[[TrialRecord], Job],
        *,
        limits: SearchLimits,
        listeners: Sequence[Listener] = (),
        baseline: Params | None = None,
        first: Sequence[Params] = (),
        given: Sequence[Params] = (),
        background: Background | None = None,
        smaller: str = "",
    ) -> None:
        self.study = study
        self.controller = controller
        self.executor = executor
        self.make_job = make_job
        self.limits = limits
        self.listeners = tuple(listeners)
        self.baseline = baseline
        self.first = tuple(first)
        self.given = tuple(given)
        self.smaller = smaller
        self._running = Running(study, scheduler)
        self._started = time.monotonic()
        self._log: Path | None = None
        self._failures: list[TrialRecord] = []
        self._duplicates = 0
        self._refused: list[TrialRecord] = []
        self._inbox: deque[Event] = deque()
        self._background = BackgroundSlot(executor, background, self._inbox)
        self._ctrl_c = CtrlC()
        self._progress = Progress(study.objectives)

    def run(self) -> Ending:
        """Run trials until a limit is reached and return why the search ended.

        Ctrl-C ends it cleanly: running trials are run again when the search is continued. A fault of the machine
        does the same, with MachineError or OutputError. A trial that was killed from outside is run once more at
        once. Raises SearchFailedError if no trial is usable.
        """
        for record in self.study.records():
            self._note(record)
        self.study.enqueue_first(self.baseline, self.first, given=self.given)
        try:
            with self._ctrl_c:
                ending = self._loop()
        except BaseException as error:
            # A trial that cannot be recorded on a full disk is found running at the next start, and run again.
            with contextlib.suppress(*([OutputError] if is_machine_fault(error) else [])):
                self._abandon()
            raise
        if ending.reason != "interrupted" and not self.study.ranking():
            refused = self._refused[-1].reason if self._refused else ""
            raise SearchFailedError(
                nothing_usable(ending.message, self._failures, self.study.space, self._log, refused, self.smaller)
            )
        if ending.reason == "trials" and self.study.waiting:
            waiting = self.study.waiting
            self._tell(f"search.trials: {waiting} configurations that were to come first were not tried")
        return self._with_repeats(ending)

    def _loop(self) -> Ending:
        while True:
            ending = self._why_not_ask()
            if ending is not None and ending.reason == "interrupted":
                self._tell(f"interrupted: stopping {len(self._running)} running trial(s)")
                self._abandon()
                return ending
            # No trial starts any more, but there is time for the first background job.
            spare = self._too_late_to_start() and not self._late()
            if ending is None or (spare and not self._background.ended):
                self._background.start()
            if self.executor.free > 0 and (ending is None or self._repeats(ending)):
                self._ask(repeat=ending is not None)
            elif ending is not None and not self._running and not (spare and self._background.busy):
                self._background.end()
                return ending
            else:
                self._inbox.extend(self.executor.poll(POLL_S))
                while self._inbox:
                    self._handle(self._inbox.popleft())
            self._give_up_after_failures()
            self._keep_deadline()

    def _why_not_ask(self) -> Ending | None:
        """Return why nothing new may start now; if nothing runs or is to be repeated, this ends the search."""
        limits, progress = self.limits, self._progress
        running = len(self._running)
        exploring = running - len(self._running.repeated)
        if self._ctrl_c.pressed:
            return Ending("interrupted", "interrupted by Ctrl-C")
        if self._late() or self._too_late_to_start() or self._only_repeats_fit():
            return Ending("deadline", "the time for searching is used up")
        if progress.counted + running >= limits.trials or (
            progress.explored + exploring >= limits.trials - limits.planned
        ):
            return Ending("trials", f"all {limits.trials} trials are done")
        if limits.stop_after is not None and progress.since >= limits.stop_after:
            return Ending("no improvement", f"no improvement in the last {progress.since} trials")
        if self._duplicates >= DUPLICATES_IN_A_ROW:
            return Ending("exhausted", f"the last {self._duplicates} proposals were known trials")
        if len(self._refused) >= REFUSED_IN_A_ROW:
            return Ending("exhausted", f"the last {len(self._refused)} networks were beyond search.constraints")
        if self.executor.free > 0 and self.study.exhausted(self.controller):
            return Ending("exhausted", "everything in the search space was tried")
        return None

    def _only_repeats_fit(self) -> bool:
        """Return whether the time left is only enough for the planned repeats of the best."""
        if self.limits.deadline is None or not self.limits.planned:
            return False
        seconds = [record.seconds for record in self.study.ranking()[:FINALISTS]]
        if not seconds:
            return False
        workers = self.executor.free + len(self._running) + self._background.busy
        ends = self.limits.exploring_ends(self._started, self._progress.explored, fmean(seconds) / workers)
        return ends is not None and time.monotonic() >= ends

    def _repeats(self, ending: Ending) -> bool:
        """Schedule a repeat of one of the best configurations; return whether there is one."""
        limits, progress = self.limits, self._progress
        if self._late() or self._too_late_to_start():
            return False
        # A search that ends early has as many repeats as a search of that length.
        planned = limits.planned if ending.reason == "trials" else limits.planned_after(progress.explored)
        left = min(planned - progress.repeated, limits.trials - progress.counted)
        running = self._running.repeated
        if left > len(running) and self.study.waiting_repeats:
            return True
        number = to_repeat(self.study.records(), self.study.objectives, left - len(running), running)
        if number is None:
            return False
        self.study.repeat(number)
        return True

    def _with_repeats(self, ending: Ending) -> Ending:
        progress = self._progress
        if ending.reason == "interrupted":
            return ending
        if ending.reason == "trials" and progress.counted < self.limits.trials:
            text = f"{progress.counted} trials are done, and there is nothing to repeat"
            return replace(ending, message=text)
        if not progress.repeated:
            return ending
        how = "of them repeats" if ending.reason == "trials" else "repeats"
        return replace(ending, message=f"{ending.message}, {progress.repeated} {how} for the final choice")

    def _late(self) -> bool:
        return self.limits.deadline is not None and time.monotonic() >= self.limits.deadline

    def _too_late_to_start(self) -> bool:
        last = self.limits.last_start
        return last is not None and time.monotonic() >= last and bool(self._progress.explored)

    def _ask(self, *, repeat: bool) -> None:
        record = self.study.ask(self.controller, repeat=repeat)
        if record.duplicate_of is not None:
            self._duplicates += 1
            if record.state != "running":
                self._ended([record])
            return
        self._duplicates = 0
        if self._late():
            # The controller took long and nothing may start now, so it is asked again when the search continues.
            self._ended(self.study.interrupt(record.number))
            return
        try:
            job = self.make_job(record)
        except (AutoMLError, OSError) as error:
            if is_machine_fault(error):
                self._ended(self.study.interrupt(record.number))
                raise stopped_by_machine(record.number, str(error)) from error
            if not isinstance(error, AutoMLError):
                raise
            self._ended(self.study.fail(record.number, str(error)))
            return
        self._log = job.log_file
        self._running.trials[record.number] = RunningTrial(record, job)
        self.executor.submit(record.number, job)
        for listener in self.listeners:
            listener.on_start(record)

    def _handle(self, event: Event) -> None:
        if event.id == BACKGROUND:
            self._background.handle(event)
            return
        if not isinstance(event, Reported):
            records = self._running.end(event)
            self._ended(records)
            if isinstance(event, Failed) and event.cause == "machine":
                raise stopped_by_machine(event.id, event.reason)
            if isinstance(event, Failed) and records[0].reason == INTERRUPTED:
                self._tell(f"trial {event.id}: {event.reason}; the same choices are tried again")
            return
        go_on = self._running.report(event)
        for listener in self.listeners:
            listener.on_report(self._running.trials[event.id].record, event.epoch, event.metrics)
        self.executor.reply(event.id, go_on=go_on)

    def _ended(self, records: Sequence[TrialRecord]) -> None:
        for record in records:
            self._note(record)
            for listener in self.listeners:
                listener.on_end(record)
            if record.state == "failed" and record.counted:
                self._failures.append(record)
            if record.counted:
                self._refused.clear()
            elif record.infeasible and record.duplicate_of is None:
                self._refused.append(record)

    def _give_up_after_failures(self) -> None:
        if len(self._failures) >= self.limits.max_failures and not self.study.ranking():
            why = common_failure(self._failures, self.study.space, self._log)
            raise SearchFailedError(f"the first {len(self._failures)} trials all failed; {why}")

    def _note(self, record: TrialRecord) -> None:
        self._progress.add(record)
        self._running.know(record)

    def _keep_deadline(self) -> None:
        if not self._late():
            return
        self._background.end()
        now = time.monotonic()
        fresh = [trial for trial in self._running.trials.values() if trial.kill_at is None]
        for trial in fresh:
            trial.kill_at = now + self.limits.grace_s
        if fresh:
            self._tell(f"the time for searching is used up: stopping {len(fresh)} running trial(s)")
        for number, trial in self._running.trials.items():
            if trial.kill_at is not None and now >= trial.kill_at:
                self.executor.kill(number, NO_TIME)

    def _abandon(self) -> None:
        """Kill running jobs; results that had just finished are kept, the other trials are run again later."""
        self._background.end()
        for number in self._running.trials:
            self.executor.kill(number, INTERRUPTED)
        ended: list[TrialRecord] = []
        open_ends = set(self._running.trials)
        give_up = time.monotonic() + KILL_WAIT_S
        while open_ends and time.monotonic() < give_up:
            self._inbox.extend(self.executor.poll(POLL_S))
            while self._inbox:
                event = self._inbox.popleft()
                if isinstance(event, Finished):
                    ended += self._running.end(event)
                if not isinstance(event, Reported):
                    open_ends.discard(event.id)
        for number in sorted(self._running.trials):
            ended += self.study.interrupt(number)
        self._running.trials.clear()
        self._ended(ended)

    def _tell(self, message: str) -> None:
        for listener in self.listeners:
            listener.on_message(message)
