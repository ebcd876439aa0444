"""The stage of ensembles: when it is begun, what it tells, what is trained again, and a whole search."""

import json
import time
from types import SimpleNamespace

import pytest

from paddle_automl.cli.results import _source_text
from paddle_automl.core.describe import options
from paddle_automl.core.errors import (
    BundleError,
    ConfigError,
    InterruptedRunError,
    MachineError,
    TimeUpError,
    TrialError,
)
from paddle_automl.core.loading import validate
from paddle_automl.deployment.bundle import Bundle
from paddle_automl.deployment.predictor import Predictor
from paddle_automl.pipeline.config import Ensemble, RunConfig
from paddle_automl.pipeline.jobs.choose_members import Choice
from paddle_automl.pipeline.jobs.gain import GainResult
from paddle_automl.pipeline.jobs.join import Joined, JoinRequest
from paddle_automl.pipeline.jobs.train import TrainRequest
from paddle_automl.pipeline.progress.observer import Observer
from paddle_automl.pipeline.runs.folder import RunFolder
from paddle_automl.pipeline.runs.sources import open_run
from paddle_automl.pipeline.stages import ensemble, refit
from paddle_automl.pipeline.stages.ensemble import FRACTION, EnsembleStage
from paddle_automl.pipeline.stages.estimates import REPORT_S
from paddle_automl.pipeline.stages.run import run_search
from tests.unit.pipeline.runs import make_weights, record_of, run_of

TASK = {"name": "single_label", "names": ["a", "b"]}


class Messages(Observer):
    def __init__(self):
        self.texts = []

    def on_message(self, text):
        self.texts.append(text)


def trial(number):
    return SimpleNamespace(
        number=number, params={}, metrics={"accuracy": 0.9 - number / 100}, curve={1: 0.9}, seconds=1.0
    )


def run_with(tmp_path, trials=3, **sections):
    """Return a run with trials whose weights are kept, best first."""
    found = [SimpleNamespace(first=trial(n), runs=[trial(n)], values=(0.9 - n / 100,)) for n in range(trials)]
    study = SimpleNamespace(settled=lambda: found, configurations=lambda: found)
    objectives = [{"metric": "accuracy"}]
    run = run_of(
        tmp_path, study, observer=Messages(), search={"objectives": objectives}, **{"ensemble": {}, **sections}
    )
    for number in range(trials):
        make_weights(run, number)
        run.folder.trial(number).write_config(run.config)
    return run


def choice(kept=True, **changes):
    gain = GainResult(metric="accuracy", before=0.9, after=0.92, gain=0.02, standard_error=0.005, items=300)
    return validate(Choice, {"members": [0, 2], "task": TASK, "gain": gain.model_dump(), "kept": kept, **changes})


class Calls:
    """Answers the jobs of the stage."""

    def __init__(self, found=None, error=None, joined=None):
        self.joined = joined or Joined()
        self.found, self.error, self.requests, self.until = found or choice(), error, [], []

    def __call__(self, executor, job, kind, shown, until=None):
        self.requests.append(job.request)
        self.until.append(until)
        if self.error is not None:
            raise self.error
        return {Choice: self.found, Joined: self.joined}.get(kind)


def work(run, monkeypatch, calls, until=None):
    monkeypatch.setattr(ensemble, "call", calls)
    monkeypatch.setattr(refit, "call", calls)
    monkeypatch.setattr(refit, "tuned_task", lambda *_: None)
    return EnsembleStage().work(run, until)


def test_it_is_off_by_default(tmp_path):
    run = run_of(tmp_path)
    assert (EnsembleStage().wanted(run), EnsembleStage().seconds(run)) == (False, 0.0)
    assert EnsembleStage().wanted(run_of(tmp_path, ensemble={}))


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"ensemble": {"size": 1}}, r"ensemble\.size: input should be greater than or equal to 2, got 1"),
        ({"ensemble": {"candidates": 1}}, r"ensemble\.candidates: input should be greater"),
        ({"ensemble": {"sice": 3}}, r"ensemble\.sice: unknown key; did you mean 'size'"),
        ({"ensemble": {}, "model": {"pretrained": "x", "freeze": "backbone"}}, r"ensemble: .* model\.freeze"),
        (
            {"ensemble": {}, "compression": {"in_trials": True, "steps": ["prune_filters"]}},
            r"ensemble: cannot be used with compression\.in_trials",
        ),
    ],
)
def test_what_cannot_be_is_refused(sections, message):
    with pytest.raises(ConfigError, match=message):
        validate(RunConfig, sections)


