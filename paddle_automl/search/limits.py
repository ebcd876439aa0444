"""When and why a search ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from paddle_automl.search.learning.final_choice import repeats, repeats_after

LARGEST_SHARE = 0.5
"""Largest fraction of the remaining time that is reserved for the repeats."""
MARGIN = 1.25
"""Reserved time, as a multiple of the expected time of the repeats."""


@dataclass(frozen=True)
class SearchLimits:
    """When a search ends.

    `repeats` of the `trials` run the best configurations again at the end; auto: `final_choice.repeats`. `deadline`
    is a value of ``time.monotonic()``; a trial that is running then is asked to stop at its next report and killed
    `grace_s` seconds later. No trial starts after `last_start`, on the same clock.
    """

    trials: int
    deadline: float | None = None
    last_start: float | None = None
    stop_after: int | None = None
    max_failures: int = 5
    grace_s: float = 5.0
    repeats: int | Literal["auto"] = 0

    @property
    def planned(self) -> int:
        """The number of repeats of a complete search."""
        return repeats(self.trials) if self.repeats == "auto" else min(self.repeats, self.trials - 1)

    def planned_after(self, explored: int) -> int:
        """Return the number of repeats of a search that ends early, after `explored` different configurations."""
        return min(self.planned, repeats_after(explored)) if self.repeats == "auto" else self.planned

    def exploring_ends(self, started: float, explored: int, repeat_s: float) -> float | None:
        """Return the time after which only repeats start, or None without a deadline.

        The planned repeats, `repeat_s` seconds each, have reserved time, at most half of the time from `started` to
        the deadline.
        """
        if self.deadline is None:
            return None
        wanted = MARGIN * self.planned_after(explored) * repeat_s
        return self.deadline - min(wanted, LARGEST_SHARE * max(0.0, self.deadline - started))


EndReason = Literal["trials", "deadline", "exhausted", "no improvement", "interrupted"]


@dataclass(frozen=True)
class Ending:
    """Why a search ended: a word for programs, a sentence for users."""

    reason: EndReason
    message: str
