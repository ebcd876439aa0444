"""A fault of the machine ends the search, is no property of a configuration, and its trial is asked again."""

import errno
import os
import signal
import time
from pathlib import Path

import pytest

from paddle_automl.core.errors import ConfigError, MachineError, OutputError, SearchFailedError, TrialError
from paddle_automl.search.background import Background
from paddle_automl.search.coordinator import Coordinator
from paddle_automl.search.executors._fork_server import fork_server
from paddle_automl.search.executors.base import Failed, Finished, Job, run_job, target_of
from paddle_automl.search.executors.local import Local
from paddle_automl.search.limits import SearchLimits
from paddle_automl.search.records import KILLED_TWICE
from tests.unit.search import jobs
from tests.unit.search.helpers import (
    SMALL,
    Recorder,
    Scripted,
    controller,
    open_study,
    scheduler,
    script,
    search,
)
from tests.unit.search.test_study_faults import kill


class Faulty(Scripted):
    """Ends a job with the event's cause where the script ends with a pair of reason and cause."""

    def poll(self, timeout_s):
        events = super().poll(timeout_s)
        return [
            Failed(event.id, event.reason[1:], cause=event.reason.split(" ")[0][1:])
            if isinstance(event, Failed) and event.reason.startswith("!")
            else event
            for event in events
        ]


def run(tmp_path, *ends, trials=3):
    """Run a search whose trials end one after the other as `ends` say, then well."""
    waiting = list(ends)
    with open_study(tmp_path, space=SMALL) as study:
        _, recorder = search(
            study,
            lambda record: script(0.5, end=waiting.pop(0)) if waiting else script(0.5),
            limits=SearchLimits(trials=trials),
            executor=Faulty(),
            baseline={"a": 2, "b": "y"},
        )
        return study.records(), recorder


def records(tmp_path):
    with open_study(tmp_path, space=SMALL) as study:
        return study.records()


def test_a_full_disk_stops_the_search_and_the_baseline_is_asked_again(tmp_path):
    with pytest.raises(MachineError, match=r"trial 0: machine best.pdparams: .*configuration is not the cause"):
        run(tmp_path, "!machine best.pdparams: cannot be written: No space left on device")
    (first,) = records(tmp_path)
    assert (first.state, first.reason, first.counted) == ("failed", "interrupted", False)
    found, _ = run(tmp_path)
    assert [(r.state, r.baseline, r.retry_of) for r in found[:2]] == [("failed", True, None), ("complete", True, 0)]
    assert found[1].params == first.params
    assert sum(record.counted for record in found) == 3


def test_the_machine_may_fail_as_often_as_it_likes(tmp_path):
    for _ in range(4):
        with pytest.raises(MachineError):
            run(tmp_path, "!machine its process could not be started")
    found, _ = run(tmp_path)
    assert [record.reason for record in found[:4]] == ["interrupted"] * 4
    assert found[4].baseline
    assert found[4].state == "complete"


def test_a_trial_killed_from_outside_is_tried_again_at_once(tmp_path):
    found, recorder = run(tmp_path, "!killed by signal 9")
    assert [record.state for record in found] == ["failed", "complete", "complete", "complete"]
    assert (found[0].reason, found[0].counted) == ("interrupted", False)
    assert (found[1].retry_of, found[1].baseline, found[1].params) == (0, True, found[0].params)
    assert any("trial 0: killed by signal 9; the same choices are tried again" in m for m in recorder.messages)


def test_after_the_second_kill_the_choices_count_as_failed(tmp_path):
    found, _ = run(tmp_path, "!killed by signal 9", "!killed by signal 9")
    assert [record.state for record in found] == ["failed", "failed", "complete", "complete"]
    assert found[1].reason == "killed by signal 9, for the second time"
    assert found[1].counted


def test_two_trials_killed_together_are_both_tried_again(tmp_path):
    ends = iter(["!killed by signal 9", "!killed by signal 9"])
    with open_study(tmp_path, space=SMALL) as study:
        search(
            study,
            lambda record: script(0.5, end=next(ends, {"metrics": {"accuracy": 0.5}})),
            limits=SearchLimits(trials=3),
            executor=Faulty(workers=2),
        )
        found = study.records()
    assert [record.retry_of for record in found[2:4]] == [0, 1]
    assert sum(record.state == "complete" for record in found) == 3


