"""Stages under one deadline: estimates, reserves, manifests, the choice of weights, the interim bundle."""

import json
import pickle
import time
from types import SimpleNamespace

import numpy as np
import pytest

from paddle_automl.core.errors import ConfigError, SearchFailedError
from paddle_automl.core.loading import validate
from paddle_automl.core.seeds import integer_seed
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.jobs.bundle import BundleResult
from paddle_automl.pipeline.progress.observer import Observer
from paddle_automl.pipeline.runs.folder import RunFolder
from paddle_automl.pipeline.runs.keeping import CheckpointKeeper
from paddle_automl.pipeline.runs.trials import identity, trial_config
from paddle_automl.pipeline.space import make_space
from paddle_automl.pipeline.stages.base import STAGES, Deadline, Stage, in_order
from paddle_automl.pipeline.stages.check import _Watch
from paddle_automl.pipeline.stages.choice import best_run, source_of, winner
from paddle_automl.pipeline.stages.estimates import EXPORT_S, MARGIN, REPORT_S, START_S, Estimates
from paddle_automl.pipeline.stages.interim import REST, InterimBundle, interim_of
from paddle_automl.pipeline.stages.manifest import read_manifest, run_once
from paddle_automl.pipeline.stages.run import Run, _from_other_studies
from paddle_automl.pipeline.stages.search import controller_of, limits_of, scheduler_of
from paddle_automl.search.executors.base import Failed, Finished
from paddle_automl.search.limits import SearchLimits
from tests.unit.search.helpers import SMALL, controller, open_study, script, search

SPACE = {"training.optimizer.learning_rate": {"log": [0.001, 0.5]}}


def run_of(tmp_path, study=None, space=SPACE, budget=None, observer=None, **sections) -> Run:
    plain = {"visualdl": False, "report": "none", "seed": 0}
    data = {"output": str(tmp_path / "out"), "training": {"epochs": 9}, **plain}
    search_section = {"space": space, **sections.pop("search", {})}
    config = validate(RunConfig, {**data, "budget": {"time": budget}, "search": search_section, **sections})
    (tmp_path / "out").mkdir(exist_ok=True)
    return Run(
        config,
        RunFolder(config.folder),
        observer or Observer(),
        Deadline(budget),
        make_space(config),
        None,
        [],
        None,
        study,
        None,
        [],
    )


def record_of(epochs, seconds, number=0):
    return SimpleNamespace(curve={epochs: 0.9}, seconds=seconds, number=number)


# -- deadline and estimates --------------------------------------------------------------------------------------
def test_stages_run_in_the_order_of_their_places():
    names = ["check", "features", "search", "refit", "fine_tune", "export", "compress", "report"]
    assert [stage.name for stage in in_order()] == names


def test_each_stage_ends_where_the_later_ones_begin(tmp_path):
    run = run_of(tmp_path, budget=200.0)
    check, _, trials, refit, _, export, _, report = run.stages
    start = run.deadline.started
    assert run.until(report) == start + 200
    assert run.until(export) == start + 200 - REPORT_S
    assert run.until(refit) == pytest.approx(start + 200 - REPORT_S - EXPORT_S)
    # Before anything is known a quarter is kept back for refit and export.
    assert run.until(trials) == pytest.approx(start + 200 - REPORT_S - 50)
    assert set(run.reserved(check)) == {"search", "refit", "export", "report"}
    free = run_of(tmp_path)
    assert all(free.until(stage) is None for stage in free.stages)


def test_a_chain_of_compression_keeps_time_back(tmp_path):
    chain = {"compression": {"steps": ["quantize_post"]}}
    run = run_of(tmp_path, budget=200.0, **chain)
    assert run.reserved(run.stages[5]) == {"compress": 50.0, "report": REPORT_S}
    chain["compression"]["in_trials"] = True
    assert "compress" not in run_of(tmp_path, budget=200.0, **chain).reserved(run.stages[5])


