"""A time limit of a training: where steps take longer than planned, the schedule runs faster."""

from __future__ import annotations

import math
import time
from collections import deque
from statistics import median_low

from paddle_automl.training.callback import Callback

WARMUP_STEPS = 3
"""First steps, which prepare memory and kernels: they tell nothing about the next ones."""
FEWEST_STEPS, WINDOW_S, WINDOW_FRACTION = 20, 10.0, 0.1
"""Last steps from which the time of the next ones is estimated: those of so many seconds, or of this fraction of
the time left, so that a short disturbance matters little; but at least so many."""


class TimeLimit(Callback):
    """Lets a training end by `until`, on the monotonic clock, with its whole schedule.

    The number of steps was planned from the time of a few. If they now take longer, because another process uses
    the cores, each step covers more of the schedule, and there are fewer of them: a training that is cut off
    instead ends with a high learning rate. A training in time is not changed.
    """

    def __init__(self, until: float, evaluation_s: float = 0.0) -> None:
        """`evaluation_s` are the seconds of an evaluation, as far as they are known before the first one."""
        self._until = until
        self._times: deque[float] = deque()
        """Seconds of the last steps."""
        self._sum_s, self._steps = 0.0, 0
        self._since: float | None = None
        """The end of the last step; None before the first one."""
        self._evaluated = False
        self._evaluations = [evaluation_s]
        """Seconds between the last step of an epoch and the first one of the next, without that step's own."""

    def after_step(self) -> None:
        """Note the time of the step."""
        now = time.monotonic()
        if self._since is not None:
            taken_s = now - self._since
            if self._evaluated and self._times:
                self._evaluations.append(max(0.0, taken_s - self._step_s))
            elif not self._evaluated:
                self._note(taken_s)
        self._since, self._evaluated = now, False

    def _note(self, taken_s: float) -> None:
        self._steps += 1
        if self._steps <= WARMUP_STEPS:
            return
        self._times.append(taken_s)
        self._sum_s += taken_s
        window_s = max(WINDOW_S, WINDOW_FRACTION * (self._until - time.monotonic()))
        while len(self._times) > FEWEST_STEPS and self._sum_s - self._times[0] > window_s:
            self._sum_s -= self._times.popleft()

    @property
    def _step_s(self) -> float:
        return self._sum_s / len(self._times)

    def before_evaluation(self) -> None:
        """Leave out what follows: it is no step."""
        self._evaluated = True

    def speed(self, steps_left: float, epochs_left: float) -> float:
        """Return by which factor what is left of the plan, steps and epochs, takes too long; at least 1.

        A faster schedule has fewer evaluations too, but always the last one.
        """
        if len(self._times) < FEWEST_STEPS or steps_left <= 0:
            return 1.0
        # One that was slow, such as the first, tells nothing about the others.
        evaluation_s = median_low(self._evaluations)
        left_s = self._until - time.monotonic() - evaluation_s
        needed_s = steps_left * self._step_s + max(math.ceil(epochs_left) - 1, 0) * evaluation_s
        # Without time one step covers all that is left.
        return steps_left if left_s <= 0 else max(needed_s / left_s, 1.0)
