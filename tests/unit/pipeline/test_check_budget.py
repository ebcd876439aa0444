"""The check's part of the budget, and estimates of what fits into the rest."""

import time
from dataclasses import replace
from types import SimpleNamespace

import pytest

from paddle_automl.pipeline.commands import _reserved, what_fits
from paddle_automl.pipeline.space import make_space
from paddle_automl.pipeline.stages.base import Deadline
from paddle_automl.pipeline.stages.check import _Watch
from paddle_automl.pipeline.stages.estimates import (
    EXPORT_S,
    GROWTH,
    MARGIN,
    REFIT_EPOCH,
    REPORT_S,
    START_S,
    TESTED,
    THREADS_GAIN,
    Estimates,
)
from paddle_automl.pipeline.stages.fine_tune import FRACTION as FINE_TUNED
from paddle_automl.pipeline.stages.fine_tune import FREE_S
from paddle_automl.pipeline.stages.search import limit_of
from paddle_automl.search.records import TrialRecord
from tests.unit.pipeline.runs import record_of, run_of


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
        "the start has taken 20 s and the check 8 s, 8 s of it for vgg; 1 of 3 options were not built, because "
        "both may use 25% of budget.time; the trials will tell whether they work"
    )


@pytest.mark.parametrize(("reports", "what"), [(0, "reading the data"), (1, "resnet"), (3, "inception")])
def test_a_check_without_end_names_what_it_was_doing(tmp_path, reports, what):
    watch = watched(tmp_path, 100.0, passed=20)
    for number in range(reports):
        watch.on_report(number, {})
    watch.reached -= 60
    watch.run.deadline.started -= 60
    assert watch.blame() == f"the start has taken 20 s and the check 60 s, 60 s of it for {what}"


def test_the_last_option_of_a_slow_check_leaves_nothing_out(tmp_path):
    watch = watched(tmp_path, 100.0, passed=90, labels=["resnet"])
    assert not watch.on_report(0, {})
    assert watch.left_out == 1
    watch = watched(tmp_path, 100.0, passed=90, labels=["resnet"])
    assert watch.on_report(1, {})
    assert not watch.left_out


def test_a_trial_surely_fits_only_when_earlier_ones_say_so(tmp_path):
    found = Estimates(run_of(tmp_path, budget=100.0).config)
    assert not found.trial_fits(1000, 9)
    found.learn([record_of(9, 18.0)])
    assert found.trial_fits(MARGIN * 18 + START_S + 0.1, 9)
    assert not found.trial_fits(MARGIN * 18 + START_S - 0.1, 9)


@pytest.mark.parametrize("key", ["training.epochs", "training.optimizer.learning_rate"])
def test_a_trial_of_more_epochs_has_a_limited_time(tmp_path, key):
    """The leaders have 1 s per epoch; the configuration states 9 epochs, and a space may vary them."""
    run = run_of(tmp_path, budget=1000.0, space={key: {"choice": [5, 60]}})
    run.estimates.learn([record_of(9, 9.0)])
    few, many = (TrialRecord(number, {key: epochs}, "running") for number, epochs in enumerate((5, 60)))
    assert limit_of(run, few, 40.0, 30.0) is None
    assert limit_of(run, many, 40.0, 30.0) == (30.0 if key == "training.epochs" else None)
    assert limit_of(run, many, 200.0, 100.0) is None
    assert limit_of(run, replace(many, repeat=1), 40.0, 30.0) is None
    assert limit_of(run, many, None, None) is None


def test_a_refit_of_auto_epochs_has_three_fifths_of_the_budget_and_no_more_than_it_can_use(tmp_path, monkeypatch):
    monkeypatch.setattr("paddle_automl.pipeline.stages.estimates.usable_cores", lambda: 1)
    found = Estimates(run_of(tmp_path, budget=100.0, refit={"epochs": "auto"}).config)
    assert found.planned_epochs == 9
    found.learn([record_of(9, 18.0)])
    assert found.planned_epochs == int(60 / (REFIT_EPOCH * 2.0))
    assert found.refit() == pytest.approx(60 - found.export())
    found.learn([record_of(9, 0.9)])
    assert found.planned_epochs == 8 * 9
    found.learn([record_of(9, 180.0)])
    assert found.planned_epochs == 9
    monkeypatch.setattr("paddle_automl.pipeline.stages.estimates.usable_cores", lambda: 2)
    found.learn([record_of(9, 18.0)])
    # All cores may train faster than the one of a trial; the time that is reserved stays the same.
    assert found.planned_epochs == int(2 * 60 / (REFIT_EPOCH * 2.0))
    assert found.refit() == pytest.approx(60 - found.export())
    short = Estimates(run_of(tmp_path, budget=100.0, refit={"epochs": "auto", "most_epochs": 20}).config)
    short.learn([record_of(9, 18.0)])
    assert short.planned_epochs == 20
    # They end sooner on both cores, which nothing else can use then.
    assert short.refit() == pytest.approx(MARGIN * 20 * 2.0 / THREADS_GAIN + START_S)
    unlimited = Estimates(run_of(tmp_path, refit={"epochs": "auto"}).config, leaders=[record_of(9, 0.9)])
    assert unlimited.planned_epochs == 9