def test_it_keeps_time_back_for_its_members(tmp_path):
    stage = EnsembleStage()
    run = run_of(tmp_path, budget=1000.0, ensemble={})
    run.estimates.learn([record_of(10, 20.0)])
    assert 5 < stage.seconds(run) - 2 * run.estimates.refit() < 20
    text = next(item.doc for item in options(Ensemble) if item.key == "size")
    assert (FRACTION, "up to a quarter of budget.time" in " ".join(text.split())) == (1 / 4, True)
    short = run_of(tmp_path, budget=100.0, ensemble={}, refit={"data": "train+validation"})
    assert stage.seconds(short) == FRACTION * 100
    # The refit and the export have the time that trials have left.
    short.deadline.started -= 70
    left = 30 - short.estimates.refit() - short.estimates.export() - REPORT_S
    assert stage.seconds(short) == pytest.approx(left, abs=0.5)
    short.deadline.started -= 29
    assert stage.seconds(short) == 0


def test_one_trial_is_no_ensemble(tmp_path, monkeypatch):
    run, calls = run_with(tmp_path, trials=1), Calls()
    result = work(run, monkeypatch, calls)
    assert (result["kept"], result["again"], calls.requests) == (None, False, [])
    assert run.observer.texts == [
        "no ensemble: it needs at least two finished trials whose weights are kept; the winner alone is exported"
    ]
    assert EnsembleStage().is_intact(run, result)


def test_without_time_it_is_tried_again(tmp_path, monkeypatch):
    run, calls = run_with(tmp_path), Calls()
    result = work(run, monkeypatch, calls, time.monotonic() + 1)
    assert (result["kept"], result["again"], calls.requests) == (None, True, [])
    assert not EnsembleStage().is_intact(run, result)


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (choice(kept=False), "0.9000 -> 0.9200, standard error of the difference 0.0050; not kept: that is within"),
        (
            choice(kept=False, beyond="latency_ms 9 (limit 5)"),
            "not kept: its network is beyond the limits, with lat",
        ),
        (choice(kept=False, members=[0], gain=None), "no other of the best trials improves the winner's answers"),
    ],
)
def test_what_is_not_kept_is_told(tmp_path, monkeypatch, found, told):
    run, calls = run_with(tmp_path), Calls(found)
    result = work(run, monkeypatch, calls)
    assert result["kept"] is None
    assert len(calls.requests) == 1
    assert told in run.observer.texts[-1]
    assert run.observer.texts[-1].endswith("; the winner alone is exported")
    assert EnsembleStage().is_intact(run, json.loads(json.dumps(result)))


def test_candidates_that_cannot_be_members_are_told(tmp_path, monkeypatch):
    run, calls = run_with(tmp_path), Calls(choice(left_out={"2": "data.input.size is 8, not 12 as for trial 0"}))
    run.folder.trial(1).config.write_text("model: {backbone: unknown}")
    result = work(run, monkeypatch, calls)
    assert [item.number for item in calls.requests[0].candidates] == [0, 2]
    told = "ensemble: trial {} cannot be a member: {}"
    assert run.observer.texts[0].startswith(told.format(1, run.folder.trial(1).config))
    assert "unknown backbone 'unknown'" in run.observer.texts[0]
    assert run.observer.texts[1].startswith(told.format(2, "data.input.size is 8"))
    assert set(result["choice"]["left_out"]) == {"1", "2"}


@pytest.mark.parametrize(
    ("error", "within_s", "again"),
    [(BundleError("gone"), None, True), (TimeUpError("late"), 60, True), (TrialError("too large"), None, False)],
)
def test_a_job_that_fails_costs_nothing_else(tmp_path, monkeypatch, error, within_s, again):
    run = run_with(tmp_path)
    until = None if within_s is None else time.monotonic() + within_s
    result = work(run, monkeypatch, Calls(error=error), until)
    assert (result["kept"], result["again"]) == (None, again)
    assert run.observer.texts == [f"no ensemble: not possible: {error}; the winner alone is exported"]
    with pytest.raises(MachineError):
        work(run, monkeypatch, Calls(error=MachineError("no space left")))


def test_the_members_are_those_of_the_trials(tmp_path, monkeypatch):
    run, calls = run_with(tmp_path), Calls()
    result = work(run, monkeypatch, calls)
    chosen, joined = calls.requests
    assert [item.number for item in chosen.candidates] == [0, 1, 2]
    assert isinstance(joined, JoinRequest)
    assert [item.folder for item in joined.members] == [run.folder.trial(n).path for n in (0, 2)]
    assert (result["kept"], joined.folder) == ("ensemble/joined", run.folder.path / "ensemble/joined")
    assert not EnsembleStage().is_intact(run, result), "its files do not exist here"


