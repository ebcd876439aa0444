"""The number of threads of a training that runs alone.

With several threads the fast layers wait for each other in every operation. On two idle cores a step is then 1.7
times faster (see BENCHMARKS.md); next to another busy process it is several times slower, because the threads never
run together.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
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
TOO_SLOW = 1.2
"""Time of a step, in that with one thread, from which a training goes back to one."""
CHECKED_STEPS, CHECKED_S = 10, 0.5
"""Steps and seconds by which is judged whether the machine is busy: tiny steps are often late by one of them."""


def use_threads(count: int) -> None:
    """Let Paddle and the fast layers use `count` threads in operations called from this thread."""
    set_threads(count)
    kernels.set_threads(count)


def faster(count: int, single: Pace, measure: Callable[[], Pace]) -> Pace | None:
    """Return the pace with `count` threads if it is worth using them, and use them; else use one again.

    `single` is the pace with one thread; `measure` times a few steps.
    """
    use_threads(count)
    pace = measure()
    logger.info("a step takes %.3f s with 1 thread, %.3f s with %d", single.step_s, pace.step_s, count)
    if pace.step_s <= WORTHWHILE * single.step_s:
        return pace
    use_threads(1)
    return None


class ThreadGuard(Callback):
    """Goes back to one thread when steps become slower than with one: another process uses the cores."""

    def __init__(self, single_s: float) -> None:
        self._limit_s = TOO_SLOW * single_s
        self._times: list[float] = []
        """Seconds of the steps since the last judgement."""
        self._since: float | None = None
        """The end of the last step, or None if an evaluation followed it."""
        self._active = True

    def after_step(self) -> None:
        """Compare the median time of the last steps with that of one thread, as single ones are late anyway."""
        if not self._active:
            return
        now = time.perf_counter()
        if self._since is not None:
            self._times.append(now - self._since)
        self._since = now
        if len(self._times) < CHECKED_STEPS or sum(self._times) < CHECKED_S:
            return
        if median(self._times) > self._limit_s:
            logger.warning("the machine is busy: training goes on with 1 thread")
            use_threads(1)
            self._active = False
        self._times = []

    def before_evaluation(self) -> None:
        """Leave out the time until the end of the next step: an evaluation follows, which takes time too."""
        self._since = None