def test_estimates_follow_the_slowest_of_the_leaders():
    sections = {"budget": {"time": 200.0}, "training": {"epochs": 10}, "refit": {"epochs": 20}}
    estimates = Estimates(validate(RunConfig, sections))
    assert estimates.refit() == pytest.approx(0.25 * 200 - EXPORT_S)
    estimates.learn([record_of(10, 10.0), record_of(10, 5.0), record_of(10, 1.0), record_of(1, 900.0)])
    assert estimates.refit() == pytest.approx(MARGIN * 20 * 1.0 + START_S)
    estimates.learn([record_of(1, 12.0)])
    assert estimates.refit() + estimates.export() == pytest.approx(100.0)
    # Too slow for a refit of half the epochs in half the time: nothing is kept back for it.
    estimates.learn([record_of(1, 50.0)])
    assert estimates.refit() == 0.0
    estimates.export_s = 2.0
    assert estimates.export() == 4.0
    estimates.export_s = 10.0
    assert estimates.export() == pytest.approx(MARGIN * 10 + 1)
    assert estimates.fitting_epochs(record_of(10, 10.0), 12.1) == 10
    assert estimates.fitting_epochs(record_of(10, 10.0), None) > 10**6


def test_a_stage_of_ones_own_takes_its_place_and_its_time(tmp_path, monkeypatch):
    class Mail(Stage):
        """Tells somebody."""

        name, place = "mail", 60

        def seconds(self, run):
            return 7.0

        def work(self, run, until):
            return "sent"

    run = run_of(tmp_path, budget=100.0)
    run.stages = sorted([*run.stages, Mail()], key=lambda stage: stage.place)
    assert run.until(run.stages[5]) == run.deadline.started + 100 - 7 - REPORT_S
    run.stages = [Mail()]
    run.go()
    assert run.results == {"mail": "sent"}
    assert set(run.took) == {"start", "mail"}
    assert "mail" not in STAGES.names()


# -- manifests ---------------------------------------------------------------------------------------------------
def test_a_stage_is_done_once_for_the_same_inputs_as_long_as_its_result_stands(tmp_path):
    calls, sound = [], [True]

    def go(inputs):
        return run_once(
            tmp_path / "stages" / "s.json", inputs, lambda _: sound[0], lambda: calls.append(1) or len(calls)
        )

    assert [go({"a": 1}), go({"a": 1}), go({"a": 2}), go({"a": 2})] == [1, 1, 2, 2]
    sound[0] = False
    assert go({"a": 2}) == 3


def test_work_that_breaks_leaves_no_manifest(tmp_path):
    file = tmp_path / "s.json"
    run_once(file, 1, lambda _: True, lambda: "old")

    def broken():
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        run_once(file, 2, lambda _: True, broken)
    assert read_manifest(file) is None
    file.write_text("{cut")
    assert read_manifest(file) is None
    assert run_once(file, 2, lambda _: True, lambda: "new") == "new"


def refitted(run):
    """Write what a refit leaves; return its record."""
    folder = run.folder.refit
    folder.write_config(run.config)
    folder.weights.write_bytes(pickle.dumps({"weight": np.arange(300, dtype=np.float32)}))
    record = {
        "metrics": {"accuracy": 0.5, "loss": 1.0},
        "best_epoch": 1,
        "epochs_run": 1,
        "seconds": 1.0,
        "task": {"name": "single_label", "names": ["a", "b"]},
        "input": {"name": "image", "size": [8, 8], "channels": 1, "mean": [0.5], "std": [0.2]},
    }
    folder.result.write_text(json.dumps(record))
    return record


def spoil_emptied(run):
    run.folder.refit.weights.write_bytes(b"")


def spoil_cut(run):
    run.folder.refit.weights.write_bytes(run.folder.refit.weights.read_bytes()[:-40])


