"""The study: records, duplicates, identity, what a kill leaves behind."""

import sqlite3

import pytest
from optuna.trial import TrialState

from paddle_automl.core.errors import StudyError, TrialError
from paddle_automl.search.limits import SearchLimits
from paddle_automl.search.objective import Objective
from paddle_automl.search.reading import read_study
from paddle_automl.search.records import NO_TIME, History
from paddle_automl.space import Choice
from tests.unit.search.helpers import (
    ACCURACY,
    SMALL,
    SPACE,
    TWO,
    controller,
    open_study,
    scheduler,
    script,
    search,
)


def done(study, number, accuracy, **metrics):
    return study.complete(number, {"accuracy": accuracy, **metrics}, {1: accuracy / 2, 2: accuracy})


def test_records_survive_in_the_file(tmp_path):
    with open_study(tmp_path) as study:
        assert not study.resumed
        first = study.ask(controller())
        done(study, first.number, 0.5, loss=2.0)
        second = study.ask(controller())
        study.prune(second.number, {"accuracy": 0.4}, {1: 0.4}, "stopped by the scheduler after epoch 1")
        third = study.ask(controller())
        study.fail(third.number, "diverged: loss is nan")
        before = study.records()
    with open_study(tmp_path) as study:
        assert study.resumed
        assert study.records() == before
    one, two, three = before
    assert (one.state, one.metrics, one.values) == ("complete", {"accuracy": 0.5, "loss": 2.0}, (0.5,))
    assert one.curve == {1: 0.25, 2: 0.5}
    assert one.params == first.params
    assert SPACE.contains(one.params)
    assert (two.state, two.values, two.reason) == ("pruned", (0.4,), "stopped by the scheduler after epoch 1")
    assert (three.state, three.values, three.reason) == ("failed", None, "diverged: loss is nan")
    assert all(record.counted for record in before)


def test_the_file_is_in_wal_mode_and_any_path_will_do(tmp_path):
    folder = tmp_path / "照片 50%?#"
    with open_study(folder) as study:
        done(study, study.ask(controller()).number, 0.5)
        modes = sqlite3.connect(folder / "study.db").execute("PRAGMA journal_mode").fetchone()
    assert modes == ("wal",)


def test_another_study_is_refused_with_every_difference(tmp_path):
    with open_study(tmp_path, **{"training.epochs": 5, "data.dataset": {"name": "digits"}}):
        pass
    with pytest.raises(StudyError) as caught:
        open_study(tmp_path, space=SMALL, **{"training.epochs": 6, "data.dataset": {"name": "digits"}})
    message = str(caught.value)
    assert "  training.epochs: 5 -> 6\n" in message
    assert '  search.space.a: (none) -> {"choice": [1, 2, 3]}\n' in message
    assert "data.dataset" not in message
    assert "--fresh" in message
    with pytest.raises(StudyError, match=r"search.objectives: \"maximize accuracy\" -> \"maximize acc"):
        open_study(tmp_path, objectives=TWO, **{"training.epochs": 5, "data.dataset": {"name": "digits"}})


def test_a_limit_may_change(tmp_path):
    with open_study(tmp_path):
        pass
    with open_study(tmp_path, objectives=(Objective(metric="accuracy", limit=0.9),)) as study:
        assert study.resumed


def test_one_search_at_a_time(tmp_path):
    with open_study(tmp_path), pytest.raises(StudyError, match="another search is running in this folder"):
        open_study(tmp_path)
    with open_study(tmp_path):
        pass


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "study.db").write_bytes(b"this is no database" * 100)
    with pytest.raises(StudyError, match="cannot open the study"):
        open_study(tmp_path)


def test_baseline_comes_first_and_once(tmp_path):
    baseline = {"a": 2, "b": "y"}
    with open_study(tmp_path, space=SMALL) as study:
        study.enqueue_first(baseline)
        record = study.ask(controller(space=SMALL))
        assert (record.number, record.params, record.baseline) == (0, baseline, True)
        done(study, 0, 0.5)
        study.enqueue_first(baseline)
        assert study.ask(controller(space=SMALL)).params != baseline
    with open_study(tmp_path, space=SMALL) as study:
        study.enqueue_first(baseline)
        # Trial 1 was left running: it is asked again.
        assert study.ask(controller(space=SMALL)).retry_of == 1