def test_what_the_executor_lost_is_tried_again_as_often_as_it_says(tmp_path):
    found, _ = run(tmp_path, "!lost fork server", "!lost fork server", "!lost fork server")
    assert [record.reason for record in found[:3]] == ["interrupted"] * 3
    assert [record.state for record in found[3:]] == ["complete"] * 3


class Beside(Background):
    """One job beside the trials, which ends by a fault of the machine."""

    def __init__(self, cause):
        self.steps, self.heard = [[f"!{cause} x"]], []

    def next(self):
        return Job("nowhere:run", self.steps.pop(), log_file="background.log") if self.steps else None

    def on_end(self, event):
        self.heard.append(event)


@pytest.mark.parametrize("cause", ["killed", "lost", "machine"])
def test_a_job_beside_the_trials_never_stops_the_search(tmp_path, cause):
    beside = Beside(cause)
    with open_study(tmp_path, space=SMALL) as study:
        limits = SearchLimits(trials=2)
        search(study, lambda record: script(0.5), limits=limits, executor=Faulty(), background=beside)
        assert [record.state for record in study.records()] == ["complete", "complete"]
    assert [event.cause for event in beside.heard] == [cause]


def test_a_kill_of_the_trial_and_one_of_the_search_are_two(tmp_path):
    with pytest.raises(MachineError):
        run(tmp_path, "!killed by signal 9", "!machine No space left on device")
    study = open_study(tmp_path, space=SMALL)
    assert study.ask(controller(space=SMALL)).retry_of == 1
    kill(study)
    assert [record.reason for record in records(tmp_path)] == ["interrupted", "interrupted", KILLED_TWICE]


def test_other_trials_that_run_are_asked_again_too(tmp_path):
    with open_study(tmp_path, space=SMALL) as study:
        ends = {0: script(0.5, end="hang"), 1: script(0.5, end="!machine No space left on device")}
        with pytest.raises(MachineError):
            search(study, lambda record: ends[record.number], executor=Faulty(workers=2))
        assert [record.reason for record in study.records()] == ["interrupted", "interrupted"]
        assert study.waiting


def test_what_cannot_be_recorded_on_the_full_disk_does_not_hide_the_fault(tmp_path, monkeypatch):
    with open_study(tmp_path, space=SMALL) as study:

        def full(*given):
            raise OutputError("study.db: no space left on the disk")

        def end(record):
            monkeypatch.setattr(study, "interrupt", full)
            return script(0.5, end="!machine No space left on device")

        with pytest.raises(OutputError, match=r"study\.db: no space left"):
            search(study, end, executor=Faulty())
    # Found running, at no fault of its own.
    assert [record.reason for record in records(tmp_path)] == ["interrupted"]


@pytest.mark.parametrize("error", [OutputError("folder: No space left"), OSError(errno.ENOSPC, "No space left")])
def test_a_folder_that_cannot_be_made_stops_the_search(tmp_path, error):
    def fail(record):
        raise error

    with open_study(tmp_path, space=SMALL) as study:
        with pytest.raises(MachineError, match=r"trial 0: .*No space left"):
            search(study, fail, executor=Faulty())
        assert study.records()[0].reason == "interrupted"
        with pytest.raises(SearchFailedError if isinstance(error, OutputError) else FileNotFoundError):
            search(study, raising(error), executor=Faulty(), limits=SearchLimits(trials=1))


def raising(error):
    """Return what raises an error that is no fault of the machine: of the package, or of the system."""

    def fail(record):
        raise ConfigError("bad") if isinstance(error, OutputError) else FileNotFoundError(errno.ENOENT, "gone")

    return fail


def ended(tmp_path, function, request, between=lambda local: None, log="trial.log"):
    with Local(Local.Config(), workers=2, device="cpu") as local:
        local.submit(1, Job(target_of(function), request, tmp_path / log))
        between(local)
        end = time.monotonic() + 30
        while time.monotonic() < end:
            for event in local.poll(0.5):
                if isinstance(event, Failed | Finished):
                    return event
                local.reply(event.id, True)
    raise AssertionError("the job did not end")


