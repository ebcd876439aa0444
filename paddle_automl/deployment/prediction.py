"""The prediction for one item."""

from __future__ import annotations

import os
from dataclasses import dataclass

from paddle_automl.inputs.base import Source
from paddle_automl.tasks.base import Answer, Task

UNKNOWN = "unknown"
"""Label of an item that belongs to none of the classes."""


def unknown_word(task: Task) -> str:
    """Return the label of refused items: "unknown", or in angle brackets if a class has that name."""
    return f"<{UNKNOWN}>" if UNKNOWN in task.names else UNKNOWN


@dataclass(frozen=True)
class Prediction:
    """The prediction for one source, its `answer`; or the reason why there is none, its `error`.

    If the item seems to belong to none of the classes, `unknown` is true and `label` says so; the `answer` is still
    the likeliest class.
    """

    source: Source
    answer: Answer | None = None
    error: str | None = None
    name: str = ""
    """The name of the source for tables and messages."""
    known: float | None = None
    """How much the item looks like the known classes (the bundle's rejection score), or None without such a
    score."""
    unknown: bool = False
    """Whether the score is below the bundle's threshold."""
    unknown_label: str = UNKNOWN

    @property
    def path(self) -> str:
        """Return the source's path in the given spelling, or its name if it is not a file."""
        return str(self.source) if isinstance(self.source, (str, os.PathLike)) else self.name

    @property
    def label(self) -> str | None:
        """Return the answer in words: a class, labels or numbers, or "unknown"."""
        return self.unknown_label if self.unknown else self.nearest

    @property
    def nearest(self) -> str | None:
        """Return the answer in words, also for an item that seems to belong to none of the classes."""
        return None if self.answer is None else self.answer.text

    @property
    def probability(self) -> float | None:
        """Return the confidence in the answer, or None if there is none."""
        return None if self.answer is None else self.answer.score

    @property
    def probabilities(self) -> dict[str, float] | None:
        """Return the outputs by name, such as the probability of each class."""
        return None if self.answer is None else self.answer.values

    def top(self, count: int) -> list[tuple[str, float]]:
        """Return the `count` largest outputs (or all, if there are fewer) with their names, largest first."""
        items = (self.probabilities or {}).items()
        return sorted(items, key=lambda item: -item[1])[:count]
