"""The coordinator, with an executor that follows a script."""

import json
import os
import signal
import time
from types import SimpleNamespace

import pytest

from paddle_automl.core.errors import ConfigError, SearchFailedError, TimeUpError
from paddle_automl.search.limits import SearchLimits
from paddle_automl.search.objective import Objective
from paddle_automl.search.records import History
from tests.unit.search.helpers import (
    SMALL,
    SPACE,
    TWO,
    Scripted,
    controller,
    open_study,
    scheduler,
    script,
    search,
)


def test_runs_as_many_trials_as_asked_and_tells_the_listener(tmp_path):
    with open_study(tmp_path) as study:
        ending, heard = search(study, lambda record: script(0.1, 0.2), limits=SearchLimits(trials=3))
        assert ending.reason == "trials"
        assert [record.number for record in heard.started] == [0, 1, 2]
        assert [record.state for record in heard.ended] == ["complete"] * 3
        assert heard.reports[:2] == [(0, 1, {"accuracy": 0.1}), (0, 2, {"accuracy": 0.2})]
        assert study.records()[2].curve == {1: 0.1, 2: 0.2}
        more, heard = search(study, lambda record: script(0.1), limits=SearchLimits(trials=4))
        assert [record.number for record in heard.started] == [3]
        assert more.message == "all 4 trials are done"


def test_baseline_is_trial_0(tmp_path):
    baseline = {"a": 3, "b": "x"}
    with open_study(tmp_path, space=SMALL) as study:
        _, heard = search(study, lambda record: script(0.1), limits=SearchLimits(trials=2), baseline=baseline)
        assert heard.started[0].params == baseline


def test_a_small_space_ends_exhausted(tmp_path):
    for name in ("random_search", "grid", "optuna"):
        with open_study(tmp_path / name, space=SMALL) as study:
            ending, _ = search(
                study,
                lambda record: script(0.1),
                limits=SearchLimits(trials=50),
                controller=controller(name, space=SMALL),
                workers=2,
            )
            assert ending.reason == "exhausted"
            assert sum(record.counted for record in study.records()) == 6


def test_twenty_duplicates_in_a_row_end_the_search(tmp_path):
    always = controller(space=SPACE)
    always.propose = lambda number, history: {"net": "plain", "rate": 0.1, "drop": 0.1, "flags": "yes"}
    with open_study(tmp_path) as study:
        ending, heard = search(study, lambda record: script(0.3), limits=SearchLimits(trials=50), controller=always)
        assert ending.reason == "exhausted"
        assert ending.message == "the last 20 proposals were known trials"
        assert len(heard.started) == 1
        assert len(heard.ended) == 21
        assert all(record.values == (0.3,) for record in study.records())


def test_stops_without_improvement(tmp_path):
    accuracies = [0.1, 0.5, 0.4, 0.3, 0.6, 0.2, 0.6, 0.1, 0.9]
    with open_study(tmp_path) as study:
        ending, _ = search(
            study, lambda record: script(accuracies[record.number]), limits=SearchLimits(trials=9, stop_after=3)
        )
        assert ending.reason == "no improvement"
        assert len(study.records()) == 8
        again, heard = search(study, lambda record: script(0.1), limits=SearchLimits(trials=20, stop_after=3))
        assert (again.reason, heard.started) == ("no improvement", [])


def test_all_trials_failing_says_what_they_had_in_common(tmp_path):
    fixed = controller(space=SPACE)
    rates = iter([0.1, 0.2, 0.3, 0.4])
    fixed.propose = lambda number, history: {"net": "plain", "rate": next(rates), "drop": 0.1, "flags": "yes"}
    with open_study(tmp_path) as study, pytest.raises(SearchFailedError) as caught:
        search(study, lambda r: ["diverged: nan"], limits=SearchLimits(9, max_failures=3), controller=fixed)
    message = str(caught.value)
    assert "the first 3 trials all failed; 3 of 3 because: diverged: nan" in message
    assert "in common they had net=plain, drop=0.1, flags=yes" in message
    assert "2.log" in message


def test_a_search_without_a_usable_trial_is_an_error(tmp_path):
    with open_study(tmp_path) as study, pytest.raises(SearchFailedError, match="all 2 trials are done, and no"):
        search(study, lambda record: ["broke"], limits=SearchLimits(trials=2))


@pytest.mark.parametrize("smaller", ["", "data.input.max_length"])
def test_a_search_without_time_names_what_makes_trials_smaller(tmp_path, smaller):
    limits = SearchLimits(trials=9, deadline=time.monotonic() - 1)
    with open_study(tmp_path) as study, pytest.raises(SearchFailedError) as caught:
        search(study, lambda record: script(0.1), limits=limits, smaller=smaller)
    named = f"training.epochs, {smaller}, the" if smaller else "training.epochs, the"
    assert str(caught.value).endswith(f"make trials smaller ({named} search space)")


