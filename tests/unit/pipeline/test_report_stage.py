"""The stage that ends a search: whatever happens to the report, the search has ended well."""

import time
from types import SimpleNamespace

import pytest

from paddle_automl.core.errors import DataError, TimeUpError, TrialError
from paddle_automl.core.locking import LOCK, holding
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.runs.folder import RunFolder
from paddle_automl.pipeline.stages import report as stage
from paddle_automl.pipeline.stages.estimates import REPORT_S


class Heard:
    def __init__(self):
        self.messages = []

    def on_message(self, text):
        self.messages.append(text)

    def job(self, title):
        return lambda epoch, metrics: None


@pytest.fixture
def run(tmp_path):
    config = RunConfig(output=str(tmp_path), report="en")
    return SimpleNamespace(config=config, folder=RunFolder(tmp_path), observer=Heard(), executor=None)


def calling(monkeypatch, outcome):
    asked = []

    def call(executor, job, result, shown, until):
        asked.append((job.request, until))
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr(stage, "call", call)
    return asked


def test_it_is_made_until_shortly_before_the_end(run, monkeypatch):
    asked = calling(monkeypatch, None)
    end = time.monotonic() + 30
    stage._write_page(run, end)
    request, until = asked[0]
    assert until == end - stage.MARGIN_S
    assert 27.5 < request.within_s < 30
    assert request.searching
    assert run.observer.messages == []


def test_without_a_budget_it_has_a_limit_nevertheless(run, monkeypatch):
    asked = calling(monkeypatch, None)
    stage._write_page(run, None)
    request, until = asked[0]
    assert request.within_s is None
    assert until == pytest.approx(time.monotonic() + stage.LONGEST_S, abs=5)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (TimeUpError("the time is up"), "no time was left for the report"),
        (TrialError("its process was killed"), "no report: its process was killed"),
        (DataError("photos: no such folder"), "no report: photos: no such folder"),
    ],
)
def test_a_failure_is_told_and_costs_nothing_else(run, monkeypatch, error, told):
    calling(monkeypatch, error)
    stage._write_page(run, time.monotonic() + 30)
    assert run.observer.messages[0].startswith(told)


def test_a_page_that_exists_when_time_is_up_stays(run, monkeypatch):
    def call(executor, job, result, shown, until):
        run.folder.report.write_text("first version")
        raise TimeUpError("the time is up")

    monkeypatch.setattr(stage, "call", call)
    run.folder.report.write_text("of an earlier state")
    stage._write_page(run, time.monotonic() + 30)
    assert run.folder.report.read_text() == "first version"
    assert run.observer.messages == []


def test_without_time_it_is_not_begun_and_none_of_an_earlier_state_stays(run, monkeypatch):
    asked = calling(monkeypatch, None)
    run.folder.report.write_text("old")
    stage._write_page(run, time.monotonic() + 1)
    assert not asked
    assert not run.folder.report.exists()
    assert "makes it" in run.observer.messages[0]


def test_it_can_be_turned_off(run, monkeypatch):
    asked = calling(monkeypatch, None)
    run.config = run.config.model_copy(update={"report": "none"})
    stage._write_page(run, None)
    assert not asked


@pytest.mark.parametrize(("budget", "reserved"), [(None, 0.0), (50.0, 3.0), (600.0, 6.0)])
def test_time_is_reserved_by_the_budget(run, budget, reserved):
    run.config = RunConfig(budget={"time": budget})
    assert stage.Report().seconds(run) == pytest.approx(REPORT_S + reserved)


def test_what_killed_jobs_left_is_deleted(run, tmp_path):
    gone = [tmp_path / ".visualdl.partial-1", tmp_path / "compressed/.1_quantize_post.partial-2"]
    gone.append(tmp_path / "trials/0001/.model.partial-3")
    # Of another command, which works in a trial's folder.
    stay = [tmp_path / "trials/0000/.model.partial-4", tmp_path / "model", tmp_path / "trials/0001/.own.partial-5"]
    for folder in (*gone, *stay):
        folder.mkdir(parents=True)
        (folder / "network").touch()
    with holding(tmp_path / "trials/0000" / LOCK, "an export"):
        stage.delete_partial(run.folder)
    assert not any(folder.exists() for folder in gone)
    assert all(folder.exists() for folder in stay)
