"""Hyperband's brackets and the patience rule, by hand."""

from collections import Counter

import pytest

from paddle_automl.search.schedulers.base import Decision
from tests.unit.search.helpers import scheduler


def test_brackets_have_the_sizes_of_the_paper():
    """R = 81, eta = 3: n = 81, 34, 15, 8, 5 (Li et al. 2016, table 1)."""
    hyperband = scheduler("hyperband", max_epochs=81)
    counts = Counter(hyperband.bracket(number) for number in range(2 * 143))
    assert [counts[s] / 2 for s in (4, 3, 2, 1, 0)] == [81, 34, 15, 8, 5]


@pytest.mark.parametrize(
    ("epochs", "rungs"),
    [
        (81, [[1, 3, 9, 27], [3, 9, 27], [9, 27], [27], []]),
        (20, [[2, 6], [6], []]),
        (10, [[1, 3], [3], []]),
        (30, [[1, 3, 10], [3, 10], [10], []]),
    ],
)
def test_the_last_rung_of_each_bracket_is_the_end(epochs, rungs):
    """R eta^-k; in the paper's table 1 R = 81. An earlier last rung would save little and cut the best third."""
    hyperband = scheduler("hyperband", max_epochs=epochs)
    first = {hyperband.bracket(number): number for number in range(200)}
    found = []
    for bracket in sorted(first, reverse=True):
        number = first[bracket]
        better = {other: dict.fromkeys(range(1, epochs + 1), 0.1) for other in range(200) if other != number}
        own = {at: dict.fromkeys(range(1, at + 1), 0.9) for at in range(1, epochs)}
        stops = [
            at for at in own if hyperband.decide(number, at, 0.9, {**better, number: own[at]}) is Decision.STOP
        ]
        found.append(stops)
    assert found == rungs


def test_a_trial_is_judged_within_its_bracket():
    hyperband = scheduler("hyperband", max_epochs=9)
    # Sizes 9, 5, 3: trials 0 to 8 stop from epoch 1 on, 9 to 13 from epoch 3 on, 14 to 16 never.
    assert [hyperband.bracket(n) for n in (0, 8, 9, 13, 14, 16, 17)] == [2, 2, 1, 1, 0, 0, 2]
    good = {number: {1: 0.1, 2: 0.1, 3: 0.1} for number in range(17)}
    bad = {1: 0.9, 2: 0.9, 3: 0.9}

    def decide(number, epoch):
        return hyperband.decide(number, epoch, 0.9, {**good, number: {e: bad[e] for e in range(1, epoch + 1)}})

    assert decide(8, 1) is Decision.STOP
    assert decide(13, 1) is Decision.CONTINUE
    assert decide(13, 3) is Decision.STOP
    assert decide(16, 3) is Decision.CONTINUE
    alone = {number: curve for number, curve in good.items() if hyperband.bracket(number) != 2}
    assert hyperband.decide(8, 1, 0.9, alone) is Decision.CONTINUE


def test_patience_counts_from_the_last_improvement():
    patience = scheduler("patience", epochs=2, min_change=0.05)
    curve = {1: 0.5, 2: 0.4, 3: 0.38}
    assert patience.decide(0, 3, 0.38, {0: curve}) is Decision.CONTINUE
    assert patience.decide(0, 4, 0.36, {0: {**curve, 4: 0.36}}) is Decision.STOP
    assert patience.decide(0, 4, 0.34, {0: {**curve, 4: 0.34}}) is Decision.CONTINUE
    assert patience.decide(0, 1, 9.0, {}) is Decision.CONTINUE