def test_failures_after_a_success_end_nothing(tmp_path):
    with open_study(tmp_path) as study:
        scripts = [script(0.2), *[["broke"]] * 7]
        ending, _ = search(study, lambda r: scripts[r.number], limits=SearchLimits(8, max_failures=3))
        assert ending.reason == "trials"
        assert study.best().number == 0


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        ({"metrics": {"accuracy": float("nan")}}, "the metric 'accuracy' is nan"),
        ({"metrics": {"speed": 1}}, "the trial has no metric 'accuracy'; it has speed"),
        ({}, "the trial has no metric 'accuracy'; it has none"),
        ({"metrics": 3}, "the trial returned 3 instead of metrics"),
    ],
)
def test_results_without_usable_metrics_are_failures(tmp_path, result, reason):
    with open_study(tmp_path) as study:
        search(study, lambda r: script(0.1) if r.number else script(0.1, end=result), limits=SearchLimits(2))
        assert (study.records()[0].state, study.records()[0].reason) == ("failed", reason)


def test_a_job_that_cannot_be_made_is_a_failed_trial(tmp_path):
    def script_of(record):
        if record.number == 0:
            raise ConfigError("model.backbone.width: too small")
        return script(0.2)

    with open_study(tmp_path) as study:
        search(study, script_of, limits=SearchLimits(trials=2))
        assert study.records()[0].reason == "model.backbone.width: too small"


def test_the_scheduler_stops_trials_but_never_after_the_last_epoch(tmp_path):
    curves = [(0.5, 0.6, 0.7), (0.4, 0.5, 0.9), (0.6, 0.5, 0.1)]
    with open_study(tmp_path) as study:
        search(
            study,
            lambda record: script(*curves[record.number]),
            limits=SearchLimits(trials=3),
            scheduler=scheduler("asha", min_epochs=1, reduction=3),
            epochs=3,
        )
        one, two, three = study.records()
        assert (one.state, three.state) == ("complete", "complete")
        assert (two.state, two.curve) == ("pruned", {1: 0.4})
        assert two.reason == "stopped by the scheduler after epoch 1"


@pytest.mark.parametrize(
    ("options", "ended", "state"),
    [
        ({"name": "asha", "min_epochs": 1, "reduction": 3}, 4, "complete"),
        ({"name": "patience", "epochs": 2}, 3, "pruned"),
    ],
)
@pytest.mark.parametrize("own", [True, False])
def test_the_default_is_trained_to_the_end_unless_it_no_longer_improves(tmp_path, options, ended, state, own):
    """The final choice compares the others with its whole training."""
    ahead = [(epoch, {"accuracy": 0.9}) for epoch in (3, 4)]
    behind = [(epoch, {"accuracy": 0.4}) for epoch in (1, 3, 4)]
    scripts = [[*reports, {"metrics": {"accuracy": 0.4}}] for reports in (behind, ahead)]
    with open_study(tmp_path, space=SMALL) as study:
        search(
            study,
            lambda record: scripts[record.number],
            limits=SearchLimits(trials=2),
            scheduler=scheduler(**options),
            executor=Scripted(2),
            controller=controller(space=SMALL),
            baseline={"a": 3, "b": "x"} if own else None,
            epochs=4,
        )
        default = study.records()[0]
        assert default.baseline is own
        found = (default.state, max(default.curve))
        assert found == ((state, ended) if own or options["name"] == "patience" else ("pruned", 3))


def test_pruning_with_two_objectives(tmp_path):
    with open_study(tmp_path, objectives=TWO) as study:
        end = {"metrics": {"accuracy": 0.5, "parameters": 7}}
        curves = [(0.5, 0.6), (0.4, 0.5)]
        search(
            study,
            lambda record: script(*curves[record.number], end=end),
            limits=SearchLimits(trials=2),
            scheduler=scheduler("asha"),
            controller=controller(objectives=TWO),
        )
        assert [record.state for record in study.records()] == ["complete", "pruned"]
        assert study.records()[1].values == (0.5, 7.0)


def test_schedulers_compare_all_objectives_also_after_a_restart(tmp_path):
    """Small networks are spared although they are weak, those beyond the limit are stopped although accurate."""
    objectives = (Objective(metric="accuracy"), Objective(metric="parameters", limit=100))
    results = [(0.8, 90), (0.7, 80), (0.9, 200), (0.3, 5), (0.2, 70), (0.85, 300)]

    def script_of(record):
        accuracy, parameters = results[record.number]
        told = {"accuracy": accuracy, "parameters": parameters}
        return [(1, told), (2, told), {"metrics": told}]

    def states(folder, *cuts):
        asha = scheduler("asha", min_epochs=1, reduction=2)
        for trials in (*cuts, 6):
            with open_study(folder, objectives=objectives) as study:
                own = controller(objectives=objectives)
                search(study, script_of, limits=SearchLimits(trials), scheduler=asha, controller=own, epochs=2)
                records = study.records()
        assert records[0].reports == {1: (0.8, 90.0), 2: (0.8, 90.0)}
        return [record.state for record in records]

    whole = states(tmp_path / "whole")
    assert whole == ["complete", "pruned", "pruned", "complete", "pruned", "pruned"]
    assert states(tmp_path / "cut", 2, 4) == whole