def spoil_number(run):
    content = bytearray(run.folder.refit.weights.read_bytes())
    content[len(content) // 2] ^= 0x11
    run.folder.refit.weights.write_bytes(bytes(content))


def spoil_record(run):
    run.folder.refit.result.unlink()


@pytest.mark.parametrize("spoil", [None, spoil_emptied, spoil_cut, spoil_number, spoil_record])
def test_a_refit_that_was_damaged_since_is_done_again(tmp_path, monkeypatch, spoil):
    run = run_of(tmp_path)
    stage = next(stage for stage in run.stages if stage.name == "refit")
    run.stages, calls = [stage], []

    def work(self, run, until):
        calls.append(1)
        return refitted(run)

    monkeypatch.setattr(type(stage), "work", work)
    monkeypatch.setattr(type(stage), "inputs", lambda self, run: {"config": 1})
    run.go()
    if spoil is not None:
        spoil(run)
    run.go()
    assert len(calls) == (1 if spoil is None else 2)
    # The manifest of an earlier version knows no hashes; whether weights can be read is seen without them.
    file = run.folder.manifest("refit")
    recorded = json.loads(file.read_text())
    assert set(recorded.pop("files")) == {"../refit/best.pdparams", "../refit/config.yaml", "../refit/result.json"}
    file.write_text(json.dumps(recorded))
    before = len(calls)
    if spoil is not None and spoil is not spoil_number:
        spoil(run)
        before += 1
    run.go()
    assert len(calls) == before


@pytest.mark.parametrize("content", ["{}", '{"inputs": 1}', "[]", '{"inputs": "x", "result"', "null"])
def test_a_manifest_of_anything_else_is_none(tmp_path, content):
    file = tmp_path / "s.json"
    file.write_text(content)
    assert run_once(file, 1, lambda _: True, lambda: "new") == "new"


def test_a_record_of_a_bundle_that_makes_no_sense_does_not_stand(tmp_path, monkeypatch):
    from paddle_automl.pipeline.stages import export

    run = run_of(tmp_path)
    stage = next(stage for stage in run.stages if stage.name == "export")
    monkeypatch.setattr(export.Bundle, "open", lambda folder: None)
    run.folder.trial(0).path.mkdir(parents=True)
    run.folder.trial(0).weights.touch()
    good = {**result_of(run).model_dump(mode="json"), "source": "trials/0000"}
    assert stage.is_intact(run, good)
    for wrong in (None, {}, {**good, "source": "trials/0001"}, {**good, "metrics": 5}, {"source": "trials/0000"}):
        assert not stage.is_intact(run, wrong)


# -- what the search stage makes of the configuration ------------------------------------------------------------
def test_controllers_know_the_proposals_and_schedulers_the_epochs(tmp_path):
    run = run_of(tmp_path, search={"controller": {"name": "q_learning", "variant": "metaqnn"}, "trials": 100})
    own = controller_of(run, limits_of(run, None))
    assert (own.planned, own._schedule) == (80, 80)
    options = {"controller": {"name": "q_learning", "schedule_trials": 50}, "cost_aware": True}
    own = controller_of(run_of(tmp_path, search=options), SearchLimits(trials=20))
    assert (own._schedule, own.cost_aware) == (50, True)
    hyperband = {"scheduler": "hyperband"}
    assert scheduler_of(run_of(tmp_path, search=hyperband)).bracket(0) == 2
    wide = {**SPACE, "training.epochs": {"int": [1, 81]}}
    assert scheduler_of(run_of(tmp_path, space=wide, search=hyperband)).bracket(0) == 4


def test_trials_are_asked_to_stop_before_their_time_is_up(tmp_path):
    run = run_of(tmp_path)
    assert limits_of(run, None).deadline is None
    limits = limits_of(run, 100.0)
    assert limits.deadline + limits.grace_s == 100.0


def test_a_repeat_has_a_seed_of_its_own_and_the_same_split(tmp_path):
    run = run_of(tmp_path)
    params = {"training.optimizer.learning_rate": 0.1}
    first, again = (trial_config(run.config, run.space, params, tmp_path, repeat) for repeat in (0, 1))
    assert (first.seed, again.seed) == (0, integer_seed(0, "repeat", 1))
    assert again.seed != run.config.seed + 1
    assert first.data.split.seed == again.data.split.seed == 0
    assert again.model_copy(update={"seed": 0}) == first


def test_a_search_cannot_start_from_itself_or_from_nothing(tmp_path):
    own = run_of(tmp_path, search={"warm_start": [str(tmp_path / "out")]})
    with pytest.raises(ConfigError, match="is the output folder of this search itself"):
        _from_other_studies(own.config, own.space, None)
    other = run_of(tmp_path, search={"warm_start": [str(tmp_path / "other")]})
    with pytest.raises(ConfigError, match="there is no study"):
        _from_other_studies(other.config, other.space, None)
    assert "search.warm_start" not in identity(run_of(tmp_path).config)
    assert identity(run_of(tmp_path, search={"warm_start": ["a"]}).config)["search.warm_start"] == ["a"]


# -- weights -----------------------------------------------------------------------------------------------------
def make_weights(run, number):
    folder = run.folder.trial(number)
    folder.path.mkdir(parents=True, exist_ok=True)
    folder.weights.write_bytes(pickle.dumps({"weight": np.zeros(2, np.float32)}))
    folder.result.write_text("{}")


@pytest.mark.parametrize(("repeats", "kept"), [(0, {4, 5}), (3, {1, 2, 3, 4, 5})])
def test_weights_that_the_repeats_may_choose_stay_until_the_choice(tmp_path, repeats, kept):
    with open_study(tmp_path) as study:
        run = run_of(tmp_path, study, search={"keep_checkpoints": 2})
        keeper = CheckpointKeeper(run.config, study, repeats)

        def script_of(record):
            make_weights(run, record.number)
            return script(0.1 * record.number)

        def left():
            return {int(folder.path.name) for folder in run.folder.each_trial() if folder.weights.exists()}

        _, heard = search(study, script_of, limits=SearchLimits(trials=6))
        keeper.on_end(heard.ended[-1])
        assert left() == kept
        if repeats:
            # Trial 5 was luck, 4 is confirmed, and its repeat is the better run.
            for number, accuracy in ((5, 0.2), (4, 0.45)):
                study.repeat(number)
                record = study.ask(controller())
                script_of(record)
                study.complete(record.number, {"accuracy": accuracy}, {})
                keeper.on_end(record)
            assert left() == {1, 2, 3, 4, 5, 7}
            keeper.close()
            assert left() == {5, 7}


def test_the_better_weights_on_validation_are_exported(tmp_path):
    with open_study(tmp_path) as study:
        run = run_of(tmp_path, study)
        assert best_run(run) is None
        search(study, lambda record: script(0.1 * (record.number + 1)), limits=SearchLimits(trials=3))
        assert best_run(run) is None, "weights are gone"
        make_weights(run, 2)
        best = winner(run)
        assert best_run(run).number == best.first.number == 2
        own = best_run(run).metrics["accuracy"]
        for accuracy, source in ((own - 0.01, "trials/0002"), (own + 0.01, "refit"), (own, "refit")):
            refit = SimpleNamespace(metrics={"accuracy": accuracy})
            assert run.folder.relative(source_of(run, best, refit)) == source
        assert run.folder.relative(source_of(run, best, None)) == "trials/0002"
        # Damaged weights are no better ones.
        whole = run.folder.trial(2).weights.read_bytes()
        run.folder.trial(2).weights.write_bytes(whole[:-9])
        assert (
            run.folder.relative(source_of(run, best, SimpleNamespace(metrics={"accuracy": own - 0.5}))) == "refit"
        )
        run.folder.trial(2).weights.write_bytes(b"")
        assert best_run(run) is None
        run.folder.trial(2).weights.unlink()
        with pytest.raises(SearchFailedError, match="its weights are gone"):
            source_of(run, best, None)


def test_nothing_within_the_limits_is_an_error_that_names_the_nearest(tmp_path):
    with open_study(tmp_path) as study:
        run = run_of(tmp_path, study, search={"objectives": [{"metric": "accuracy", "limit": 0.9}]})
        study.objectives = tuple(run.config.search.objectives)
        search(study, lambda record: script(0.1 * (record.number + 1)), limits=SearchLimits(trials=3))
        make_weights(run, 2)
        assert best_run(run) is None
        with pytest.raises(SearchFailedError, match=r"accuracy 0.9.*the nearest is trial 2 with accuracy 0.3"):
            winner(run)


# -- the interim bundle ------------------------------------------------------------------------------------------
class Messages(Observer):
    def __init__(self):
        self.texts = []

    def on_message(self, message):
        self.texts.append(message)


def result_of(run, verified=True):
    empty = {"metrics": {}, "parity": None, "parity_summary": "", "latency": [], "size_mb": 0.1}
    return BundleResult.model_validate({"bundle": run.folder.bundle, "verified": verified, **empty})


def interim_with(tmp_path, study, values=(0.5,), end=None):
    run = run_of(tmp_path, study, budget=100.0, observer=Messages())
    search(study, lambda record: script(values[record.number]), limits=SearchLimits(trials=len(values)))
    for number in range(len(values)):
        make_weights(run, number)
        run.folder.trial(number).write_config(run.config)
    return run, InterimBundle(run, lambda: end)


def ended(run, interim, verified=True):
    run.folder.bundle.mkdir(exist_ok=True)
    run.folder.bundle_file.touch()
    interim.on_end(Finished(-1, result_of(run, verified).model_dump(mode="json")))


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
        interim._started -= 3.0
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


# -- the check's part of the budget ------------------------------------------------------------------------------
def watched(tmp_path, budget, passed, labels=("resnet", "vgg", "inception")):
    run = run_of(tmp_path, budget=budget)
    run.deadline = Deadline(budget, time.monotonic() - passed)
    return _Watch(run, list(labels), lambda number, metrics: None)


def test_a_check_within_its_part_builds_every_option(tmp_path):
    for budget in (None, 100.0):
        watch = watched(tmp_path, budget, passed=1)
        assert all(watch.on_report(number, {}) for number in range(4))
        assert not watch.left_out


def test_a_check_that_takes_too_long_is_ended_and_names_the_option(tmp_path):
    watch = watched(tmp_path, 100.0, passed=20)
    assert watch.on_report(0, {})
    assert watch.on_report(1, {})
    watch.reached -= 8
    watch.run.deadline.started -= 8
    assert not watch.on_report(2, {})
    assert watch.blame() == (
        "the check has taken 28 s, 8 s of them for vgg; 1 of 3 options were not built, because the check may use "
        "25% of budget.time; the trials will tell whether they work"
    )


@pytest.mark.parametrize(("reports", "what"), [(0, "reading the data"), (1, "resnet"), (3, "inception")])
def test_a_check_without_end_names_what_it_was_doing(tmp_path, reports, what):
    watch = watched(tmp_path, 100.0, passed=20)
    for number in range(reports):
        watch.on_report(number, {})
    watch.reached -= 60
    assert watch.blame() == f"the check has taken 20 s, 60 s of them for {what}"


def test_the_last_option_of_a_slow_check_leaves_nothing_out(tmp_path):
    watch = watched(tmp_path, 100.0, passed=90, labels=["resnet"])
    assert not watch.on_report(0, {})
    assert watch.left_out == 1
    watch = watched(tmp_path, 100.0, passed=90, labels=["resnet"])
    assert watch.on_report(1, {})
    assert not watch.left_out


def test_a_trial_surely_fits_only_when_earlier_ones_say_so(tmp_path):
    found = Estimates(run_of(tmp_path, budget=100.0).config)
    assert not found.trial_fits(1000)
    found.epoch_s = 2.0
    assert found.trial_fits(MARGIN * 18 + START_S + 0.1)
    assert not found.trial_fits(MARGIN * 18 + START_S - 0.1)


def test_a_refit_of_auto_epochs_has_half_of_the_budget_and_no_more_than_it_can_use(tmp_path):
    found = Estimates(run_of(tmp_path, budget=100.0, refit={"epochs": "auto"}).config)
    assert found.planned_epochs == 9
    found.epoch_s = 2.0
    assert found.planned_epochs == int(50 / (MARGIN * 2.0))
    assert found.refit() == pytest.approx(50 - found.export())
    found.epoch_s = 0.1
    assert found.planned_epochs == 8 * 9
    found.epoch_s = 20.0
    assert found.planned_epochs == 9
    unlimited = Estimates(run_of(tmp_path, refit={"epochs": "auto"}).config, epoch_s=0.1)
    assert unlimited.planned_epochs == 9


def test_the_time_of_an_epoch_is_that_of_the_training_of_one_network(tmp_path):
    found = Estimates(run_of(tmp_path, budget=100.0, data={"folds": 5}).config, trained_s={3: 20.0})
    assert found.epoch_of(record_of(10, 30.0, number=3)) == pytest.approx(0.4)
    assert found.epoch_of(record_of(10, 30.0, number=4)) == pytest.approx(0.6)
    found.learn([record_of(10, 30.0, number=3)])
    assert found.refit() == pytest.approx(MARGIN * 9 * 0.4 + START_S)
    assert not found.trial_fits(MARGIN * 5 * 9 * 0.4)
