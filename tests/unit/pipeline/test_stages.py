"""Stages under one deadline: their order, their ends, manifests, what the search makes of its options."""

import json
import pickle
from types import SimpleNamespace

import numpy as np
import pytest

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.loading import validate
from paddle_automl.core.runtime import usable_cores
from paddle_automl.core.seeds import integer_seed
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.runs.trials import identity, trial_config
from paddle_automl.pipeline.stages import refit
from paddle_automl.pipeline.stages.base import STAGES, Stage, in_order
from paddle_automl.pipeline.stages.estimates import (
    EXPORT_S,
    MARGIN,
    REFIT_EPOCH,
    REPORT_S,
    START_S,
    WORTHWHILE,
    Estimates,
)
from paddle_automl.pipeline.stages.manifest import last_result, run_once
from paddle_automl.pipeline.stages.run import _from_other_studies
from paddle_automl.pipeline.stages.search import _Reserve, _smaller, controller_of, limits_of, scheduler_of
from paddle_automl.search.limits import SearchLimits
from tests.unit.pipeline.runs import SPACE, record_of, result_of, run_of


# -- deadline and estimates --------------------------------------------------------------------------------------
def test_stages_run_in_the_order_of_their_places():
    names = ["check", "features", "search", "refit", "fine_tune", "ensemble", "export", "compress", "report"]
    assert [stage.name for stage in in_order()] == names


def test_each_stage_ends_where_the_later_ones_begin(tmp_path):
    run = run_of(tmp_path, budget=200.0)
    check, _, trials, refit, _, _, export, _, report = run.stages
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
    chain = {"compression": {"steps": ["prune_filters", "quantize_post"]}}
    run = run_of(tmp_path, budget=200.0, **chain)
    assert run.reserved(run.stages[6]) == {"compress": 50.0, "report": REPORT_S}
    chain["compression"]["in_trials"] = True
    assert "compress" not in run_of(tmp_path, budget=200.0, **chain).reserved(run.stages[6])


def test_estimates_follow_the_slowest_of_the_leaders():
    sections = {"budget": {"time": 200.0}, "training": {"epochs": 10}, "refit": {"epochs": 20}}
    estimates = Estimates(validate(RunConfig, sections))
    assert estimates.refit() == pytest.approx(0.25 * 200 - EXPORT_S)
    estimates.learn([record_of(10, 10.0), record_of(10, 5.0), record_of(10, 1.0), record_of(1, 900.0)])
    assert estimates.refit() == pytest.approx(MARGIN * 20 * 1.0 + START_S)
    estimates.learn([record_of(1, 12.0)])
    assert estimates.refit() + estimates.export() == pytest.approx(120.0)
    # Too slow for a refit of half the epochs in that time: nothing is kept back for it.
    estimates.learn([record_of(1, 50.0)])
    assert estimates.refit() == 0.0
    estimates.export_s = 2.0
    assert estimates.export() == 4.0
    estimates.export_s = 10.0
    assert estimates.export() == pytest.approx(MARGIN * 10 + 1)
    assert estimates.fitting_epochs(record_of(10, 10.0), 12.1) == 10
    assert estimates.fitting_epochs(record_of(10, 10.0), None) > 10**6


def test_a_wide_network_of_few_epochs_does_not_cost_a_narrow_one_its_refit():
    sections = {"budget": {"time": 1200.0}, "training": {"epochs": 36}, "refit": {"epochs": "auto"}}
    estimates = Estimates(validate(RunConfig, sections))
    narrow, wide = record_of(36, 316.0), record_of(6, 184.0, number=1)
    estimates.epochs = {narrow.number: 36, wide.number: 6}
    estimates.learn([narrow, wide])
    threads = usable_cores() if estimates.config.training.threads == "auto" else 1
    assert estimates.planned_epochs == min(int(threads * 720 / (REFIT_EPOCH * 316 / 36)), 8 * 36)
    # The epochs of the one at the pace of the other would leave nothing for the trials.
    assert MARGIN * WORTHWHILE * 36 * 184 / 6 > 600
    assert 720 - EXPORT_S >= estimates.refit() > 500


