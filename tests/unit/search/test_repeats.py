"""Repeats of configurations: their own seeds, the final choice by means, the time they need, kills."""

from dataclasses import replace
from statistics import fmean

import pytest

from paddle_automl.search.configurations import final_choice, ranked_configurations
from paddle_automl.search.learning.final_choice import repeats, repeats_after
from paddle_automl.search.limits import SearchLimits
from paddle_automl.search.objective import Objective
from paddle_automl.search.records import History, TrialRecord
from tests.unit.search.helpers import (
    ACCURACY,
    SMALL,
    TWO,
    Scripted,
    controller,
    open_study,
    scheduler,
    script,
    search,
)

TRUTH = {"x": [0.50, 0.70, 0.60], "y": [0.65, 0.69, 0.55]}


def noisy(first, again):
    """Return the script of a trial: `first` accuracy of a configuration by number, then those of its repeats."""

    def script_of(record):
        if record.repeat_of is None:
            return script(first[record.number])
        value = again[record.repeat_of]
        return value if isinstance(value, list) else script(value)

    return script_of


def run(folder, first, again, **parts):
    limits = parts.pop("limits", SearchLimits(trials=len(first) + 6, repeats=6))
    with open_study(folder) as study:
        ending, heard = search(study, noisy(first, again), limits=limits, **parts)
        return ending, heard, study.records(), study.configurations()


def test_the_last_trials_repeat_the_best_and_the_mean_decides(tmp_path):
    first = [0.1, 0.9, 0.5, 0.8, 0.7, 0.6, 0.65]
    again = {1: 0.6, 3: 0.79, 4: 0.71, 5: 0.6, 6: 0.6}
    ending, _, records, found = run(tmp_path, first, again)
    assert ending.message == "all 13 trials are done, 6 of them repeats for the final choice"
    assert [record.repeat_of for record in records[7:]] == [1, 3, 4, 6, 5, 1]
    assert [record.repeat for record in records[7:]] == [1, 1, 1, 1, 1, 2]
    assert all(record.counted and record.duplicate_of is None for record in records)
    assert [item.first.number for item in found] == [3, 4, 1, 6, 5, 2, 0]
    assert found[2].values == (pytest.approx(fmean([0.9, 0.6, 0.6])),)
    choice = final_choice(found, ACCURACY)
    assert (choice.winner.first.number, choice.observed.first.number, choice.observed_value) == (3, 1, 0.9)
    assert choice.mean == pytest.approx(0.795)
    assert choice.gain == pytest.approx(0.795 - 0.7)
    assert (choice.lowest, choice.highest) == (0.79, 0.8)


def test_the_automatic_number_of_repeats():
    assert [SearchLimits(trials, repeats="auto").planned for trials in (1, 30, 50, 100)] == [0, 0, 3, 20]
    assert [SearchLimits(trials, repeats=4).planned for trials in (3, 30)] == [2, 4]
    for trials in range(1, 200):
        assert 0 <= repeats_after(trials - repeats(trials)) <= repeats(trials)
    # Time ends a search of at most 1,000 trials after 20 or 80: no repeats, and as many as 100 trials have.
    limits = SearchLimits(1000, repeats="auto")
    assert [limits.planned_after(explored) for explored in (20, 80, 800)] == [0, 20, 200]


def test_without_repeats_nothing_is_different(tmp_path):
    ending, _, _, found = run(tmp_path, [0.1, 0.9, 0.5], {}, limits=SearchLimits(trials=3))
    assert ending.message == "all 3 trials are done"
    assert [item.first.number for item in found] == [1, 2, 0]
    assert final_choice(found, ACCURACY) is None


def test_a_failed_repeat_counts_as_the_worst_and_one_cut_short_does_not_count(tmp_path):
    again = {1: ["diverged"], 2: 0.5}
    _, _, records, found = run(tmp_path, [0.1, 0.9, 0.55], again, limits=SearchLimits(trials=5, repeats=2))
    assert [(r.repeat_of, r.state) for r in records[3:]] == [(1, "failed"), (2, "complete")]
    # 1: (0.9 + 0.1) / 2 against 2: (0.55 + 0.5) / 2.
    assert [item.first.number for item in found] == [2, 1, 0]
    assert (found[1].failed, found[1].values) == (1, (0.9,))
    with open_study(tmp_path) as study:
        study.repeat(1)
        study.prune(study.ask(controller()).number, {"accuracy": 0.0}, {1: 0.0}, "no time left")
        assert [item.first.number for item in study.configurations()] == [2, 1, 0]


