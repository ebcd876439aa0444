"""Trials with cross-validation: one that was cut before all folds were done is behind those that were not."""

from functools import partial

from paddle_automl.pipeline.progress.display import outcome_text
from paddle_automl.search.configurations import final_choice, settled_configurations
from paddle_automl.search.learning.encoding import Encoding
from paddle_automl.search.limits import SearchLimits
from paddle_automl.search.progress import Progress, best_so_far
from paddle_automl.search.records import NO_TIME
from paddle_automl.search.study import Study
from tests.unit.search.helpers import ACCURACY, SMALL, TWO, open_study, scheduler, script, search

CUT = [(1, {"accuracy": 0.9, "parameters": 1.0}), NO_TIME]
"""The deadline stops it after the reports of the first fold."""


def whole(accuracy, folds=5):
    metrics = {"accuracy": accuracy, "parameters": 2.0}
    return [(1, {**metrics, "accuracy": accuracy + 0.05}), {"metrics": metrics, "folds": folds}]


def run(study: Study, *scripts, folds=5, **parts):
    return search(
        study, lambda r: scripts[r.number], limits=SearchLimits(trials=len(scripts)), folds=folds, **parts
    )


def numbers(found):
    return [item.first.number for item in found]


def test_a_trial_of_one_fold_neither_wins_nor_leads_while_there_is_one_of_all(tmp_path):
    with open_study(tmp_path) as study:
        run(study, CUT, whole(0.7), whole(0.8))
    with open_study(tmp_path) as study:
        records = study.records()
        assert [record.folds for record in records] == [(1, 5), (5, 5), (5, 5)]
        assert [record.partial for record in records] == [True, False, False]
        assert records[0].values == (0.9,)
        assert numbers(study.configurations()) == numbers(study.settled()) == [2, 1, 0]
        assert study.best().number == 2
        assert study.finalists(2) == [2, 1]
        assert final_choice(study.settled(), ACCURACY) is None
        assert best_so_far(records, ACCURACY[0]) == [0.9, 0.7, 0.8]
        progress, since = Progress(ACCURACY), []
        for record in [*records, records[0]]:
            progress.add(record)
            since.append(progress.since)
        assert since == [0, 0, 0, 1], "search.stop_after counts trials without improvement"
        assert outcome_text(records[0], ACCURACY).startswith(
            "pruned: accuracy 0.9 after 1 epochs, 1 of 5 folds, in"
        )
        assert "folds" not in outcome_text(records[1], ACCURACY)


def test_a_trial_of_one_fold_wins_while_it_is_alone(tmp_path):
    with open_study(tmp_path) as study:
        run(study, CUT, CUT)
        assert numbers(study.configurations()) == [0, 1]
        assert study.best().folds_text == "1 of 5 folds"


def test_a_trial_that_a_scheduler_stops_in_its_first_fold_is_one_of_a_part(tmp_path):
    curves = [(0.6, 0.7), (0.5, 0.9)]
    with open_study(tmp_path) as study:
        made = partial(scheduler, "asha", min_epochs=1, reduction=2)
        ends = [{"metrics": {"accuracy": 0.4}, "folds": 5}, {"metrics": {"accuracy": 0.5}, "folds": 1}]
        scripts = [script(*curve, end=end) for curve, end in zip(curves, ends, strict=True)]
        run(study, *scripts, scheduler=made(), epochs=2)
        assert [record.state for record in study.records()] == ["complete", "pruned"]
        assert study.records()[1].folds_text == "1 of 5 folds"
        assert numbers(study.configurations()) == [0, 1]


def test_without_folds_a_cut_trial_may_win_as_before(tmp_path):
    with open_study(tmp_path) as study:
        run(study, CUT, whole(0.7), whole(0.8), folds=1)
        assert [record.folds for record in study.records()] == [None] * 3
        assert numbers(study.configurations()) == numbers(study.settled()) == [0, 2, 1]


def test_a_copy_has_the_folds_of_its_original(tmp_path):
    with open_study(tmp_path, SMALL) as study:
        own = {"a": 3, "b": "x"}
        study.enqueue_first(own)
        run(study, CUT, whole(0.7))
        study._study.enqueue_trial(own)
        from tests.unit.search.helpers import controller

        copy = study.ask(controller(space=SMALL))
        assert (copy.duplicate_of, copy.folds) == (0, (1, 5))


def test_the_front_is_of_trials_that_are_comparable(tmp_path):
    with open_study(tmp_path, objectives=TWO) as study:
        run(study, CUT, whole(0.7))
        assert [record.number for record in study.pareto()] == [1]


def test_many_whole_trials_settle_without_those_of_one_fold(tmp_path):
    with open_study(tmp_path) as study:
        run(study, CUT, *(whole(0.5 + 0.01 * number) for number in range(12)))
        found = study.configurations()
        assert found[-1].first.number == 0
        assert settled_configurations(found, ACCURACY, Encoding(study.space))[0].first.number != 0
