"""The number of threads of a training that runs alone.

With several threads the fast layers wait for each other in every operation. On two idle cores a step is then 1.7
times faster (see BENCHMARKS.md); next to another busy process it is several times slower, because the threads never
run together.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from statistics import median
from typing import Literal

from paddle_automl.models import kernels
from paddle_automl.paddle_compat.device import set_threads
from paddle_automl.training.callback import Callback
from paddle_automl.training.fitting import Pace

Threads = int | Literal["auto"]

logger = logging.getLogger(__name__)

WORTHWHILE = 0.9
"""Time of a step, as a fraction of that with one thread, from which more threads are used."""
HOPED = 0.6
"""The same on free cores, where it cannot be measured."""
LONG_STEP_S = 0.02
"""Seconds of a step from which threads do not slow it down by themselves; in tiny ones they mostly wait."""
TOO_SLOW = 1.2
"""Time of a step, in that with one thread, from which a training goes back to one."""
RETRY_S = 20.0
"""Seconds after which a training with one thread tries more again; twice as many after each failure."""
TRIED_STEPS, TRIED_S = 4, 0.3
"""Steps and seconds of such an attempt: they may be several times slower."""
CHECKED_STEPS, CHECKED_S = 10, 0.5
"""Steps and seconds by which is judged whether the machine is busy: tiny steps are often late by one of them."""


def use_threads(count: int) -> None:
    """Let Paddle and the fast layers use `count` threads in operations called from this thread."""
    set_threads(count)
    kernels.set_threads(count)


def choose(
    count: int, single: Pace, measure: Callable[[], Pace], attempts: int = 1
) -> tuple[Pace, Literal["all", "one", "busy"]]:
    """Return the pace to plan with, and whether to use all `count` threads, which are then used, or one.

    `single` is the pace with one thread; `measure` times a few steps. Where long steps are slower with all threads
    than with one, another process uses the cores: after so many `attempts` they are "busy", and the pace is that
    of free ones, since this may pass (see `ThreadGuard` and `TimeLimit`).
    """
    for _ in range(attempts):
        use_threads(count)
        pace = measure()
        logger.info("a step takes %.3f s with 1 thread, %.3f s with %d", single.step_s, pace.step_s, count)
        if pace.step_s <= WORTHWHILE * single.step_s:
            return pace, "all"
        use_threads(1)
        if pace.step_s <= single.step_s or single.step_s < LONG_STEP_S:
            return single, "one"
    logger.warning("the machine is busy: training begins with 1 thread")
    return replace(single, step_s=HOPED * single.step_s), "busy"


class ThreadGuard(Callback):
    """Uses one thread while steps are slower with `count`: another process uses the cores.

    From time to time it tries again whether the cores are free.
    """

    def __init__(self, count: int, single_s: float, *, busy: bool = False) -> None:
        """`busy`: it begins with one thread."""
        self._count, self._single_s = count, single_s
        self._times: list[float] = []
        """Seconds of the steps since the last judgement."""
        self._since: float | None = None
        """The end of the last step, or None if an evaluation followed it."""
        self._state: Literal["all", "one", "trying"] = "one" if busy else "all"
        self._wait_s, self._waited_s = RETRY_S, 0.0

    def after_step(self) -> None:
        """Compare the median time of the last steps with that of one thread, as single ones are late anyway."""
        now = time.perf_counter()
        step_s = 0.0 if self._since is None else now - self._since
        if self._since is not None:
            self._times.append(step_s)
        self._since = now
        if self._state == "one":
            self._waited_s += step_s
            if self._waited_s >= self._wait_s:
                self._use("trying")
            return
        steps, seconds = (TRIED_STEPS, TRIED_S) if self._state == "trying" else (CHECKED_STEPS, CHECKED_S)
        if len(self._times) < steps or sum(self._times) < seconds:
            return
        self._judge(median(self._times))
        self._times = []

    def _judge(self, step_s: float) -> None:
        if self._state == "trying":
            if step_s <= WORTHWHILE * self._single_s:
                logger.info("the machine is free again: training goes on with %d threads", self._count)
                self._state, self._wait_s = "all", RETRY_S
            else:
                self._wait_s *= 2
                self._use("one")
        elif step_s > TOO_SLOW * self._single_s:
            logger.warning("the machine is busy: training goes on with 1 thread")
            self._use("one")

    def _use(self, state: Literal["one", "trying"]) -> None:
        use_threads(1 if state == "one" else self._count)
        self._state, self._times, self._waited_s = state, [], 0.0
        # The next step prepares memory for another number of threads.
        self._since = None

    def before_evaluation(self) -> None:
        """Leave out the time until the end of the next step: an evaluation follows, which takes time too."""
        self._since = None