def test_repeats_are_never_stopped_by_the_scheduler_nor_do_they_raise_the_bar(tmp_path):
    asha = scheduler("asha", min_epochs=1, reduction=3)
    curves = {0: (0.5, 0.6), 1: (0.6, 0.7), 2: (0.7, 0.8)}
    with open_study(tmp_path) as study:
        limits = SearchLimits(trials=6, repeats=3)
        search(
            study,
            lambda r: script(*(curves[r.number] if r.repeat_of is None else (0.1, 0.2))),
            limits=limits,
            scheduler=asha,
            epochs=2,
        )
        assert [record.state for record in study.records()] == ["complete"] * 6
        more = SearchLimits(trials=7, repeats=3)
        search(study, lambda r: script(0.75, 0.76), limits=more, scheduler=asha, epochs=2)
        assert study.records()[6].state == "complete"


@pytest.mark.parametrize("workers", [1, 3])
def test_several_workers_share_the_repeats(tmp_path, workers):
    first = [0.1, 0.9, 0.5, 0.8, 0.7, 0.6]
    _, _, records, _ = run(tmp_path, first, dict(enumerate(first)), workers=workers)
    again = [record.repeat_of for record in records if record.repeat_of is not None]
    assert len(again) == 6
    assert len(set(again)) == 5
    assert len({(record.repeat_of, record.repeat) for record in records[6:]}) == 6


def test_an_exhausted_space_and_no_improvement_still_spend_the_repeats(tmp_path):
    grid = controller("grid", space=SMALL)
    truth = lambda record: script(TRUTH[record.params["b"]][record.params["a"] - 1])  # noqa: E731
    with open_study(tmp_path / "grid", space=SMALL) as study:
        ending, _ = search(study, truth, limits=SearchLimits(trials=50, repeats=4), controller=grid)
        assert ending.reason == "exhausted"
        assert ending.message.endswith("was tried, 4 repeats for the final choice")
        assert len(study.records()) == 10
    with open_study(tmp_path / "stop") as study:
        limits = SearchLimits(trials=50, repeats=4, stop_after=3)
        ending, _ = search(study, lambda record: script(0.5), limits=limits)
        assert ending.message == "no improvement in the last 3 trials, 4 repeats for the final choice"
        assert len(study.records()) == 8
        again, heard = search(study, lambda record: script(0.5), limits=limits)
        assert (again, heard.started) == (ending, [])


@pytest.mark.parametrize(("stop_after", "space"), [(10, None), (None, SMALL)])
def test_a_search_that_ends_early_repeats_as_a_short_one_does(tmp_path, stop_after, space):
    limits = SearchLimits(trials=400, repeats="auto", stop_after=stop_after)
    parts = {"space": space} if space else {}
    with open_study(tmp_path, **parts) as study:
        chosen = controller("grid", space=space) if space else controller()
        search(study, lambda record: script(0.5), limits=limits, controller=chosen)
        assert 0 < len(study.records()) < 20
        assert all(record.repeat_of is None for record in study.records())


@pytest.mark.parametrize(("deadline", "again"), [(2.5, 4), (0.9, 2), (0.3, 0)])
def test_the_deadline_leaves_time_for_the_repeats(tmp_path, clock, deadline, again):
    """A trial takes 0.2 s; 4 repeats want 1 s, and get at most half."""
    limits = SearchLimits(trials=500, repeats=4, deadline=1000 + deadline)
    first, worse = [n / 500 for n in range(500)], dict.fromkeys(range(500), 0.3)
    ending, _, records, _ = run(tmp_path, first, worse, limits=limits, executor=clock.slow(1))
    repeated = [record.repeat_of is not None for record in records]
    assert sum(repeated) == again
    assert repeated == sorted(repeated)
    assert ending.reason == "deadline"
    if again == 4:
        assert ending.message == "the time for searching is used up, 4 repeats for the final choice"
        assert clock.now <= limits.deadline


@pytest.mark.parametrize("workers", [1, 3])
def test_more_given_configurations_than_fit_leave_the_repeats_alone(tmp_path, workers):
    truth = [0.1, 0.9, 0.5, 0.8, 0.7, 0.6]
    own, given = controller(), []
    with open_study(tmp_path / "other") as study:
        given = [study.ask(own).params for _ in range(9)]
    with open_study(tmp_path) as study:
        limits, again = SearchLimits(trials=10, repeats=4), dict(enumerate(truth))
        ending, heard = search(study, noisy(truth, again), limits=limits, first=given, workers=workers)
        assert ending.message == "all 10 trials are done, 4 of them repeats for the final choice"
        assert [record.params for record in heard.started[:6]] == given[:6]
        assert sorted(record.repeat_of for record in heard.started[6:]) == [1, 3, 4, 5]
        assert heard.messages == ["search.trials: 3 configurations that were to come first were not tried"]
        # With more trials they come first.
        more = SearchLimits(trials=13, repeats=4)
        _, heard = search(study, lambda record: script(0.3), limits=more, workers=workers)
        assert [record.params for record in heard.started] == given[6:]