def test_choices_that_had_no_time_for_a_result_are_tried_again(tmp_path):
    baseline, own = {"a": 2, "b": "y"}, controller(space=SMALL)

    def asked_without_time(count):
        with open_study(tmp_path, space=SMALL) as study:
            study.enqueue_first(baseline)
            found = [study.ask(own) for _ in range(count)]
            for record in found:
                study.fail(record.number, NO_TIME)
        return [(record.params, record.baseline, record.retry_of) for record in found]

    first = asked_without_time(2)
    # Each once more, and those that are not asked meanwhile again later.
    assert asked_without_time(1) == [(baseline, True, 0)]
    assert asked_without_time(0) == []
    assert asked_without_time(3)[:2] == [(first[1][0], False, 1), (baseline, True, 2)]
    with open_study(tmp_path, space=SMALL) as study:
        again = [study.ask(own) for _ in range(3)]
        assert [record.retry_of for record in again] == [3, 4, 5]
        for record in again:
            done(study, record.number, 0.5)
    with open_study(tmp_path, space=SMALL) as study:
        assert not study.waiting


def test_choices_that_have_a_result_copies_and_repeats_are_not_tried_again(tmp_path):
    own = controller(space=SMALL)
    with open_study(tmp_path, space=SMALL) as study:
        study.optuna.enqueue_trial({"a": 1, "b": "x"})
        study.fail(study.ask(own).number, NO_TIME)
        study.optuna.enqueue_trial({"a": 1, "b": "x"})
        done(study, study.ask(own).number, 0.5)
        study.repeat(1)
        study.fail(study.ask(own).number, NO_TIME)
        study.optuna.enqueue_trial({"a": 1, "b": "y"})
        study.optuna.enqueue_trial({"a": 1, "b": "y"})
        original, copy = study.ask(own), study.ask(own)
        assert copy.duplicate_of == original.number
        study.fail(original.number, NO_TIME)
    with open_study(tmp_path, space=SMALL) as study:
        assert study.ask(own).retry_of == original.number
        assert not study.waiting


def test_duplicates_are_answered_from_the_record(tmp_path):
    grid = controller("grid", space=SMALL)
    with open_study(tmp_path, space=SMALL) as study:
        first = study.ask(grid)
        study.complete(first.number, {"accuracy": 0.7}, {1: 0.7})
        study.optuna.enqueue_trial(dict(first.params))
        copy = study.ask(grid)
        assert (copy.state, copy.duplicate_of, copy.values) == ("complete", 0, (0.7,))
        assert not copy.counted
        assert study.best().number == 0
        assert study.best_numbers(5) == [0]
        assert study.optuna.trials[1].value == 0.7


def test_duplicates_of_a_running_trial_wait_for_it(tmp_path):
    grid = controller("grid", space=SMALL)
    with open_study(tmp_path, space=SMALL) as study:
        first = study.ask(grid)
        study.optuna.enqueue_trial(dict(first.params))
        waiting = study.ask(grid)
        assert (waiting.state, waiting.duplicate_of) == ("running", 0)
        ended = study.complete(first.number, {"accuracy": 0.7}, {1: 0.7})
        assert [(r.number, r.state, r.values) for r in ended] == [(0, "complete", (0.7,)), (1, "complete", (0.7,))]


def test_running_trials_of_a_dead_search_are_asked_again_first(tmp_path):
    with open_study(tmp_path) as study:
        random = controller()
        done(study, study.ask(random).number, 0.5)
        left = [study.ask(random), study.ask(random)]
    with open_study(tmp_path) as study:
        failed = study.records()[1:]
        assert [(r.state, r.reason, r.counted) for r in failed] == [("failed", "interrupted", False)] * 2
        again = [study.ask(controller()), study.ask(controller())]
        assert [r.params for r in again] == [r.params for r in left]
        assert [(r.number, r.retry_of) for r in again] == [(3, 1), (4, 2)]
        assert study.ask(controller()).retry_of is None
        assert study.records()[0].state == "complete"


