"""The local executor, with real processes."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from paddle_automl.core.errors import ConfigError, DataError, TimeUpError, TrialError
from paddle_automl.search import machine
from paddle_automl.search.executors.base import (
    EXECUTORS,
    Capacity,
    Failed,
    Finished,
    Job,
    Reported,
    run_job,
    target_of,
)
from paddle_automl.search.executors.local import Local
from tests.unit.search import jobs


@pytest.fixture
def executor():
    with Local(Local.Config(), workers=2, device="cpu") as local:
        yield local


def job_of(function, request, log_file, **limits):
    return Job(target_of(function), request, log_file, **limits)


def drain(executor, count, timeout_s=30.0):
    """Return events until `count` jobs have ended; every report is answered with go on."""
    events, end = [], time.monotonic() + timeout_s
    while sum(not isinstance(event, Reported) for event in events) < count:
        assert time.monotonic() < end, events
        for event in executor.poll(0.5):
            events.append(event)
            if isinstance(event, Reported):
                executor.reply(event.id, True)
    return events


def misbehave(executor, tmp_path, how, **limits):
    executor.submit(7, job_of(jobs.misbehave, {"how": how}, tmp_path / "trial.log", **limits))
    (event,) = drain(executor, 1)
    assert isinstance(event, Failed)
    assert event.id == 7
    assert executor.free == 2
    return event.reason


def test_reports_and_result(executor, tmp_path):
    job = job_of(jobs.curve, {"final": 0.8, "epochs": 2}, tmp_path / "deep" / "trial.log")
    executor.submit(1, job)
    assert executor.free == 1
    one, two, end = drain(executor, 1)
    assert one == Reported(1, 1, {"accuracy": 0.4, "loss": 0.6})
    assert two.epoch == 2
    assert end == Finished(1, {"metrics": {"accuracy": pytest.approx(0.6), "loss": pytest.approx(0.4)}})


def test_the_planned_epochs_come_with_each_report(executor, tmp_path):
    executor.submit(1, job_of(jobs.curve, {"final": 0.8, "epochs": 2, "planned": 2}, tmp_path / "trial.log"))
    assert [event.epochs for event in drain(executor, 1)[:2]] == [2, 2]


def test_each_job_has_its_own_process_device_and_threads(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "devices_of", lambda device: ("cpu:a", "cpu:b"))
    with Local(Local.Config(threads=3), workers=2, scratch=tmp_path / "scratch") as local:
        assert local.capacity() == Capacity(2, ("cpu:a", "cpu:b"), 3)
        for number in (1, 2):
            local.submit(number, job_of(jobs.place, {}, tmp_path / f"{number}.log"))
        one, two = sorted(drain(local, 2), key=lambda event: event.id)
    assert one.result.pop("pid") not in {two.result.pop("pid"), os.getpid()}
    assert one.result == {"device": "cpu:a", "threads": 3, "scratch": str(tmp_path / "scratch")}
    assert two.result["device"] == "cpu:b"


def test_requests_and_results_are_typed(executor, tmp_path):
    job = job_of(jobs.answer, jobs.Question(1, tmp_path), tmp_path / "log")
    assert run_job(executor, job) == {"number": 2, "file": str(tmp_path)}


def test_a_request_that_cannot_travel_is_the_callers_mistake(executor, tmp_path):
    with pytest.raises((TypeError, AttributeError, ValueError)):
        executor.submit(1, job_of(jobs.answer, lambda: 0, tmp_path / "log"))
    assert executor.free == 2


def test_a_stopped_job_ends_with_what_it_has(executor, tmp_path):
    stopped = run_job(
        executor,
        job_of(jobs.curve, {"final": 0.8, "epochs": 9}, tmp_path / "log"),
        on_report=lambda epoch, metrics: epoch < 2,
    )
    assert stopped["metrics"]["accuracy"] == pytest.approx(0.6)


def test_an_exception_is_a_sentence_and_a_traceback_in_the_log(executor, tmp_path):
    assert misbehave(executor, tmp_path, "raise") == "ValueError: the first line"
    log = (tmp_path / "trial.log").read_text(encoding="utf-8")
    assert log.startswith("about to raise\n")
    assert "Traceback" in log
    assert "the second line" in log


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("diverge", "diverged: loss is nan in epoch 2"),
        ("memory error", "out of memory"),
        ("kill", "killed by signal 9 (SIGKILL); the system may have run out of memory"),
        ("segfault", "killed by signal 11 (SIGSEGV)"),
        ("exit", "the process ended with exit code 3"),
        ("unsendable", "the result cannot be sent: object is not a plain value"),
        ("no mapping", "TypeError: a job returns a Section or a mapping, not list"),
        ("two mistakes", "2 mistakes:"),
    ],
)
def test_reasons(executor, tmp_path, how, reason):
    assert misbehave(executor, tmp_path, how) == reason


@pytest.mark.parametrize(
    ("how", "error", "text"),
    [
        ("two mistakes", ConfigError, "2 mistakes:\n  a: is wrong\n  b: is wrong too"),
        ("own error", DataError, "row 7: not a number"),
        ("diverge", TrialError, "diverged: loss is nan in epoch 2"),
    ],
)
def test_errors_of_the_package_keep_their_type(executor, tmp_path, how, error, text):
    with pytest.raises(error) as caught:
        run_job(executor, job_of(jobs.misbehave, {"how": how}, tmp_path / "trial.log"))
    assert (type(caught.value), str(caught.value)) == (error, text)


def test_a_job_is_killed_when_its_time_is_up(executor, tmp_path):
    started = time.monotonic()
    with pytest.raises(TimeUpError, match="the time for it was up"):
        run_job(executor, job_of(jobs.misbehave, {"how": "hang"}, tmp_path / "log"), until=started + 1.0)
    assert time.monotonic() - started < 30
    assert executor.free == 2


def test_a_hanging_job_is_killed(executor, tmp_path):
    started = time.monotonic()
    assert misbehave(executor, tmp_path, "hang", timeout_s=1.0) == "took longer than trial_timeout_s=1"
    assert time.monotonic() - started < 30


def test_a_job_that_eats_memory_is_killed(executor, tmp_path):
    assert misbehave(executor, tmp_path, "eat", memory_mb=250) == "used more than trial_memory_mb=250"


def test_child_processes_die_with_the_job(executor, tmp_path):
    pids = tmp_path / "pids"
    executor.submit(1, job_of(jobs.with_child, {"pids": str(pids)}, tmp_path / "log"))
    while not (pids.exists() and pids.read_text().endswith("\n")):
        executor.poll(0.1)
    executor.kill(1, "enough")
    (event,) = drain(executor, 1)
    assert event == Failed(1, "enough")
    assert jobs.gone(int(pids.read_text()), within_s=20)


def test_a_crash_leaves_the_other_job_alone(executor, tmp_path):
    executor.submit(1, job_of(jobs.curve, {"final": 0.8, "sleep": 0.3}, tmp_path / "1.log"))
    executor.submit(2, job_of(jobs.misbehave, {"how": "kill"}, tmp_path / "2.log"))
    ends = [event for event in drain(executor, 2) if not isinstance(event, Reported)]
    assert [(event.id, type(event)) for event in ends] == [(2, Failed), (1, Finished)]


def test_run_job_raises_the_reason_and_leaves_the_executor_usable(executor, tmp_path):
    with pytest.raises(TrialError, match=r"ValueError: the first line \(log: .*trial.log\)"):
        run_job(executor, job_of(jobs.misbehave, {"how": "raise"}, tmp_path / "trial.log"))

    def interrupt(epoch, metrics):
        raise KeyboardInterrupt

    job = job_of(jobs.curve, {"final": 0.5}, tmp_path / "log")
    with pytest.raises(KeyboardInterrupt):
        run_job(executor, job, interrupt)
    assert executor.free == 2
    assert run_job(executor, job)["metrics"]["accuracy"] > 0


def test_a_process_that_cannot_be_started_costs_its_job_only(executor, tmp_path, monkeypatch):
    def refuse(process):
        raise BlockingIOError(11, "Resource temporarily unavailable")

    job = job_of(jobs.misbehave, {"how": "not"}, tmp_path / "log")
    with monkeypatch.context() as patch:
        patch.setattr(executor._context.Process, "start", refuse)
        executor.submit(1, job)
    (event,) = executor.poll(5)
    assert "could not be started" in event.reason
    assert executor.free == 2
    assert run_job(executor, job)["metrics"] == {"accuracy": 0.5}


def test_a_script_without_a_main_guard_can_search_and_preload(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import pathlib, sys\n"
        "from paddle_automl.search.executors.base import Job, run_job, target_of\n"
        "from paddle_automl.search.executors.local import Local\n"
        "from tests.unit.search import jobs\n"
        "preload = ['tests.unit.search.preloaded']\n"
        "with Local(Local.Config(), workers=1, device='cpu', preload=preload) as local:\n"
        "    log = pathlib.Path(__file__).with_name('log')\n"
        "    here = 'tests.unit.search.preloaded' in sys.modules\n"
        "    print(run_job(local, Job(target_of(jobs.tell_preloaded), {}, log)), here)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("{'inherited': True} False\n", "")


def test_close_kills_what_runs(tmp_path):
    pids = tmp_path / "pids"
    local = Local(Local.Config(), workers=1, device="cpu")
    local.submit(1, job_of(jobs.report_pid, {"pids": str(pids), "final": 1, "sleep": 60}, tmp_path / "log"))
    while not (pids.exists() and pids.read_text().endswith("\n")):
        local.poll(0.1)
    local.close()
    assert jobs.gone(int(pids.read_text()), within_s=20)


def test_gpu_jobs_are_spawned(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "gpu_count", lambda: 1)
    with Local(Local.Config(), device="gpu") as local:
        assert local.capacity().workers == 1
        result = run_job(local, job_of(jobs.place, {}, tmp_path / "log"))
    assert result["device"] == "gpu:0"


def test_registered():
    assert EXECUTORS.names() == ["local"]
