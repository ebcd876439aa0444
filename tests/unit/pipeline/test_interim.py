"""The bundle of the best trial so far, while the search goes on."""

import json
import time

import pytest

from paddle_automl.pipeline.jobs.bundle import FormatResult
from paddle_automl.pipeline.progress.observer import Observer
from paddle_automl.pipeline.stages.interim import REST, InterimBundle, interim_of
from paddle_automl.search.executors.base import Failed, Finished
from paddle_automl.search.limits import SearchLimits
from tests.unit.pipeline.runs import make_weights, result_of, run_of
from tests.unit.search.helpers import SMALL, open_study, script, search


class Messages(Observer):
    def __init__(self):
        self.texts = []

    def on_message(self, message):
        self.texts.append(message)


def interim_with(tmp_path, study, values=(0.5,), end=None):
    run = run_of(tmp_path, study, budget=100.0, observer=Messages())
    search(study, lambda record: script(values[record.number]), limits=SearchLimits(trials=len(values)))
    for number in range(len(values)):
        make_weights(run, number)
        run.folder.trial(number).write_config(run.config)
    return run, InterimBundle(run, lambda: end)


def ended(run, interim, verified=True, **facts):
    run.folder.bundle.mkdir(exist_ok=True)
    run.folder.bundle_file.touch()
    result = result_of(run, verified).model_copy(update=facts)
    interim.on_end(Finished(-1, result.model_dump(mode="json")))


def test_the_first_trial_is_exported_at_once_and_a_better_one_after_a_rest(tmp_path):
    with open_study(tmp_path) as study:
        run, interim = interim_with(tmp_path, study)
        job = interim.next()
        assert job.request.run == run.folder.trial(0).path
        assert (job.request.bundle, job.request.test) == (run.folder.bundle, False)
        assert job.request.config.deployment.formats == ()
        ended(run, interim)
        assert interim_of(run.folder) == (0, result_of(run))
        assert run.observer.texts == [f"a verified bundle of trial 0 is now in {run.folder.bundle}"]
        assert interim.next() is None, "nothing better"
        search(study, lambda record: script(0.6), limits=SearchLimits(trials=2))
        make_weights(run, 1)
        run.folder.trial(1).write_config(run.config)
        interim._not_before = time.monotonic() + 100
        assert interim.next() is None, "it rests"
        interim._not_before = 0.0
        assert interim.next().request.run == run.folder.trial(1).path


def test_a_bundle_below_the_own_values_is_replaced_without_a_rest(tmp_path):
    own = {"a": 3, "b": "x"}
    with open_study(tmp_path, space=SMALL) as study:
        run = run_of(tmp_path, study, budget=100.0, observer=Messages())
        values = {0: 0.6, 1: 0.5}
        search(study, lambda record: script(values[record.number]), limits=SearchLimits(trials=2), baseline=own)
        interim = InterimBundle(run, lambda: None)
        interim._exported, interim._not_before = 1, time.monotonic() + 100
        for number in values:
            make_weights(run, number)
            run.folder.trial(number).write_config(run.config)
        assert interim.next().request.run == run.folder.trial(0).path


def test_a_worse_trial_is_never_exported(tmp_path):
    with open_study(tmp_path) as study:
        _, interim = interim_with(tmp_path, study, (0.5, 0.4))
        job = interim.next()
        assert job.request.run.name == "0000"


def test_a_failure_is_told_and_a_killed_export_is_not(tmp_path):
    with open_study(tmp_path) as study:
        run, interim = interim_with(tmp_path, study)
        interim.next()
        interim.on_end(Failed(-1, "interrupted"))
        assert run.observer.texts == []
        interim._not_before = 0.0
        interim.next()
        interim.on_end(Failed(-1, "no space"))
        assert run.observer.texts == ["the bundle of trial 0 could not be made: no space"]
        assert interim_of(run.folder) is None


def test_a_bundle_that_is_not_verified_says_why(tmp_path):
    why = "NOT verified: agreement 0.9500 (required 1)"
    with open_study(tmp_path) as study:
        run, interim = interim_with(tmp_path, study)
        interim.next()
        ended(run, interim, verified=False, parity={"verified": False}, parity_summary=why)
        assert run.observer.texts == [f"a bundle of trial 0 is now in {run.folder.bundle}; {why}"]


def test_a_fault_is_that_of_the_format_that_failed(tmp_path):
    run, said = run_of(tmp_path), "NOT verified: agreement 0.9000 (required 0.95)"
    failed = FormatResult(name="onnx_int8", parity_summary=said, latency=(), verified=False)
    sound = {"parity": {"verified": True}, "parity_summary": "verified: 60 items"}
    result = result_of(run, False).model_copy(update={**sound, "formats": (failed,)})
    assert result.fault() == f"format onnx_int8: {said}"
    assert result.parity_text() == f"{result.bundle}: format onnx_int8: {said}"
    assert result_of(run).model_copy(update=sound).fault() == ""
    assert result_of(run).model_copy(update=sound).parity_text().endswith(": verified: 60 items")


def test_no_export_begins_that_cannot_end_in_time(tmp_path):
    with open_study(tmp_path) as study:
        run, interim = interim_with(tmp_path, study, end=time.monotonic() + 5)
        run.estimates.export_s = 6.0
        assert interim.next() is None
        run.estimates.export_s = 1.0
        assert interim.next() is not None


def test_exports_take_a_tenth_of_the_time(tmp_path):
    with open_study(tmp_path) as study:
        run, interim = interim_with(tmp_path, study)
        interim.next()
        run.estimates.exporting_since -= 3.0
        ended(run, interim)
        assert run.estimates.export_s == pytest.approx(3.0, abs=0.5)
        assert interim._not_before - time.monotonic() == pytest.approx(REST * 3.0, abs=5)


def test_the_final_bundle_of_an_earlier_start_is_not_replaced_meanwhile(tmp_path):
    with open_study(tmp_path) as study:
        run, _ = interim_with(tmp_path, study)
        run.folder.bundle.mkdir()
        run.folder.bundle_file.touch()
        assert InterimBundle(run, lambda: None).next() is None
        run.folder.manifest("interim").parent.mkdir()
        run.folder.manifest("interim").write_text(json.dumps({"trial": "x"}))
        assert interim_of(run.folder) is None


def test_the_bundle_of_a_search_that_was_killed_in_its_export_is_known(tmp_path):
    with open_study(tmp_path) as study:
        run, _ = interim_with(tmp_path, study)
        run.folder.bundle.mkdir(exist_ok=True)
        run.folder.bundle_file.touch()
        manifest = run.folder.manifest("export")
        manifest.parent.mkdir(parents=True, exist_ok=True)
        # Written while the export works.
        manifest.write_text(json.dumps({"stage": "export", "former": {"source": "trials/0000"}}))
        assert InterimBundle(run, lambda: None).trials == {0}