def test_a_search_that_is_continued_plans_the_same_refit(tmp_path):
    trials = [record_of(36, 316.0, number=0), record_of(6, 184.0, number=1)]
    ranked = [SimpleNamespace(first=item) for item in trials]
    study = SimpleNamespace(records=lambda: trials, settled=lambda: ranked)
    run = run_of(tmp_path, study, budget=1200.0, training={"epochs": 36}, refit={"epochs": "auto"})
    first = Estimates(run.config)
    first.learn(trials)
    coordinator = SimpleNamespace(limits=SearchLimits(trials=2))
    _Reserve(coordinator, run, STAGES["search"]()).replay(None)
    assert run.estimates.planned_epochs == first.planned_epochs > 36
    assert coordinator.limits.deadline is not None


@pytest.mark.parametrize(
    ("space", "epochs"), [(SPACE, 4.0), ({"training.steps_per_epoch": {"choice": [4, 10]}}, 9)]
)
def test_epochs_of_fewer_steps_are_shorter_unless_the_trial_has_chosen_them(tmp_path, space, epochs):
    """A refit has the steps per epoch that the trial has chosen, but not those that its time has cut."""
    run = run_of(tmp_path, space=space, training={"epochs": 9, "batch_size": 64, "steps_per_epoch": 9})
    run.results["check"] = SimpleNamespace(train=640)
    short = run.config.training.model_copy(update={"steps_per_epoch": 4})
    run.folder.trial(0).write_config(run.config.model_copy(update={"training": short}))
    assert _Reserve(None, run, None)._epochs(record_of(9, 9.0)) == pytest.approx(epochs)


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
    assert run.until(run.stages[6]) == run.deadline.started + 100 - 7 - REPORT_S
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


def test_work_that_breaks_leaves_no_result(tmp_path):
    file = tmp_path / "s.json"
    run_once(file, 1, lambda _: True, lambda: "old")
    assert last_result(file) == "old"

    def broken():
        raise RuntimeError("no")

    for _ in range(2):
        with pytest.raises(RuntimeError):
            run_once(file, 2, lambda _: True, broken)
        assert json.loads(file.read_text()) == {"stage": "s", "former": "old"}
        assert last_result(file) == "old"
    file.write_text("{cut")
    assert last_result(file) is None
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


def test_a_refit_is_made_again_only_for_what_it_depends_on(tmp_path, monkeypatch):
    first = SimpleNamespace(number=0, params={"training.optimizer.learning_rate": 0.1})
    monkeypatch.setattr(refit, "winner", lambda run: SimpleNamespace(first=first))
    stage = STAGES["refit"]()
    run = run_of(tmp_path)
    before = stage.inputs(run)
    run.folder.trial(0).write_config(run.config)
    # A finished search has this in its manifest.
    assert stage.inputs(run) == before

    def inputs(**sections):
        return stage.inputs(run_of(tmp_path, **sections))

    data = {"in_memory": False, "loader_workers": 2}
    other = {
        "deployment": {"formats": ["onnx"]},
        "visualdl": True,
        "device": "cpu",
        "plugins": ["json"],
        "data": data,
    }
    assert inputs(**other) == before
    for changed in ({"refit": {"epochs": 12}}, {"data": {"augment": ["rotation"]}}, {"training": {"epochs": 8}}):
        assert inputs(**changed) != before
    # Such a refit makes its own bundle.
    chain = {"compression": {"steps": ["quantize_post"], "in_trials": True}, "refit": {"data": "train"}}
    assert inputs(**chain) != inputs(**chain, deployment={"formats": ["onnx"]})


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


def test_a_search_knows_which_option_makes_its_items_smaller(tmp_path):
    assert _smaller(run_of(tmp_path)) == "data.input.size"
    texts = {"dataset": {"name": "text_folder", "root": "texts"}, "input": {"name": "text"}}
    config = validate(RunConfig, {"data": texts, "model": {"backbone": "linear_ngrams"}})
    assert _smaller(SimpleNamespace(config=config)) == "data.input.max_length"