def test_members_are_trained_again_where_the_winner_was(tmp_path, monkeypatch):
    run, calls = run_with(tmp_path, refit={"data": "train+validation"}), Calls(choice(members=[0, 2, 1]))
    refitted(run, "train+validation")
    until = time.monotonic() + 100
    monkeypatch.setattr(ensemble, "refit_config", lambda run, record, epochs: run.config)
    work(run, monkeypatch, calls, until)
    chosen, *trainings, joined = calls.requests
    assert [item.folder.name for item in chosen.candidates] == ["0000", "0001", "0002"]
    assert all(isinstance(item, TrainRequest) for item in trainings)
    assert [(item.folder.name, item.on) for item in trainings] == [
        ("trial_0002", "train+validation"),
        ("trial_0001", "train+validation"),
    ]
    # Each has its part of the time.
    assert calls.until[1] < until - 40
    assert [item.folder.name for item in joined.members] == ["refit", "trial_0002", "trial_0001"]


def test_members_that_are_not_better_once_they_were_trained_again_are_not_kept(tmp_path, monkeypatch):
    run = run_with(tmp_path)
    refitted(run, "train")
    monkeypatch.setattr(ensemble, "refit_config", lambda run, record, epochs: run.config)
    gain = GainResult(metric="accuracy", before=0.94, after=0.95, gain=0.01, standard_error=0.02, items=300)
    worse = Joined(gain=gain)
    result = work(run, monkeypatch, Calls(joined=worse))
    assert result["kept"] is None
    assert (
        "trained again as the winner was, gain too little: 0.9400 -> 0.9500, standard error 0.0200"
        in run.observer.texts[-1]
    )


def refitted(run, data):
    """Give a run the record of a refit."""
    run.folder.refit.write_config(run.config)
    make = {"metrics": {"accuracy": 0.95}, "best_epoch": 1, "epochs_run": 1, "seconds": 1.0, "task": TASK}
    size = {"name": "image", "size": [8, 8], "channels": 1, "mean": [0.5], "std": [0.5]}
    run.results["refit"] = {**make, "input": size, "on": data}


SEARCH = {
    "device": "cpu",
    "visualdl": False,
    "report": "none",
    "data": {"dataset": "digits"},
    "model": {"backbone": {"name": "resnet", "width": 6, "blocks": [1]}},
    "training": {"epochs": 1, "batch_size": 128, "optimizer": {"name": "adamw", "learning_rate": 0.02}},
    "refit": {"epochs": 1, "data": "train+validation"},
    "search": {
        "controller": "random_search",
        "trials": 3,
        "workers": 1,
        "space": {"model.backbone.width": {"choice": [4, 6, 8]}},
    },
    "ensemble": {"standard_errors": 0.0},
    "deployment": {"latency": {"batch_sizes": []}, "samples": 2, "parity": {"raw_files": 2}},
}


@pytest.mark.slow
@pytest.mark.parametrize("data", ["train", "train+validation"])
def test_a_search_exports_its_ensemble_also_after_a_kill(tmp_path, monkeypatch, data):
    given = {**SEARCH, "output": str(tmp_path / "out"), "refit": {"epochs": 1, "data": data}}
    config, messages = validate(RunConfig, given), Messages()
    folder, call = RunFolder(config.folder), ensemble.call

    def killed(executor, job, *rest):
        if isinstance(job.request, JoinRequest):
            raise KeyboardInterrupt
        return call(executor, job, *rest)

    monkeypatch.setattr(ensemble, "call", killed)
    with pytest.raises(InterruptedRunError):
        run_search(config)
    assert not folder.in_ensemble("joined").weights.exists()
    monkeypatch.setattr(ensemble, "call", call)
    result = run_search(config, messages)
    assert result.source == "ensemble/joined"
    assert "an ensemble of the best trials" in _source_text(result)
    assert any(text.startswith("ensemble of the trials") and text.endswith("kept") for text in messages.texts)
    assert result.bundle.verified
    assert result.bundle.metrics["note"].startswith("one network of the trials")
    assert ("measured before" in result.bundle.metrics["note"]) is (data == "train+validation")
    assert len(open_run(config.folder).config.model.backbone.members) in (2, 3)
    bundle = Bundle.open(folder.bundle)
    answers = Predictor(bundle).predict(sorted((bundle.folder / "samples").glob("*.png")))
    assert all(sum(item.answer.values.values()) == pytest.approx(1, abs=1e-4) for item in answers)
    weights = folder.in_ensemble("joined").weights.stat().st_mtime_ns
    again = run_search(config)
    assert (again.source, folder.in_ensemble("joined").weights.stat().st_mtime_ns) == (result.source, weights)
