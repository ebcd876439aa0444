"""What several test modules of the search need: a space, controllers, a scripted executor."""

import contextlib
import itertools
from pathlib import Path

from paddle_automl.search.config import SearchConfig
from paddle_automl.search.controllers.base import CONTROLLERS
from paddle_automl.search.coordinator import Coordinator
from paddle_automl.search.executors.base import Capacity, Executor, Failed, Finished, Job, Reported
from paddle_automl.search.limits import SearchLimits
from paddle_automl.search.listener import Listener
from paddle_automl.search.schedulers.base import SCHEDULERS
from paddle_automl.search.study import Study
from paddle_automl.space import SearchSpace

SPACE = SearchSpace.parse(
    {
        "net": {"wide": {"width": {"choice": [8, 16, None]}, "depth": {"int": [1, 9]}}, "plain": {}},
        "rate": {"log": [1e-4, 1.0]},
        "drop": {"float": [0, 0.5], "step": 0.1},
        "flags": {"choice": [True, "yes", [1, 2]]},
    }
)
SMALL = SearchSpace.parse({"a": {"choice": [1, 2, 3]}, "b": {"choice": ["x", "y"]}})
ACCURACY = SearchConfig().objectives
TWO = SearchConfig.model_validate({"objectives": [{"metric": "accuracy"}, {"metric": "parameters"}]}).objectives


def controller(name="random_search", space=SPACE, objectives=ACCURACY, seed=0, **options):
    config = SearchConfig.model_validate({"controller": {"name": name, **options}}).controller
    return CONTROLLERS[name](config, space=space, objectives=objectives, seed=seed)


def scheduler(name="none", **options):
    config = SearchConfig.model_validate({"scheduler": {"name": name, **options}}).scheduler
    return SCHEDULERS[name](config)


def open_study(folder, space=SPACE, objectives=ACCURACY, **identity):
    return Study.open(folder / "study.db", space=space, objectives=objectives, identity=identity)


class Scripted(Executor):
    """Runs each job in place; its request holds the script: accuracies, and how it ends."""

    def __init__(self, workers=1):
        self._workers = workers
        self._jobs = {}
        self._events = []
        self.killed = []

    def capacity(self):
        return Capacity(self._workers, ("cpu",), 1)

    @property
    def free(self):
        return self._workers - len(self._jobs)

    def submit(self, id, job):
        assert self.free > 0
        self._jobs[id] = iter(job.request)
        self._step(id, None)

    def _step(self, id, go_on):
        job = self._jobs[id]
        if go_on is False:
            job = itertools.dropwhile(lambda step: not isinstance(step, dict | str | Exception), job)
        step = next(job)
        if isinstance(step, tuple):
            self._events.append(Reported(id, *step))
        elif isinstance(step, dict):
            self._events.append(Finished(id, step))
        elif step == "hang":
            pass
        elif isinstance(step, Exception):
            self._events.append(Failed(id, str(step), step))
        else:
            self._events.append(Failed(id, step))

    def poll(self, timeout_s):
        events, self._events = self._events, []
        for event in events:
            if not isinstance(event, Reported):
                del self._jobs[event.id]
        return events

    def reply(self, id, go_on):
        self._step(id, go_on)

    def kill(self, id, reason):
        if id in self._jobs:
            self.killed.append((id, reason))
            self._events = [event for event in self._events if event.id != id] + [Failed(id, reason)]

    def close(self):
        self._jobs.clear()


def script(*values, end=None):
    """Return a script that reports accuracies and ends with the last one, or with `end`."""
    reports = [(epoch, {"accuracy": value}) for epoch, value in enumerate(values, 1)]
    return [*reports, end if end is not None else {"metrics": {"accuracy": values[-1]}}]


class Recorder(Listener):
    """Keeps what it was told."""

    def __init__(self):
        self.started, self.ended, self.reports, self.messages = [], [], [], []

    def on_start(self, record):
        self.started.append(record)

    def on_end(self, record):
        self.ended.append(record)

    def on_report(self, record, epoch, metrics):
        self.reports.append((record.number, epoch, dict(metrics)))

    def on_message(self, message):
        self.messages.append(message)


def search(
    study, script_of, *, limits=None, workers=1, executor=None, epochs=None, provisional=False, folds=1, **parts
):
    """Run a search whose trials follow `script_of(record)`; return its ending and its listener."""
    recorder = Recorder()
    executor = executor or Scripted(workers)

    def make_job(record):
        log = Path(f"{record.number}.log")
        return Job("scripted", script_of(record), log, epochs=epochs, provisional=provisional, folds=folds)

    coordinator = Coordinator(
        study,
        parts.get("controller") or controller(space=study.space, objectives=study.objectives),
        parts.get("scheduler") or scheduler(),
        executor,
        make_job,
        limits=limits or SearchLimits(trials=5),
        listeners=[recorder],
        baseline=parts.get("baseline"),
        first=parts.get("first", ()),
        background=parts.get("background"),
        smaller=parts.get("smaller", ""),
    )
    with contextlib.closing(executor):
        return coordinator.run(), recorder
