"""Trials of different lengths: with which others each is compared, and where its own end is."""

import pytest

from paddle_automl.search.limits import SearchLimits
from tests.unit.search.helpers import controller, open_study, scheduler, script, search


def planned(epochs, *values):
    """Return a script that tells how many epochs it will have."""
    return [(epoch, {"accuracy": value}, epochs) for epoch, value in enumerate(values, 1)] + [
        {"metrics": {"accuracy": values[-1]}}
    ]


@pytest.mark.parametrize("cut", [(), (2,)])
def test_a_long_trial_is_not_compared_with_shorter_ones(tmp_path, cut):
    """At the end of its schedule a short trial is better than a long one at the same epoch."""
    short, long = planned(3, 0.5, 0.7, 0.86), planned(9, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.88, 0.9, 0.92)
    weak = planned(9, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.78, 0.8, 0.82)
    scripts = [short, short, long, weak, planned(3, 0.3, 0.4, 0.5)]
    asha = scheduler("asha", min_epochs=1, reduction=3)
    for trials in (*cut, 5):
        with open_study(tmp_path) as study:
            search(study, lambda r: scripts[r.number], limits=SearchLimits(trials=trials), scheduler=asha, epochs=9)
            records = study.records()
    assert [record.epochs for record in records] == [3, 3, 9, 9, 3]
    # The fourth is compared with the third alone, the last one with all.
    assert [record.state for record in records] == ["complete"] * 3 + ["pruned"] * 2
    assert [max(record.curve) for record in records[3:]] == [1, 1]


def test_a_shortened_trial_that_reaches_its_own_end_is_complete(tmp_path):
    scripts = [planned(9, *[0.9] * 9), planned(3, 0.95, 0.95, 0.1), script(*[0.5] * 9)]
    with open_study(tmp_path) as study:
        rule = scheduler("patience", epochs=2)
        search(study, lambda r: scripts[r.number], limits=SearchLimits(trials=3), scheduler=rule, epochs=9)
        states = [(record.state, max(record.curve), record.epochs) for record in study.records()]
    assert states == [("pruned", 3, 9), ("complete", 3, 3), ("pruned", 3, 9)]


def test_a_study_without_planned_epochs_is_continued(tmp_path):
    """Complete trials had as many epochs as they reported; of the others nothing is known."""
    with open_study(tmp_path) as study:
        for curve in ({1: 0.5, 2: 0.9}, {1: 0.2, 2: 0.3, 3: 0.4}):
            study.complete(study.ask(controller()).number, {"accuracy": max(curve.values())}, curve)
        cut = study.ask(controller()).number
        study.prune(cut, {"accuracy": 0.1}, {1: 0.1}, "stopped by the scheduler after epoch 1")
    scripts = {3: script(0.3, 0.35, 0.5), 4: script(0.1, 0.6, 0.7)}
    with open_study(tmp_path) as study:
        search(
            study,
            lambda r: scripts[r.number],
            limits=SearchLimits(trials=5),
            scheduler=scheduler("asha", min_epochs=1, reduction=2),
            epochs=3,
        )
        assert [record.state for record in study.records()[3:]] == ["complete", "pruned"]
        assert study.records()[4].curve == {1: 0.1}