def test_no_repeat_starts_after_the_last_start(tmp_path, clock):
    """What is left of the time is then worth more to the refit, and a repeat that the deadline cuts is lost."""
    first, again = [0.1, 0.9, 0.8, 0.2], {1: 0.7, 2: 0.79}
    # A trial takes 0.2 s, so that one of the repeats starts before it.
    limits = SearchLimits(trials=6, repeats=2, deadline=clock.now + 60, last_start=clock.now + 0.95)
    ending, _, records, _ = run(tmp_path, first, again, limits=limits, executor=clock.slow(1))
    assert [record.repeat_of for record in records[4:]] == [1]
    assert ending.message == "the time for searching is used up, 1 repeats for the final choice"


@pytest.mark.parametrize("workers", [1, 2])
def test_repeats_that_the_deadline_cut_are_made_when_the_search_is_continued(tmp_path, clock, workers):
    first, cut = [0.1, 0.9, 0.8, 0.2], {number: [(1, {"accuracy": 0.3}), "hang"] for number in (1, 2)}
    limits = SearchLimits(trials=6, repeats=2)
    with open_study(tmp_path) as study:
        search(study, noisy(first, {}), limits=SearchLimits(trials=4))
    in_time = replace(limits, deadline=clock.now + 0.5, grace_s=0.2)
    ending, _, records, _ = run(tmp_path, first, cut, limits=in_time, executor=clock.slow(workers))
    assert [(record.state, record.counted) for record in records[4:]] == [("pruned", False)] * workers
    assert ending.message == "the time for searching is used up"
    ending, heard, _, found = run(tmp_path, first, {1: 0.6, 2: 0.79}, limits=limits, workers=workers)
    assert ending.message == "all 6 trials are done, 2 of them repeats for the final choice"
    assert [record.repeat for record in heard.started] == ([2, 1] if workers == 1 else [2, 2])
    assert found[0].first.number == 2


def test_continuing_with_more_trials_searches_on_and_repeats_again(tmp_path):
    first = {0: 0.1, 1: 0.9, 2: 0.5, 5: 0.95, 6: 0.2}
    with open_study(tmp_path) as study:
        search(study, noisy(first, {1: 0.8, 2: 0.5}), limits=SearchLimits(trials=5, repeats=2))
        before = study.records()
        search(study, noisy(first, {5: 0.94, 6: 0.2}), limits=SearchLimits(trials=9, repeats=4))
        after = study.records()
        assert after[:5] == before
        assert [record.repeat_of for record in after[5:]] == [None, None, 5, 6]
        assert study.best().number == 5


def test_a_killed_repeat_is_run_again_with_the_same_seed(tmp_path):
    with open_study(tmp_path) as study:
        search(study, lambda r: script(r.number / 9), limits=SearchLimits(trials=3))
        study.repeat(1)
        study.repeat(1)
        left = study.ask(controller())
        assert (left.repeat_of, left.repeat) == (1, 1)
    # Killed: one repeat ran, one waited.
    with open_study(tmp_path) as study:
        waited, again = study.ask(controller()), study.ask(controller())
        assert (waited.repeat_of, waited.repeat, waited.retry_of) == (1, 2, None)
        assert (again.repeat_of, again.repeat, again.retry_of) == (1, 1, left.number)
        assert again.params == left.params
        study.interrupt(again.number)
        third = study.ask(controller())
        assert (third.repeat_of, third.repeat) == (1, 1)


def test_a_search_killed_among_its_repeats_ends_as_the_whole_one(tmp_path):
    first = [0.1, 0.9, 0.5, 0.8]
    again = dict(enumerate(first))
    limits = SearchLimits(trials=10, repeats=6)

    class Dies(Scripted):
        def poll(self, timeout_s):
            if 6 in self._jobs and not self.killed:
                raise KeyboardInterrupt
            return super().poll(timeout_s)

    whole = run(tmp_path / "whole", first, again, limits=limits)[2]
    with pytest.raises(KeyboardInterrupt), open_study(tmp_path / "cut") as study:
        search(study, noisy(first, again), limits=limits, executor=Dies(1))
    cut = run(tmp_path / "cut", first, again, limits=limits)[2]
    kept = [(r.repeat_of, r.repeat, r.values) for r in cut if r.counted]
    assert sorted(kept[4:]) == sorted((r.repeat_of, r.repeat, r.values) for r in whole[4:])
    assert sum(record.reason == "interrupted" for record in cut) == 1