def test_provisional_reports_are_no_result_of_a_trial_that_time_ends(tmp_path, clock):
    """A candidate that is compressed after its training reports the network before: it must not win with that."""
    scripts = [script(0.95, end={"metrics": {"accuracy": 0.9}}), [*script(0.97)[:1], "hang"]]
    with open_study(tmp_path) as study:
        limits = SearchLimits(trials=2, deadline=clock.now + 0.6, grace_s=0.1)
        search(study, lambda r: scripts[r.number], limits=limits, executor=clock.slow(1), provisional=True)
        whole, killed = study.records()
        assert (whole.state, whole.values) == ("complete", (0.9,))
        assert (killed.state, killed.reason, killed.values) == ("failed", "no time left", None)
        assert study.best().number == whole.number


def test_a_trial_that_finds_its_time_too_short_has_not_failed(tmp_path):
    scripts = [script(0.9), [TimeUpError("0.1 s are too short for one step")], script(0.8)]
    with open_study(tmp_path) as study:
        limits = SearchLimits(trials=3, max_failures=1)
        search(study, lambda record: scripts[min(record.number, 2)], limits=limits, executor=Scripted(1))
        short = study.records()[1]
        assert (short.state, short.reason, short.counted) == ("failed", "no time left", False)
        assert sum(record.counted for record in study.records()) == 3


@pytest.mark.parametrize("name", ["random_search", "grid", "auto", "bayesian", "evolution"])
def test_choices_that_are_too_slow_for_their_time_are_proposed_once(tmp_path, clock, name):
    """Two of six; each attempt would cost the start of a process and the timing of its steps."""

    def script_of(record):
        return [TimeUpError("0.1 s are too short")] if record.params["a"] == 2 else script(record.params["a"] / 9)

    own = controller(name, space=SMALL)
    with open_study(tmp_path, space=SMALL) as study:
        limits = SearchLimits(trials=20, deadline=clock.now + 10)
        ending, heard = search(study, script_of, limits=limits, executor=clock.slow(1), controller=own)
        assert ending.reason == "exhausted"
        assert len({SMALL.canonical_key(record.params) for record in heard.started}) == len(heard.started) == 6
        cut = [record for record in study.records() if record.reason == "no time left"]
        assert len(cut) == 2
    with open_study(tmp_path, space=SMALL) as study:
        _, heard = search(study, lambda record: script(0.9), limits=SearchLimits(trials=20), controller=own)
        assert [record.retry_of for record in heard.started] == [record.number for record in cut]
        history = History.of(study.optuna.get_trials(deepcopy=False), study.objectives)
        assert (len(history.finished), history.running) == (6, ())


def test_deadline_stops_politely_then_kills(tmp_path):
    class Slow(Scripted):
        def poll(self, timeout_s):
            time.sleep(0.05)
            return super().poll(timeout_s)

    scripts = [
        script(*[0.001 * step for step in range(1, 200)]),  # stops at the report after the deadline
        [*script(0.3, 0.2)[:2], "hang"],  # never reports again: killed, its metrics are kept
        ["hang"],  # never reported: no time left
    ]
    with open_study(tmp_path) as study:
        # Three trials have to start before it, also on a busy machine.
        deadline = time.monotonic() + 1.5
        ending, heard = search(
            study,
            lambda record: scripts[record.number],
            limits=SearchLimits(trials=9, deadline=deadline, grace_s=0.3),
            executor=Slow(3),
        )
        assert ending.reason == "deadline"
        polite, killed, silent = study.records()
        assert (polite.state, polite.reason) == ("pruned", "no time left")
        assert polite.values == (0.199,)
        assert len(polite.curve) < 100
        assert (killed.state, killed.reason, killed.metrics) == ("pruned", "no time left", {"accuracy": 0.3})
        assert (silent.state, silent.reason, silent.counted) == ("failed", "no time left", False)
        assert heard.messages == ["the time for searching is used up: stopping 3 running trial(s)"]


