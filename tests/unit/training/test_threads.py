import logging

import pytest

from paddle_automl.training import threads
from paddle_automl.training.fitting import Pace
from paddle_automl.training.threads import CHECKED_STEPS, RETRY_S, TRIED_STEPS, ThreadGuard, faster


@pytest.fixture
def used(monkeypatch):
    counts = []
    monkeypatch.setattr(threads, "use_threads", counts.append)
    return counts


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(threads.time, "perf_counter", lambda: now[0])
    return now


@pytest.mark.parametrize(("step_s", "expected"), [(0.6, [2]), (0.95, [2, 1]), (3.0, [2, 1])])
def test_more_threads_are_used_only_if_they_are_faster(used, step_s, expected):
    pace = Pace(step_s, 0.1)
    found = faster(2, Pace(1.0, 0.1), lambda: pace)
    assert found is (pace if expected == [2] else None)
    assert used == expected


def steps(guard, clock, count, seconds):
    for _ in range(count):
        clock[0] += seconds
        guard.after_step()


def test_a_busy_machine_ends_the_use_of_several_threads(used, clock, caplog):
    guard = ThreadGuard(2, single_s=1.0)
    steps(guard, clock, 3 * CHECKED_STEPS, 0.6)
    assert used == []
    with caplog.at_level(logging.WARNING):
        steps(guard, clock, CHECKED_STEPS + 10, 1.5)
    assert used == [1]
    assert caplog.messages == ["the machine is busy: training goes on with 1 thread"]


def test_free_cores_are_used_again(used, clock):
    """The first step after each change is not counted."""
    guard = ThreadGuard(2, single_s=1.0)
    steps(guard, clock, CHECKED_STEPS + 1, 3.0)
    assert used == [1]
    # Still busy: the next attempt comes later.
    steps(guard, clock, 1 + int(RETRY_S), 1.0)
    assert used == [1, 2]
    steps(guard, clock, 1, 0.1)
    steps(guard, clock, TRIED_STEPS, 2.0)
    assert used == [1, 2, 1]
    steps(guard, clock, 1 + int(1.5 * RETRY_S), 1.0)
    assert used == [1, 2, 1]
    steps(guard, clock, int(0.5 * RETRY_S), 1.0)
    steps(guard, clock, 1, 9.0)
    steps(guard, clock, 5 * CHECKED_STEPS, 0.6)
    assert used == [1, 2, 1, 2]
    steps(guard, clock, 2 * CHECKED_STEPS, 3.0)
    assert used[:5] == [1, 2, 1, 2, 1]


def test_one_late_step_among_tiny_ones_is_no_busy_machine(used, clock):
    guard = ThreadGuard(2, single_s=0.005)
    for _ in range(5):
        steps(guard, clock, 2, 0.003)
        steps(guard, clock, 1, 0.1)
        steps(guard, clock, 2 * CHECKED_STEPS, 0.003)
        guard.before_evaluation()
    assert used == []
    steps(guard, clock, 10 * CHECKED_STEPS, 0.02)
    assert used == [1]


def test_a_busy_machine_is_noticed_in_short_epochs(used, clock):
    """Ten epochs of a fifth of a second, with an evaluation after each."""
    guard = ThreadGuard(2, single_s=0.005)
    for _ in range(10):
        steps(guard, clock, CHECKED_STEPS, 0.02)
        guard.before_evaluation()
        clock[0] += 1000.0
    assert used == [1]


def test_an_evaluation_between_steps_does_not_count(used, clock):
    guard = ThreadGuard(2, single_s=1.0)
    for _ in range(5):
        steps(guard, clock, CHECKED_STEPS + 3, 0.6)
        guard.before_evaluation()
        clock[0] += 1000.0
    assert used == []