def test_a_trial_killed_while_it_was_proposed_is_proposed_anew(tmp_path):
    with open_study(tmp_path / "whole") as study:
        done(study, study.ask(controller()).number, 0.5)
        expected = study.ask(controller()).params
    with open_study(tmp_path / "cut") as study:
        done(study, study.ask(controller()).number, 0.5)
        study.optuna.ask()
    with open_study(tmp_path / "cut") as study:
        record = study.ask(controller())
        assert (record.number, record.retry_of) == (2, None)
        assert record.params == expected


def test_a_metric_that_is_missing_leaves_the_trial_running(tmp_path):
    with open_study(tmp_path, objectives=TWO) as study:
        record = study.ask(controller(objectives=TWO))
        with pytest.raises(TrialError, match="no metric 'parameters'"):
            study.complete(record.number, {"accuracy": 0.5}, {})
        (ended,) = study.fail(record.number, "no metric")
        assert ended.state == "failed"


def test_best_keeps_the_limits_and_pareto_compares_all_objectives(tmp_path):
    objectives = (Objective(metric="accuracy"), Objective(metric="parameters", limit=100))
    results = [(0.9, 500), (0.8, 90), (0.7, 50), (0.6, 80), (0.85, 101)]
    random = controller(objectives=objectives)
    with open_study(tmp_path, objectives=objectives) as study:
        assert study.best() is None
        for accuracy, parameters in results[:1]:
            done(study, study.ask(random).number, accuracy, parameters=parameters)
        assert study.best() is None
        for accuracy, parameters in results[1:]:
            done(study, study.ask(random).number, accuracy, parameters=parameters)
        assert study.best().number == 1
        assert [record.number for record in study.pareto()] == [1, 2]
        # Beyond the limit the smallest excess comes first.
        assert study.best_numbers(10) == [1, 2, 3, 4, 0]


def test_pruned_trials_may_be_the_best(tmp_path):
    with open_study(tmp_path, objectives=ACCURACY) as study:
        done(study, study.ask(controller()).number, 0.5)
        study.prune(study.ask(controller()).number, {"accuracy": 0.6}, {1: 0.6}, "no time left")
        assert study.best().number == 1


def test_what_a_stop_means_is_kept(tmp_path):
    """A trial whose last epochs no longer improved it has a finished result; one that lost a comparison has not."""
    curves = [(0.5, 0.6, 0.7, 0.8), (0.4, 0.4, 0.4, 0.9), (0.6, 0.7, 0.8, 0.9)]

    def stopped(folder, rule):
        with open_study(folder) as study:
            search(
                study, lambda r: script(*curves[r.number]), limits=SearchLimits(trials=3), scheduler=rule, epochs=4
            )
        with open_study(folder) as study:
            return study.records()[1]

    finished = stopped(tmp_path / "patience", scheduler("patience", epochs=2))
    assert (finished.state, finished.converged, finished.partial) == ("pruned", True, False)
    cut = stopped(tmp_path / "asha", scheduler("asha"))
    assert (cut.state, cut.converged, cut.partial) == ("pruned", False, True)


def test_with_patience_the_best_trial_is_shipped(tmp_path):
    """Nearly every good trial is stopped by it."""

    def script_of(record):
        number = record.number
        best = 0.3 + 0.02 * number
        curve = [0.1, best - 0.1, best - 0.05, best] if number < 11 else [0.1, best, 0.4, 0.4]
        return script(*curve, end={"metrics": {"accuracy": best}})

    with open_study(tmp_path) as study:
        rule = scheduler("patience", epochs=2)
        search(study, script_of, limits=SearchLimits(trials=16), scheduler=rule, epochs=5)
        assert [record.state for record in study.records()] == ["complete"] * 11 + ["pruned"] * 5
        assert study.settled()[0] == study.configurations()[0]
        assert study.settled()[0].first == study.best()


