"""When a search ends, and why it did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from paddle_automl.search.learning.final_choice import repeats, repeats_after

LARGEST_SHARE = 0.5
"""Most of the time left for trials that is kept back for the repeats."""
MARGIN = 1.25
"""Time kept back, as a multiple of what the repeats should take."""


@dataclass(frozen=True)
class Limits:
    """When a search ends.

    `repeats` of the `trials` run the best configurations again at the end; auto: `final_choice.repeats`.
    `deadline` is a value of ``time.monotonic()``; a trial that runs then is asked to stop at its next report
    and killed `grace_s` seconds later.
    """

    trials: int
    deadline: float | None = None
    stop_after: int | None = None
    max_failures: int = 5
    grace_s: float = 5.0
    repeats: int | Literal["auto"] = 0

    @property
    def planned(self) -> int:
        """The repeats of a search that runs through."""
        return repeats(self.trials) if self.repeats == "auto" else min(self.repeats, self.trials - 1)

    def planned_after(self, explored: int) -> int:
        """Return the repeats of a search that ends early, after so many different configurations."""
        return min(self.planned, repeats_after(explored)) if self.repeats == "auto" else self.planned

    def exploring_ends(self, started: float, explored: int, repeat_s: float) -> float | None:
        """Return the time after which only repeats start, or None without a deadline.

        The time kept back is that of the planned repeats, `repeat_s` seconds each, at most half of the time
        from `started` to the deadline.
        """
        if self.deadline is None:
            return None
        wanted = MARGIN * self.planned_after(explored) * repeat_s
        return self.deadline - min(wanted, LARGEST_SHARE * max(0.0, self.deadline - started))


EndReason = Literal["trials", "deadline", "exhausted", "no improvement", "interrupted"]


@dataclass(frozen=True)
class Ending:
    """Why a search ended: a word for programs, a sentence for people."""

    reason: EndReason
    message: str
