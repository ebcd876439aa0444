"""The interface of metrics, and how they are written in a configuration.

A metric is written as its name (``accuracy``), as a mapping (``{metric: recall, class: cat}``) or as a weighted sum
of metrics (``0.7 * macro_f1 + 0.3 * recall[class=cat]``). All three become one canonical *key*, a text such as
``recall[class=cat]``, which is the name of the metric's values everywhere: in curves, tables, studies, logs,
records.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from paddle_automl.core.registry import Registry
from paddle_automl.core.schema import PluginConfig

if TYPE_CHECKING:
    from paddle_automl.tasks.base import Task

Goal = Literal["maximize", "minimize"]
When = Literal["epoch", "network", "bundle"]
"""When a metric can first be measured: after each epoch, when the network exists, or when it is exported."""


@dataclass(frozen=True)
class Predictions:
    """A network's outputs, float32 ``[N, K]``, and the codes ``[N, ...]`` of the same items, on one split."""

    outputs: np.ndarray
    codes: np.ndarray
    task: Task


@dataclass(frozen=True)
class NetworkFacts:
    """Facts of a network that are known before training; see `models.profile.Profile` for units."""

    parameters: int
    flops: int
    size_mb: float


@dataclass(frozen=True)
class BundleFacts:
    """Facts of an exported network; `latency_ms()` measures when it is called."""

    latency_ms: Callable[[], float]


class Metric(ABC):
    """One number by which a network is judged.

    Subclasses set `goal`, `unit` and `when`; their `value` takes `Predictions` (``epoch``), `NetworkFacts`
    (``network``) or `BundleFacts` (``bundle``).
    """

    name: ClassVar[str] = ""
    Config: ClassVar[type[PluginConfig]] = PluginConfig
    goal: Goal = "maximize"
    unit: str = ""
    """Unit of the value, for tables: ms, MB; empty for a plain number."""
    when: When = "epoch"
    digits: int = 4
    """Digits after the point in tables, 0 for counts; small values have as many significant digits."""
    tasks: ClassVar[frozenset[str]] = frozenset()
    """Names of the tasks that it can score, including tasks derived from them; empty: all."""
    always: ClassVar[bool] = False
    """Whether it is always measured, even if nothing asks for it."""
    instead: ClassVar[str] = ""
    """Name of the metric to optimize instead of this one, whose best value a useless network can reach; empty: it
    may be optimized. It can be a further objective with a limit."""
    also: ClassVar[tuple[str, ...]] = ()
    """Other common names; they are not accepted, but lead to a hint."""

    def __init__(self, config: Any) -> None:
        self.config = config

    @classmethod
    def can_score(cls, task: Task | type[Task]) -> bool:
        """Return whether it can score a task, judging by `tasks`."""
        kind = task if isinstance(task, type) else type(task)
        names = {vars(base).get("name") for base in kind.__mro__}
        return not cls.tasks or bool(cls.tasks & names)

    def check(self, task: Task) -> None:
        """Raise ConfigError if the metric's options do not fit the task, such as a class it does not have."""
        del task

    @abstractmethod
    def value(self, facts: Any) -> float:
        """Return the metric's value for `Predictions`, `NetworkFacts` or `BundleFacts`, depending on `when`."""


METRICS: Registry[Metric] = Registry("metric", "paddle_automl.tasks.metrics", "search.objectives")