def test_what_can_be_repeated(tmp_path):
    with open_study(tmp_path) as study:
        search(study, lambda r: ["broke"] if r.number == 1 else script(0.2), limits=SearchLimits(trials=2))
        for number in (1, 7):
            with pytest.raises(ValueError, match="nothing to repeat"):
                study.repeat(number)
        study.repeat(0)
        first = study.ask(controller())
        study.complete(first.number, {"accuracy": 0.4}, {1: 0.4})
        study.repeat(first.number)
        assert study.ask(controller()).repeat_of == 0
        # The user's repeat of one that does not lead makes it no winner.
        assert study.best().number == 0


def test_a_lone_repeat_of_another_configuration_decides_nothing(tmp_path):
    with open_study(tmp_path) as study:
        search(study, lambda r: script(0.2 + r.number / 10), limits=SearchLimits(trials=3))
        study.repeat(0)
        study.complete(study.ask(controller()).number, {"accuracy": 0.1}, {})
        assert study.best().number == 2


def test_repeats_keep_to_the_limits_and_serve_the_first_objective(tmp_path):
    objectives = (Objective(metric="accuracy"), Objective(metric="parameters", limit=100))
    first = [(0.9, 500), (0.8, 90), (0.7, 50), (0.6, 80), (0.85, 101)]

    def script_of(record):
        accuracy, parameters = first[record.number if record.repeat_of is None else record.repeat_of]
        end = {"metrics": {"accuracy": accuracy - 0.15 * (record.repeat_of == 1), "parameters": parameters}}
        return script(accuracy, end=end)

    with open_study(tmp_path, objectives=objectives) as study:
        limits = SearchLimits(trials=8, repeats=3)
        search(study, script_of, limits=limits, controller=controller(objectives=objectives))
        assert [record.repeat_of for record in study.records()[5:]] == [1, 2, 3]
        assert study.best().number == 1
        assert study.configurations()[0].values == (pytest.approx(0.725), 90)
        assert [record.number for record in study.pareto()] == [1, 2]


def test_controllers_see_each_run_and_propose_the_same_after_repeats(tmp_path):
    def proposals(folder, repeat):
        with open_study(folder, objectives=TWO) as study:
            found = []
            for number in range(6):
                record = study.ask(controller("evolution", objectives=TWO, population=20))
                found.append(record.params)
                study.complete(record.number, {"accuracy": 0.5, "parameters": 3}, {})
                if repeat and number == 2:
                    study.repeat(record.number)
                    again = study.ask(controller("evolution", objectives=TWO))
                    study.complete(again.number, {"accuracy": 0.3, "parameters": 3}, {})
            history = History.of(study.optuna.get_trials(deepcopy=False), TWO)
            return found, [observation.costs for observation in history.finished]

    plain, _ = proposals(tmp_path / "plain", repeat=False)
    repeated, costs = proposals(tmp_path / "repeated", repeat=True)
    assert repeated == plain
    assert costs.count((-0.5, 3.0)) == 6
    assert costs.count((-0.3, 3.0)) == 1


def test_the_best_single_observation_is_a_run_that_counts():
    """Trial 0 was cut; once it has whole repeats, it is none of the runs that are compared."""

    def record(number, accuracy, state="complete", **facts):
        return TrialRecord(number, {"a": number}, state, {"accuracy": accuracy}, (accuracy,), **facts)

    again = [(0, 0.85), (1, 0.79), (0, 0.6)]
    repeats = [record(2 + place, value, repeat_of=first, repeat=1) for place, (first, value) in enumerate(again)]
    found = ranked_configurations([record(0, 0.95, "pruned"), record(1, 0.8), *repeats], ACCURACY)
    choice = final_choice(found, ACCURACY)
    assert (choice.winner.first.number, choice.observed.first.number) == (1, 0)
    assert choice.observed_value == 0.85
    assert choice.observed_mean == pytest.approx(0.725)


def test_copies_take_no_part(tmp_path):
    with open_study(tmp_path, space=SMALL) as study:
        grid = controller("grid", space=SMALL)
        first = study.ask(grid)
        study.complete(first.number, {"accuracy": 0.7}, {1: 0.7})
        study.optuna.enqueue_trial(dict(first.params))
        study.ask(grid)
        (only,) = ranked_configurations(study.records(), ACCURACY)
        assert [run.number for run in only.runs] == [0]