def test_nothing_starts_after_a_proposal_that_took_too_long(tmp_path, monkeypatch):
    slow = controller(space=SPACE)
    propose, now = slow.propose, [1000.0]
    monkeypatch.setattr("paddle_automl.search.coordinator.time", SimpleNamespace(monotonic=lambda: now[0]))

    def late(number, history):
        now[0] += 0.5 if number else 0.0
        return propose(number, history)

    slow.propose = late
    with open_study(tmp_path) as study:
        limits = SearchLimits(trials=9, deadline=now[0] + 0.4)
        ending, heard = search(study, lambda record: script(0.1), limits=limits, controller=slow)
        assert ending.reason == "deadline"
        assert len(heard.started) == 1
        assert study.records()[1].reason == "interrupted"


def test_after_the_last_start_running_trials_go_on_and_no_other_begins(tmp_path, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr("paddle_automl.search.coordinator.time", SimpleNamespace(monotonic=lambda: now[0]))

    def script_of(record):
        now[0] += record.number
        return script(*[0.1] * 10)

    with open_study(tmp_path) as study:
        limits = SearchLimits(trials=9, deadline=now[0] + 60, last_start=now[0] + 0.5)
        ending, _ = search(study, script_of, limits=limits, workers=2)
        assert ending.reason == "deadline"
        assert [(record.state, len(record.curve)) for record in study.records()] == [("complete", 10)] * 2


def test_no_trial_in_time_is_an_error(tmp_path):
    limits = SearchLimits(trials=9, deadline=time.monotonic() - 1)
    with open_study(tmp_path) as study, pytest.raises(SearchFailedError, match="give more time"):
        search(study, lambda record: script(0.1), limits=limits)


def test_a_search_that_had_no_time_for_the_baseline_begins_with_it_when_continued(tmp_path, clock):
    baseline, own = {"a": 3, "b": "x"}, controller(space=SMALL)
    limits = SearchLimits(trials=2, deadline=clock.now + 0.3, grace_s=0.1)
    with open_study(tmp_path, space=SMALL) as study, pytest.raises(SearchFailedError, match="give more time"):
        search(study, lambda r: ["hang"], limits=limits, executor=clock.slow(1), controller=own, baseline=baseline)
    with open_study(tmp_path, space=SMALL) as study:
        _, heard = search(study, lambda r: script(0.1), limits=SearchLimits(2), controller=own, baseline=baseline)
        assert [(record.params == baseline, record.baseline) for record in heard.started] == [
            (True, True),
            (False, False),
        ]


def test_ctrl_c_ends_cleanly_and_the_trial_is_asked_again(tmp_path):
    class Interrupted(Scripted):
        def poll(self, timeout_s):
            if 2 in self._jobs and not self.killed:
                os.kill(os.getpid(), signal.SIGINT)
            return super().poll(timeout_s)

    before = signal.getsignal(signal.SIGINT)
    with open_study(tmp_path) as study:
        ending, heard = search(
            study,
            lambda record: script(0.1) if record.number < 2 else ["hang"],
            limits=SearchLimits(trials=6),
            executor=Interrupted(1),
        )
        assert ending.reason == "interrupted"
        assert heard.ended[-1].reason == "interrupted"
        assert heard.messages == ["interrupted: stopping 1 running trial(s)"]
        interrupted = study.records()[2]
    assert signal.getsignal(signal.SIGINT) is before
    with open_study(tmp_path) as study:
        _, heard = search(study, lambda record: script(0.1), limits=SearchLimits(trials=6))
        assert heard.started[0].params == interrupted.params
        assert heard.started[0].retry_of == 2
        assert sum(record.counted for record in study.records()) == 6


def test_an_error_of_ours_loses_no_trial(tmp_path):
    with open_study(tmp_path) as study:

        def script_of(record):
            if record.number == 1:
                raise RuntimeError("a bug")
            return ["hang"]

        with pytest.raises(RuntimeError, match="a bug"):
            search(study, script_of, limits=SearchLimits(trials=6), executor=Scripted(2))
        assert study.records()[0].reason == "interrupted"


@pytest.mark.parametrize("name", ["random_search", "grid", "bayesian", "optuna"])
def test_an_interrupted_search_proposes_what_the_whole_one_would_have(tmp_path, name):
    options = {"bayesian": {"initial_trials": 3, "surrogate": "RF"}, "optuna": {"options": {"n_startup_trials": 3}}}

    def run(folder, cuts):
        proposed = []
        for trials in (*cuts, 6):
            with open_study(folder) as study:
                parts = controller(name, **options.get(name, {}))
                search(
                    study, lambda r: script(r.params["rate"]), limits=SearchLimits(trials=trials), controller=parts
                )
                if trials < 6:
                    study.ask(parts)  # killed in the middle of a trial
                proposed = [record.params for record in study.records() if record.counted]
        return proposed

    whole, cut = run(tmp_path / "whole", ()), run(tmp_path / "cut", (2, 4))
    assert json.dumps(cut) == json.dumps(whole)
