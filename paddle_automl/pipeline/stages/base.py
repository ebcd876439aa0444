"""The interface of stages, and the deadline that all stages of a command share."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from paddle_automl.core.registry import Registry
from paddle_automl.core.schema import PluginConfig

if TYPE_CHECKING:
    from paddle_automl.pipeline.stages.run import Run


class Deadline:
    """The time at which a command must have ended, by `budget.time`. Without a budget there is none.

    `started` is a value of ``time.monotonic()``, by default now.
    """

    def __init__(self, budget_s: float | None, started: float | None = None) -> None:
        self.budget_s = budget_s
        self.started = time.monotonic() if started is None else started

    @property
    def passed(self) -> float:
        """Return the seconds since the start."""
        return time.monotonic() - self.started

    @property
    def end(self) -> float | None:
        """Return the end on the monotonic clock, or None without a budget."""
        return None if self.budget_s is None else self.started + self.budget_s

    def left(self) -> float | None:
        """Return the seconds left, or None without a budget."""
        return None if self.budget_s is None else self.budget_s - self.passed

    def before(self, reserved_s: float) -> float | None:
        """Return the time at which `reserved_s` seconds are left, or None without a budget."""
        return None if self.end is None else self.end - reserved_s


class Stage(ABC):
    """One step of a command; stages run in the order of `place`, each until only the time for later ones is left.

    A stage whose `inputs` are not None has a manifest: if it ran before with equal inputs and `is_intact` accepts
    its results, its recorded result is used. A new stage is one file in this folder, or a plugin.
    """

    name: ClassVar[str] = ""
    place: ClassVar[int]
    """Position among the stages: check 10, features 15, search 20, refit 30, fine_tune 35,
    ensemble 37, export 40, compress 50, report 90."""
    Config: ClassVar[type[PluginConfig]] = PluginConfig

    def wanted(self, run: Run) -> bool:
        """Return whether the run includes this stage."""
        del run
        return True

    def seconds(self, run: Run) -> float:
        """Return the time to reserve for it in seconds; asked again when better estimates are available."""
        del run
        return 0.0

    def inputs(self, run: Run) -> Any:
        """Return everything that its result depends on, JSON-like, or None for a stage without a manifest."""
        del run
        return None

    def is_intact(self, run: Run, result: Any) -> bool:
        """Return whether an earlier result, recorded as `work` returned it, still exists intact."""
        del result
        return all(path.exists() for path in self.outputs(run))

    def outputs(self, run: Run) -> Iterable[Path]:
        """Return the files that it writes; a recorded result is intact if their content has not changed."""
        del run
        return ()

    @abstractmethod
    def work(self, run: Run, until: float | None) -> Any:
        """Work until `until`, on the monotonic clock; return the result, JSON-like if there is a manifest."""


STAGES: Registry[Stage] = Registry("stage", "paddle_automl.pipeline.stages", "stages")


def in_order() -> list[Stage]:
    """Return one stage of each kind, in the order in which they run."""
    found = [STAGES[name]() for name in STAGES.names()]
    return sorted(found, key=lambda stage: (stage.place, stage.name))
