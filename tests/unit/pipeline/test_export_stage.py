"""The final export that cannot replace the bundle that is there: which network stays, and what is recorded."""

import json
from types import SimpleNamespace

import pytest

from paddle_automl.core.errors import SearchFailedError, TimeUpError
from paddle_automl.core.loading import load_config
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.jobs.bundle import BundleResult
from paddle_automl.pipeline.progress.observer import Observer
from paddle_automl.pipeline.stages import export
from paddle_automl.pipeline.stages.interim import NOTE, interim_of, write_interim
from tests.unit.pipeline.runs import make_weights, result_of, run_of

REFUSED = "the parity check of the new one failed: NOT verified: 9 items"


class Messages(Observer):
    def __init__(self):
        self.texts = []

    def on_message(self, text):
        self.texts.append(text)


class Exports:
    """Runs a search's export stage; `answers` are results or errors of its jobs, `asked` the jobs."""

    def __init__(self, tmp_path, monkeypatch):
        self.tmp_path, self.answers, self.asked = tmp_path, [], []
        self.source = "trials/0000"
        self.chosen = SimpleNamespace(first=SimpleNamespace(number=0), runs=[])
        monkeypatch.setattr(export, "winner", lambda run: self.chosen)
        monkeypatch.setattr(export, "source_of", lambda run, *_: run.folder.inside(self.source))
        monkeypatch.setattr(export.Bundle, "open", lambda folder: None)
        monkeypatch.setattr(export, "call", self.call)

    def call(self, executor, job, kind, shown, until):
        self.asked.append(job)
        answer = self.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def run(self, **sections):
        run = run_of(self.tmp_path, self, observer=Messages(), **sections)
        run.stages = [stage for stage in run.stages if stage.name == "export"]
        return run

    def go(self, *answers, **sections):
        self.answers = list(answers)
        run = self.run(**sections)
        run.go()
        assert not self.answers
        return run

    # -- what the stage asks of the study ------------------------------------------------------------------------
    def records(self):
        return [SimpleNamespace(number=number, state="complete") for number in (0, 1)]

    def best_numbers(self, count):
        return []

    def settled(self):
        return []

    def best_run(self, configuration):
        raise AssertionError("none was settled")

    # -- its results ---------------------------------------------------------------------------------------------
    def bundle(self, **changes):
        return result_of(self.run()).model_copy(update=changes)

    def interim(self, number=1):
        """Leave the untested bundle of a trial, with the weights of two."""
        run = self.run()
        for other in (0, number):
            make_weights(run, other)
            run.folder.trial(other).write_config(run.config)
        run.folder.bundle.mkdir(exist_ok=True)
        run.folder.bundle_file.touch()
        write_interim(run.folder, number, self.bundle(metrics={"note": NOTE}))
        return run.folder


@pytest.fixture
def exports(tmp_path, monkeypatch):
    return Exports(tmp_path, monkeypatch)


def test_an_export_that_fails_its_parity_check_is_not_reported_as_done(exports):
    folder = exports.interim()
    refused = exports.bundle(kept=REFUSED, metrics={"note": NOTE})
    run = exports.go(refused, exports.bundle(metrics={"test": {"accuracy": 0.5}}))
    result = run.results["export"]
    assert (result["source"], result["kept"]) == ("trials/0001", REFUSED)
    assert [type(job.request).__name__ for job in exports.asked] == ["ExportRequest", "ScoreRequest"]
    assert result["metrics"] == {"test": {"accuracy": 0.5}}, "the bundle that stays is tested"
    (said,) = run.observer.texts
    for words in ("the final export, of trial 0, is not used", REFUSED, "trial 1", "deployment.parity"):
        assert words in said
    # It is still that of a trial, and the same command tries again; a second test is not needed.
    assert interim_of(folder) == (1, exports.bundle(metrics={"test": {"accuracy": 0.5}}))
    again = exports.go(exports.bundle(kept=REFUSED))
    assert again.results["export"]["source"] == "trials/0001"
    done = exports.go(exports.bundle())
    assert (done.results["export"]["source"], done.results["export"]["kept"]) == ("trials/0000", "")
    assert interim_of(folder) is None
    assert (folder.trial(0).weights.exists(), folder.trial(1).weights.exists()) == (True, False)
    assert exports.go().results["export"] == done.results["export"]


