"""The stage that computes features: all workers at once, the time, and what fails."""

import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from paddle_automl.core.errors import DataError, TimeUpError
from paddle_automl.core.loading import validate
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.progress.observer import Observer
from paddle_automl.pipeline.stages import features as stage
from paddle_automl.pipeline.stages.features import VIEWS, _Progress, _settings, _Views, run_together
from paddle_automl.search.executors.base import Failed, Finished, Job, Reported


class Scripted:
    """An executor whose jobs have events that a test writes down."""

    def __init__(self, *events):
        self.events, self.running, self.killed, self.replies = list(events), set(), [], []

    def submit(self, id, job):
        self.running.add(id)

    def poll(self, timeout_s):
        if self.killed:
            return [Failed(id, "cancelled") for id in self.killed]
        if not self.events:
            time.sleep(0.01)
            return []
        return [self.events.pop(0)]

    def reply(self, id, go_on):
        self.replies.append((id, go_on))

    def kill(self, id, reason):
        self.killed.append(id)


JOBS = [Job("x:y", None, Path("log")), Job("x:y", None, Path("log"))]


class Local(Scripted):
    """As processes of this machine: a poll may have the ends of several jobs, and an end is told once."""

    def poll(self, timeout_s):
        for id in set(self.killed) & self.running:
            self.running.discard(id)
            return [Failed(id, "cancelled")]
        assert self.events, "waits for jobs that have ended"
        found = self.events.pop(0)
        self.running -= {event.id for event in found if not isinstance(event, Reported)}
        return found


def go(executor, until=None):
    seen = []
    run_together(executor, JOBS, lambda *report: seen.append(report), until)
    return seen


def test_all_parts_run_and_report():
    executor = Scripted(
        Reported(1, 16, {"items": 30.0}), Finished(0, {}), Reported(1, 30, {"items": 30.0}), Finished(1, {})
    )
    assert go(executor) == [(1, 16, {"items": 30.0}), (1, 30, {"items": 30.0})]
    assert executor.running == {0, 1}
    assert executor.replies == [(1, True), (1, True)]
    assert not executor.killed


def test_the_error_of_a_part_ends_the_others():
    executor = Scripted(Failed(0, "bad", DataError("data: bad")))
    with pytest.raises(DataError, match="data: bad"):
        go(executor)
    assert executor.killed == [1]


def test_parts_that_fail_at_once_are_not_waited_for():
    executor = Local([Failed(0, "bad", DataError("data: bad")), Failed(1, "bad", DataError("data: bad, too"))])
    with pytest.raises(DataError, match=r"data: bad$"):
        go(executor)
    assert not executor.killed


def test_a_part_that_ends_beside_a_slow_one_is_not_waited_for():
    def too_slow(*report):
        raise TimeUpError("too slow")

    executor = Local([Reported(0, 16, {"items": 30.0}), Finished(1, {})])
    with pytest.raises(TimeUpError, match="too slow"):
        run_together(executor, JOBS, too_slow, None)
    assert executor.killed == [0]
    assert not executor.running


def test_a_part_that_died_is_left_to_the_trials():
    assert go(Scripted(Failed(0, "killed", cause="killed"), Finished(1, {}))) == []


def test_each_set_of_options_that_features_depend_on_is_computed(tmp_path):
    given = {"backbone": {"name": "resnet"}, "pretrained": str(tmp_path / "x.pdparams"), "freeze": "backbone"}
    models = [
        {**given, "test_time_augmentation": views, "dropout": dropout}
        for views in ("none", "mirror")
        for dropout in (0.0, 0.5)
    ]
    configs = [validate(RunConfig, {"model": model}) for model in models]
    run = SimpleNamespace(candidates=[SimpleNamespace(config=config) for config in configs])
    assert [config.model.test_time_augmentation for config in _settings(run)] == ["none", "mirror"]


def test_views_of_each_kind_are_computed_in_the_time_of_all(tmp_path, monkeypatch):
    """Those that are missing would be computed by a trial, without a limit."""
    model = {"pretrained": str(tmp_path / "x.pdparams"), "freeze": "backbone"}
    flipped = {"count": 2, "augment": ["horizontal_flip"]}
    kinds = [{}, flipped, {"count": 1, "augment": ["vertical_flip"]}, flipped, {"augment": ["vertical_flip"]}]
    configs = [validate(RunConfig, {"model": model, "data": {"feature_views": views}}) for views in kinds]
    requests = []
    monkeypatch.setattr(stage, "run_together", lambda executor, jobs, *_: requests.extend(jobs) or [])
    run = SimpleNamespace(
        candidates=[SimpleNamespace(config=config) for config in configs],
        config=validate(RunConfig, {"budget": {"time": 1000}}),
        folder=SimpleNamespace(splits=tmp_path / "splits", log=lambda name: tmp_path / name),
        executor=SimpleNamespace(capacity=lambda: SimpleNamespace(workers=1)),
        observer=Observer(),
        reserved=lambda stage: {},
    )
    stage.Features().work(run, time.monotonic() + 5000.0)
    assert [job.request.config for job in requests] == configs[:3]
    assert [job.request.views_s for job in requests] == [pytest.approx(VIEWS * 1000 / 2)] * 3


def test_the_end_of_the_time_kills_all_parts():
    executor = Scripted()
    with pytest.raises(TimeUpError):
        go(executor, until=time.monotonic() + 0.05)
    assert sorted(executor.killed) == [0, 1]


def test_a_time_that_is_too_short_is_known_early():
    shown = []

    def progress(left):
        now = time.monotonic()
        return _Progress(lambda done, metrics: shown.append(done), 2, now + left, started=now - 10.0)

    slow = progress(left=20.0)
    # 50 of 1000 items in 10 s say nothing yet, and neither do those of one part alone.
    slow.on_report(0, 50, {"items": 500.0})
    slow.on_report(1, 40, {"items": 500.0})
    with pytest.raises(TimeUpError):
        slow.on_report(1, 60, {"items": 500.0})
    assert slow.needed == pytest.approx(10.0 * 1000 / 110, rel=0.01)
    fast = progress(left=200.0)
    fast.on_report(0, 50, {"items": 500.0})
    fast.on_report(1, 60, {"items": 500.0})
    assert shown == [50, 90, 110, 50, 110]


def test_views_are_a_job_of_their_own_that_ends_nothing():
    """They have their own limit, so they cannot be too late."""
    shown = []

    class Shown(Observer):
        def job(self, name, epochs=None):
            shown.append(name)
            return lambda done, metrics: shown.append((done, metrics["items"], metrics["most_s"]))

    now = time.monotonic()
    progress = _Progress(lambda done, metrics: None, 2, now + 1.0, started=now - 10.0, views=_Views(Shown()))
    progress.on_report(0, 100, {"items": 900.0, "views": 1.0, "most_s": 20.0})
    progress.on_report(1, 150, {"items": 900.0, "views": 1.0, "most_s": 19.0})
    assert shown == ["computing the features of changed copies of the items", (100, 900, 20.0), (250, 1800, 19.0)]
    assert not progress.parts