def test_the_local_executor_tells_causes_apart(tmp_path):
    for how, cause in (
        ("full disk", "machine"),
        ("kill", "killed"),
        ("crash", "job"),
        ("exit", "job"),
        ("raise", "job"),
    ):
        event = ended(tmp_path, end_by, {"how": how})
        assert isinstance(event, Failed), how
        assert event.cause == cause, (how, event)


def test_a_log_that_cannot_be_written_is_the_machines(tmp_path):
    (tmp_path / "file").write_text("")
    event = ended(tmp_path, jobs.curve, {"final": 1.0}, log="file/trial.log")
    assert (event.cause, type(event.error)) == ("machine", OutputError)
    assert "trial.log: cannot be written: " in event.reason


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork servers of POSIX systems")
def test_a_fork_server_that_was_killed_is_the_machines_and_its_job_does_not_compute_on(tmp_path):
    pids = []

    def kill_server(local):
        end = time.monotonic() + 30
        while not pids and time.monotonic() < end:
            local.poll(0.2)
            pids.extend(local._running[1].process.pid for _ in range(1) if (tmp_path / "trial.log").exists())
        os.kill(fork_server(), signal.SIGKILL)

    event = ended(tmp_path, end_by, {"how": "sleep"}, kill_server)
    assert event.cause == "lost"
    assert "fork server" in event.reason
    end = time.monotonic() + 10
    while os.path.exists(f"/proc/{pids[0]}") and time.monotonic() < end:
        time.sleep(0.1)
    assert not os.path.exists(f"/proc/{pids[0]}")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork servers of POSIX systems")
def test_a_fork_server_is_started_anew_once_and_a_second_loss_is_the_machines(tmp_path):
    causes = []
    with Local(Local.Config(), workers=2, device="cpu") as local:
        for _ in range(2):
            for id in (1, 2):
                local.submit(id, Job(target_of(end_by), {"how": "sleep"}, tmp_path / f"{id}.log"))
            os.kill(fork_server(), signal.SIGKILL)
            found = []
            while len(found) < 2:
                found += local.poll(1.0)
            causes.append([event.cause for event in found])
        assert run_job(local, Job(target_of(end_by), {"how": "well"}, tmp_path / "log"))["well"]
    # Both jobs of a server are lost with it.
    assert causes == [["lost", "lost"], ["machine", "machine"]]


def test_a_job_of_a_stage_that_was_killed_is_run_once_more(tmp_path):
    seen = tmp_path / "seen"
    job = Job(target_of(end_by), {"how": "kill once", "seen": str(seen)}, tmp_path / "log")
    with Local(Local.Config(), workers=1, device="cpu") as local:
        assert run_job(local, job)["well"]
        with pytest.raises(TrialError, match="killed by signal 9"):
            run_job(local, Job(target_of(end_by), {"how": "kill"}, tmp_path / "log"))


def test_a_search_goes_on_when_the_process_of_a_trial_is_killed(tmp_path):
    def make_job(record):
        request = {"how": "kill once", "seen": str(tmp_path / "seen")}
        return Job(target_of(end_by), request, tmp_path / f"{record.number}.log")

    with open_study(tmp_path, space=SMALL) as study, Local(Local.Config(), workers=1, device="cpu") as local:
        limits, heard = SearchLimits(trials=2), Recorder()
        asking = controller(space=SMALL)
        Coordinator(study, asking, scheduler(), local, make_job, limits=limits, listeners=[heard]).run()
        found = study.records()
    assert [record.state for record in found] == ["failed", "complete", "complete"]
    assert found[1].params == found[0].params
    assert "trial 0: killed by signal 9" in heard.messages[0]


def end_by(request, worker):
    """End in the way that the request names."""
    how = request["how"]
    if how == "well" or (how == "kill once" and Path(request["seen"]).exists()):
        return {"well": True, "metrics": {"accuracy": 0.5}}
    if how == "kill once":
        Path(request["seen"]).touch()
        how = "kill"
    if how == "full disk":
        raise OSError(errno.ENOSPC, "No space left on device", "best.pdparams")
    if how == "raise":
        raise ValueError("bad")
    if how == "sleep":
        time.sleep(60)
    if how == "exit":
        os._exit(255)
    os.kill(os.getpid(), signal.SIGKILL if how == "kill" else signal.SIGSEGV)
    return {}
