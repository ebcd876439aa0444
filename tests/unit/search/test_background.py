"""Work beside the trials: one job at a time in a free slot, killed with the search."""

import time

import pytest

from paddle_automl.core.errors import SearchFailedError
from paddle_automl.search.background import BACKGROUND, Background
from paddle_automl.search.coordinator import Coordinator
from paddle_automl.search.executors.base import Failed, Finished, Job
from paddle_automl.search.limits import SearchLimits
from tests.unit.search.helpers import Recorder, Scripted, controller, open_study, scheduler, script


class Jobs(Background):
    """Wants a job after each of the given numbers of trials; keeps what it heard."""

    def __init__(self, study, wanted, steps):
        self.study, self.wanted, self.steps = study, list(wanted), steps
        self.events = []

    def next(self):
        if self.wanted and len(self.study.ranking()) >= self.wanted[0]:
            self.wanted.pop(0)
            return Job("nowhere:run", self.steps, log_file="background.log")
        return None

    def on_end(self, event):
        self.events.append((len(self.study.ranking()), event))


def run(study, background, *, limits=None, workers=1, trial=("a",)):
    heard, executor = Recorder(), Scripted(workers)

    def make_job(record):
        return Job("nowhere:run", list(trial) if trial != ("a",) else script(0.5), log_file="trial.log")

    coordinator = Coordinator(
        study,
        controller(space=study.space),
        scheduler(),
        executor,
        make_job,
        limits=limits or SearchLimits(trials=4),
        listeners=[heard],
        background=background,
    )
    return coordinator.run(), executor, heard


@pytest.mark.parametrize("workers", [1, 2])
def test_a_job_runs_between_trials_and_is_no_trial(tmp_path, workers):
    with open_study(tmp_path) as study:
        background = Jobs(study, [1, 2], [(1, {}), {"done": True}])
        ending, _, heard = run(study, background, workers=workers)
        assert ending.reason == "trials"
        assert len(heard.ended) == 4
        assert [event for _, event in background.events] == [Finished(BACKGROUND, {"done": True})] * 2
        assert next(count for count, _ in background.events) < 4


def test_it_changes_no_proposal(tmp_path):
    chosen = []
    for number, wanted in enumerate(([], [1, 2, 3])):
        (tmp_path / str(number)).mkdir()
        with open_study(tmp_path / str(number)) as study:
            run(study, Jobs(study, wanted, [{"done": True}]))
            chosen.append([record.params for record in study.records()])
    assert chosen[0] == chosen[1]


def test_a_job_that_fails_or_hangs_costs_the_search_nothing(tmp_path):
    with open_study(tmp_path) as study:
        background = Jobs(study, [1], ["it broke"])
        ending, _, _ = run(study, background)
        assert (ending.reason, background.events[0][1]) == ("trials", Failed(BACKGROUND, "it broke"))


def test_a_job_that_runs_when_the_search_ends_is_killed(tmp_path):
    with open_study(tmp_path) as study:
        background = Jobs(study, [1], ["hang"])
        ending, executor, _ = run(study, background, workers=2)
        assert ending.reason == "trials"
        assert [number for number, _ in executor.killed] == [BACKGROUND]
        assert isinstance(background.events[0][1], Failed)


def test_at_the_deadline_both_are_killed(tmp_path):
    with open_study(tmp_path) as study:
        limits = SearchLimits(trials=9, deadline=time.monotonic() + 0.3, grace_s=0.1)
        with pytest.raises(SearchFailedError):
            run(study, Jobs(study, [0], ["hang"]), limits=limits, workers=2, trial=["hang"])
        assert time.monotonic() < limits.deadline + 3


def test_the_first_job_ends_before_a_search_that_starts_no_trial_any_more(tmp_path):
    with open_study(tmp_path) as study:
        background = Jobs(study, [1, 1], [(1, {}), {"done": True}])
        now = time.monotonic()
        ending, _, heard = run(study, background, limits=SearchLimits(trials=4, deadline=now + 60, last_start=now))
        assert (ending.reason, len(heard.ended)) == ("deadline", 1)
        assert [event for _, event in background.events] == [Finished(BACKGROUND, {"done": True})]
