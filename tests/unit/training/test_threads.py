import logging

import pytest

from paddle_automl.training import threads
from paddle_automl.training.fitting import Pace
from paddle_automl.training.threads import (
    CHECKED_STEPS,
    HOPED,
    LONG_STEP_S,
    RETRY_S,
    TRIED_STEPS,
    ThreadGuard,
    choose,
)


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


@pytest.mark.parametrize(
    ("step_s", "use", "counts"),
    [(0.6, "all", [2]), (0.95, "one", [2, 1]), (3.0, "busy", [2, 1, 2, 1, 2, 1])],
)
def test_more_threads_are_used_only_if_they_are_faster(used, step_s, use, counts):
    single, pace = Pace(1.0, 0.1), Pace(step_s, 0.1)
    planned = {"all": pace, "one": single, "busy": Pace(HOPED, 0.1)}[use]
    assert choose(2, single, lambda: pace, attempts=3) == (planned, use)
    assert used == counts


def test_a_disturbance_that_passes_is_none(used):
    paces = iter([Pace(3.0, 0.1), Pace(0.6, 0.1)])
    assert choose(2, Pace(1.0, 0.1), lambda: next(paces), attempts=3) == (Pace(0.6, 0.1), "all")
    assert used == [2, 1, 2]


def test_tiny_steps_are_slowed_down_by_threads_themselves(used):
    single = Pace(LONG_STEP_S / 2, 0.1)
    assert choose(2, single, lambda: Pace(1.0, 0.1), attempts=3) == (single, "one")
    assert used == [2, 1]


def test_cores_that_are_busy_from_the_start_are_used_later(used, clock):
    guard = ThreadGuard(2, single_s=1.0, busy=True)
    steps(guard, clock, 1 + int(RETRY_S), 1.0)
    steps(guard, clock, 1 + 2 * TRIED_STEPS, 0.6)
    assert used == [2]


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
