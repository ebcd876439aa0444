"""Ensemble selection: which networks answer better together."""

import numpy as np
import pytest

from paddle_automl.core.seeds import generator
from paddle_automl.pipeline.selection import Judge, honest_mean, mean_of, select
from paddle_automl.tasks.base import restore
from paddle_automl.tasks.single_label import SingleLabel

CODES = np.arange(300) % 3
TASK = restore(SingleLabel.Fitted(name="single_label", names=("a", "b", "c")))
JUDGE = Judge("accuracy", True, TASK)


def answers(wrong, certainty=0.6, doubt=0.45):
    """Return probabilities that are right but for the items `wrong`, where the next class has the largest one."""
    top, largest = CODES.copy(), np.full(300, certainty, np.float32)
    top[wrong], largest[wrong] = (top[wrong] + 1) % 3, doubt
    found = np.repeat((1 - largest[:, None]) / 2, 3, axis=1)
    found[np.arange(300), top] = largest
    return found


def test_those_are_added_that_are_wrong_about_other_items():
    winner, alike = answers(np.arange(60)), answers(np.arange(61))
    outputs = [winner, alike, answers(np.arange(60, 130)), answers(np.arange(130, 210))]
    chosen = select(outputs, CODES, JUDGE, 3)
    assert chosen[:2] == [0, 2]
    assert 1 not in chosen
    assert JUDGE.score(mean_of(outputs, chosen), CODES)[0] == 1.0 > JUDGE.score(winner, CODES)[0]
    assert select(outputs, CODES, JUDGE, 2) == [0, 2]


def test_the_winner_stays_alone_where_no_other_improves_it():
    winner = answers(np.arange(0, 10), 0.9, 0.9)
    worse = answers(np.arange(0, 100), 0.9, 0.9)
    assert select([winner, worse, worse], CODES, JUDGE, 3) == [0]
    assert select([winner], CODES, JUDGE, 3) == [0]


def test_an_error_is_minimized():
    class Numbers(Judge):
        def score(self, outputs, codes):
            return -float(np.abs(outputs[:, 0] - codes).mean()), 0.0

    judge = Numbers("mae", False, TASK)
    truth = CODES.astype(np.float32)[:, None]
    assert select([truth + 1, truth + 2, truth - 1], CODES, judge, 3) == [0, 2]


def test_members_are_judged_on_items_by_which_they_were_not_chosen():
    """Of many random answers the best three look good where they were chosen, and only there."""
    rng = np.random.default_rng(0)
    outputs = [rng.dirichlet([1, 1, 1], size=300).astype(np.float32) for _ in range(40)]
    chosen = JUDGE.score(mean_of(outputs, select(outputs, CODES, JUDGE, 3)), CODES)[0]
    honest = honest_mean(outputs, CODES, JUDGE, 3, generator(0, "ensemble"))
    assert chosen > 0.42
    assert JUDGE.score(honest, CODES)[0] < chosen - 0.03
    assert np.allclose(honest.sum(axis=1), 1, atol=1e-5)
    again = honest_mean(outputs, CODES, JUDGE, 3, generator(0, "ensemble"))
    assert np.array_equal(honest, again)


@pytest.mark.parametrize("count", [1, 2])
def test_few_items_are_enough(count):
    outputs = [values[:count] for values in (answers([]), answers([0]))]
    found = honest_mean(outputs, CODES[:count], JUDGE, 3, generator(0, "ensemble"))
    assert found.shape == (count, 3)