def test_after_shortened_trials_a_refit_is_worthwhile_from_half_of_their_length(tmp_path):
    found = Estimates(run_of(tmp_path, budget=100.0, refit={"epochs": "auto"}).config)
    found.epochs = {3: 2.0}
    found.learn([record_of(3, 24.0, number=3)])
    # Three epochs of two thirds of the steps.
    assert found.epoch_s == pytest.approx(12.0)
    assert found.least_epochs == 1.0
    assert found.refit() == pytest.approx(60 - found.export())
    assert found.useful_trial_s == pytest.approx(24.0)


def test_no_trial_is_begun_that_would_be_shortened_before_a_refit_that_can_use_its_time(tmp_path):
    found = Estimates(run_of(tmp_path, budget=200.0, refit={"epochs": "auto"}).config)
    found.epochs = {0: 9.0, 1: 3.0}
    found.learn([record_of(9, 18.0, number=0), record_of(3, 3.0, number=1)])
    assert found.useful_trial_s == pytest.approx(9.0)
    stated = Estimates(run_of(tmp_path, budget=200.0, refit={"epochs": 9}).config)
    stated.learn([record_of(9, 18.0)])
    assert stated.useful_trial_s == pytest.approx(9.0)


def test_the_time_of_an_epoch_is_that_of_the_training_of_one_network(tmp_path):
    found = Estimates(run_of(tmp_path, budget=100.0, data={"folds": 5}).config, trained_s={3: 20.0})
    assert found.epoch_of(record_of(10, 30.0, number=3)) == pytest.approx(0.4)
    assert found.epoch_of(record_of(10, 30.0, number=4)) == pytest.approx(0.6)
    found.learn([record_of(10, 30.0, number=3)])
    assert found.refit() == pytest.approx(MARGIN * 9 * 0.4 + START_S)
    assert not found.trial_fits(MARGIN * 5 * 9 * 0.4, 9)


def test_a_dry_run_counts_what_is_reserved_and_one_network_of_a_refit(tmp_path):
    section = {"model": {"pretrained": "x.pdparams"}, "fine_tuning": {"recipes": ["fine_tune"]}}
    config = run_of(tmp_path, budget=600.0, **section).config
    reserved_s = FINE_TUNED * (600 - FREE_S) + EXPORT_S + REPORT_S
    assert _reserved(config, make_space(config), None, None) == pytest.approx(reserved_s)
    folds = run_of(tmp_path, budget=600.0, data={"folds": 5}).config
    # A trial of 100 s trains five networks, the refit one.
    assert what_fits(folds, 1, 100.0, 100.0, 80.0).startswith("between 5 and 5 of")
    assert what_fits(folds, 1, 100.0, 100.0, 80.1).startswith("between 4 and 4 of")


@pytest.mark.parametrize(
    ("seconds", "epochs", "folds", "all_epochs"),
    [(300.0, 60, 5, 300), (12.0, 12, 1, 12), (252.0, 12, 5, 252)],
    ids=["whole", "stopped in its first fold", "converged in its first fold"],
)
def test_an_epoch_takes_as_long_whatever_folds_there_were(tmp_path, seconds, epochs, folds, all_epochs):
    found = Estimates(run_of(tmp_path, budget=1000.0, data={"folds": 5}).config)
    times = {"seconds": seconds, "solved_s": 2.0 * folds, "folds": folds, "all_epochs": all_epochs}
    found.ended(3, SimpleNamespace(only_solved=False, epochs_run=epochs, **times), epochs)
    record = record_of(epochs, 999.0, number=3)
    found.learn([record])
    assert found.epoch_of(record) == pytest.approx(1.0)
    assert (found.solve_s, found.trial_solve_s) == pytest.approx((2.0, 10.0))


@pytest.mark.parametrize(("data", "growth"), [("train", 1.0), ("train+validation", GROWTH)])
def test_time_for_weights_that_are_solved_is_reserved(tmp_path, data, growth):
    found = Estimates(run_of(tmp_path, budget=100.0, refit={"data": data}).config)
    record = record_of(9, 35.0, number=3)
    found.trained_s[3], found.solved_s[3] = 9.0, 10.0
    found.learn([record])
    assert found.solve_s == 10.0
    assert found.refit() == pytest.approx(MARGIN * (9 * 1.0 + growth * 10.0) + START_S)
    # Eleven seconds are for the solution; what is left is for epochs of one second.
    assert found.fitting_epochs(record, START_S + MARGIN * (growth * 10.0 + 5.5)) == 5
    # The next trial may have other parts, so that it measures its own steps.
    assert not found.trial_fits(1e6, 9)


def test_a_network_that_is_only_solved_is_refitted_where_its_solution_fits(tmp_path):
    found = Estimates(run_of(tmp_path, budget=100.0, training={"epochs": 4}, refit={"data": "train"}).config)
    record = record_of(1, 30.0, number=3)
    found.ended(3, SimpleNamespace(seconds=5.0, only_solved=True, solved_s=15.0, folds=None), 1)
    found.learn([record])
    assert found.refit() == pytest.approx(MARGIN * 20.0 + START_S, abs=0.1)
    assert found.fitting_epochs(record, START_S + MARGIN * 20.0 + 1.0) >= found.least_epochs
    assert found.fitting_epochs(record, START_S + MARGIN * 20.0 - 1.0) == 0
    # One that had time for one epoch only learned in it.
    found.ended(3, SimpleNamespace(seconds=5.0, only_solved=False, solved_s=15.0, folds=None), 1)
    assert (found.trained_s[3], found.solved_s[3], found.trial_solve_s) == (5.0, 15.0, 15.0)
    found.export_s = 10.0
    assert found.export() == pytest.approx(MARGIN * TESTED * 10.0 + 1.0)