def test_the_weights_of_those_that_may_win_are_kept(tmp_path):
    """A trial that was cut short may look best; from some number of whole trials on it cannot win."""
    with open_study(tmp_path) as study:
        for number in range(20):
            found, accuracy = study.ask(controller()).number, 0.5 + number / 100
            if number < 12:
                study.complete(found, {"accuracy": accuracy}, {1: accuracy})
            else:
                study.prune(found, {"accuracy": accuracy}, {1: accuracy}, "no time left")
        assert study.best_numbers(3) == [19, 18, 17, 11, 10, 9]
        assert study.finalists(2) == [19, 18, 11, 10]
        assert study.best_run(study.settled()[0]) in study.best_numbers(5)


def interrupted(folder, number, error=KeyboardInterrupt):
    """Search until the proposal after trial `number` raises; return what the next proposal would have been."""
    own = controller()
    propose = own.propose

    def stop(asked, history):
        raise error

    with open_study(folder) as study:
        for _ in range(number):
            done(study, study.ask(own).number, 0.5)
        own.propose = stop
        with pytest.raises(error):
            study.ask(own)
        history = History.of(study.optuna.get_trials(deepcopy=False), ACCURACY)
    return propose(number, history)


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_an_interrupted_proposal_is_no_trial(tmp_path, error):
    """It has taken no trial, teaches the controllers nothing, and is made again."""
    expected = interrupted(tmp_path, 1, error)
    for records in (read_study(tmp_path / "study.db").records(), open_records(tmp_path)):
        assert [(record.number, record.state) for record in records] == [(0, "complete")]
    assert len(read_study(tmp_path / "study.db").history.finished) == 1
    with open_study(tmp_path) as study:
        assert study.ask(controller()).params == expected


def open_records(folder):
    with open_study(folder) as study:
        return study.records()


def test_a_study_of_an_earlier_version_with_a_failed_proposal_is_continued(tmp_path):
    with open_study(tmp_path / "whole") as study:
        done(study, study.ask(controller()).number, 0.5)
        expected = study.ask(controller()).params
    with open_study(tmp_path / "old") as study:
        done(study, study.ask(controller()).number, 0.5)
        trial = study.optuna.ask()
        trial.set_user_attr("reason", "the controller failed")
        study.optuna.tell(trial.number, state=TrialState.FAIL)
    with open_study(tmp_path / "old") as study:
        assert [record.number for record in study.records()] == [0]
        assert study.ask(controller()).params == expected


def test_an_enqueued_trial_that_is_interrupted_while_it_is_asked_is_not_lost(tmp_path, monkeypatch):
    baseline = {"a": 2, "b": "y"}
    with open_study(tmp_path, space=SMALL) as study:
        study.enqueue_first(baseline)
        with monkeypatch.context() as patched:
            patched.setattr(Choice, "suggest", lambda *given: _raise(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                study.ask(controller(space=SMALL))
        assert study.records() == []
        again = study.ask(controller(space=SMALL))
        assert (again.params, again.baseline, again.retry_of) == (baseline, True, 0)


def test_a_trial_that_is_being_proposed_is_not_shown(tmp_path):
    with open_study(tmp_path) as study:
        done(study, study.ask(controller()).number, 0.5)
        study.optuna.ask()
        stored = read_study(tmp_path / "study.db")
        assert [record.number for record in stored.records()] == [0]
        assert stored.history.running == ()


def _raise(error):
    raise error


def test_every_difference_is_named_but_of_other_data_only_a_few(tmp_path):
    own = {"a": 1, "b": 2, "c": 3, "data.dataset.name": "image_folder", "z": 4}
    with open_study(tmp_path, SMALL, **own):
        pass
    with pytest.raises(StudyError) as same_data:
        open_study(tmp_path, SMALL, **{key: value if key.startswith("data") else 0 for key, value in own.items()})
    assert [line.split(":")[0] for line in str(same_data.value).splitlines()[1:-1]] == ["  a", "  b", "  c", "  z"]
    with pytest.raises(StudyError) as other_data:
        open_study(tmp_path, SMALL, **dict.fromkeys(own, 0))
    lines = str(other_data.value).splitlines()[1:-1]
    assert lines[0] == '  data.dataset.name: "image_folder" -> 0'
    assert [line.split(":")[0] for line in lines[1:]] == ["  a", "  b", "  and 2 more"]