@pytest.mark.parametrize("answer", [None, TimeUpError("late")])
def test_the_final_bundle_of_an_earlier_start_stays_with_its_own_source(exports, answer):
    folder = exports.interim()
    exports.go(exports.bundle(metrics={"test": {"accuracy": 0.5}}))
    exports.source = "trials/0001"
    make_weights(exports.run(), 1)
    answer = answer or exports.bundle(kept=REFUSED)
    kept = exports.go(answer).results["export"]
    assert kept["source"] == "trials/0000"
    assert kept["kept"]
    # A search that is killed while it exports still knows it.
    with pytest.raises(KeyboardInterrupt):
        exports.go(KeyboardInterrupt())
    assert "result" not in json.loads(folder.manifest("export").read_text())
    assert exports.go(exports.bundle(kept=REFUSED)).results["export"]["source"] == "trials/0000"
    # Weights that are others now are not those of the bundle.
    folder.trial(0).weights.write_bytes(b"other")
    run = exports.go(exports.bundle(kept=REFUSED))
    assert run.results["export"]["source"] == ""
    assert "a network whose weights are gone" in run.observer.texts[0]


def test_a_bundle_of_unknown_weights_is_kept_without_a_source(exports):
    folder = exports.interim()
    folder.manifest("interim").unlink()
    with pytest.raises(SearchFailedError, match="no time was left to export trial 0"):
        exports.go(TimeUpError("late"))
    assert exports.go(exports.bundle(kept=REFUSED)).results["export"]["source"] == ""


def test_an_export_without_time_is_made_by_the_next_start(exports):
    exports.interim()
    run = exports.go(TimeUpError("late"))
    assert run.results["export"]["source"] == "trials/0001"
    assert run.results["export"]["kept"] == "no time was left for the final export"
    assert run.observer.texts == [
        "no time was left for the final export, of trial 0; the untested bundle of trial 1 is kept. Raise "
        "budget.time and run the same command again to make it"
    ]
    assert exports.go(exports.bundle()).results["export"]["source"] == "trials/0000"


def test_the_record_of_a_bundle_that_is_kept_can_be_read_back(exports):
    exports.interim()
    run = exports.go(TimeUpError("late"))
    assert isinstance(export.bundle_of(run), BundleResult)
    assert export.bundle_of(run).kept


def test_another_deployment_is_exported_from_the_same_weights(exports):
    folder = exports.interim()
    first = exports.go(exports.bundle()).results["export"]
    assert exports.go().results["export"] == first
    formats = {"deployment": {"formats": ["onnx"]}}
    again = exports.go(exports.bundle(), **formats)
    assert again.results["export"] == first
    request = exports.asked[-1].request
    assert [item.name for item in request.config.deployment.formats] == ["onnx"]
    assert request.config.training.epochs == load_config(RunConfig, folder.trial(0).config).training.epochs
    exports.go(**formats)
    # What affects neither network nor bundle is no reason for another one.
    exports.go(**formats, device="cpu", visualdl=True)


def test_compressed_trials_keep_the_bundles_that_they_have_made(exports):
    exports.interim()
    chain = {"compression": {"steps": ["quantize_post"], "in_trials": True}}
    exports.go(exports.bundle(), **chain)
    exports.go(**chain, deployment={"formats": ["onnx"]})


def test_a_bundle_of_the_trials_is_final_only_with_the_deployment_that_is_asked_for(exports):
    folder = exports.interim(0)
    exports.go(exports.bundle())
    write_interim(folder, 0, exports.bundle(metrics={"note": NOTE}))
    exports.go(exports.bundle(), deployment={"samples": 3})
    kinds = [type(job.request).__name__ for job in exports.asked]
    assert kinds == ["ScoreRequest", "ExportRequest"]
