"""Ranks, intervals and tests of a comparison of controllers."""

import numpy as np
import pytest
from scipy.stats import binomtest, wilcoxon

from paddle_automl.benchmarks.search.statistics import basis, holm, standings


def test_holm():
    # Sorted 0.01, 0.02, 0.04 times 3, 2, 1, never falling.
    assert holm([0.04, 0.01, 0.02]) == pytest.approx([0.04, 0.03, 0.04])
    assert holm([]) == []


def standing_of(one, other):
    """Return the first of two controllers' standings; regrets [T, S] each."""
    return standings(["one", "other"], np.stack([one, other], axis=2), "other")[0]


def test_standings():
    # Four seeds of one task.
    reference = np.ones(4)
    regrets = np.column_stack([reference, [0.5, 1.0, 0.2, 2.0], [9.0, np.inf, 9.0, 9.0]])
    same, mixed, bad = standings(["tpe", "one", "two"], regrets[None], "tpe")
    assert same.wins == 0.5
    assert mixed.wins == (2 + 0.5) / 4
    assert bad.wins == 0.0
    assert bad.rank == 3.0
    assert not bad.better
    # Of four differences none has p < 0.05.
    assert same.p_value is mixed.p_value is bad.p_value is None


def test_tests_are_over_tasks_however_many_seeds_there_are():
    better = np.array([0.5, 0.1, 0.9, 0.3, 0.2, 0.7])[:, None]
    for seeds in (1, 50):
        one = standing_of(np.tile(better, seeds), np.ones((6, seeds)))
        # The smallest p of six differences.
        assert (one.p_value, one.better, one.wins) == (2 / 2**6, True, 1.0)
        assert standing_of(np.tile(better[:5], seeds), np.ones((5, seeds))).p_value is None
    # A single task is judged over its seeds.
    assert standing_of(better.T, np.ones((1, 6))).p_value == 2 / 2**6
    assert standing_of(better[:1], np.ones((1, 1))).rank_error is None


def test_the_interval_is_that_of_the_tasks_mean_ranks():
    # Mean ranks 1, 1.5 and 2; Student's quantile of two degrees of freedom is 4.303.
    found = standing_of(np.array([[0.0, 0.0], [0.0, 2.0], [2.0, 2.0]]), np.ones((3, 2)))
    assert found.rank == 1.5
    assert found.rank_error == pytest.approx(4.30265 * 0.5 / 3**0.5, rel=1e-5)


@pytest.mark.parametrize("count", [6, 9, 15])
def test_p_values_are_exact(count):
    rng = np.random.default_rng(count)
    # One seed of one task per difference would be signs alone, so a single task's regrets are compared.
    differences = rng.normal(0.3, 1, count)
    found = standing_of(differences[None], np.zeros((1, count)))
    assert found.p_value == pytest.approx(wilcoxon(differences, method="exact").pvalue)
    # Signs alone are ties: the signed rank test is the sign test then.
    signs = standing_of(differences[:, None], np.zeros((count, 1)))
    assert signs.p_value == pytest.approx(binomtest(int((differences > 0).sum()), count).pvalue)


def test_other_controllers_do_not_change_a_comparison():
    rng = np.random.default_rng(0)
    one, other, third = rng.normal(size=(3, 8, 5))
    alone = standing_of(one, other).p_value
    among = standings(["one", "other", "third"], np.stack([one, other, third], axis=2), "other")[0].p_value
    # Holm corrects for the second comparison.
    assert among in (pytest.approx(alone), pytest.approx(min(1.0, 2 * alone)))


def test_what_tasks_favour_is_no_difference_between_methods():
    rng, significant, covered = np.random.default_rng(0), 0, 0
    for _ in range(200):
        # Neither method is better over tasks, but each task favours one of them.
        favour = rng.normal(0, 1, (10, 1))
        found = standing_of(rng.normal(0, 0.5, (10, 20)) + favour, rng.normal(0, 0.5, (10, 20)))
        significant += found.p_value < 0.05
        covered += abs(found.rank - 1.5) <= found.rank_error
    assert significant / 200 <= 0.1
    assert covered / 200 >= 0.9


def test_the_basis_of_tests_is_told():
    assert "over the 11 tasks, each with its mean over 20 seeds" in basis(11, 20, 6)
    assert "5 tasks are too few for a test, which needs at least 6" in basis(5, 20, 1)
    assert "With 7 tasks and 4 comparisons no p can be below 0.062" in basis(7, 4, 4)
    assert "over its 20 seeds, for this task alone." in basis(1, 20, 1)
    assert "2 seeds are too few for a test" in basis(1, 2, 1)
    assert "over its 1 seed, for this task alone. 1 seed is too few for a test" in basis(1, 1, 1)
