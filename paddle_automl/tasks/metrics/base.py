"""What a metric is, and how a configuration spells one.

A metric is spelled as its name (``accuracy``), as a mapping (``{metric: recall, class: cat}``) or as a weighted
sum of metrics (``0.7 * macro_f1 + 0.3 * recall[class=cat]``). All three become one canonical *key*, a text such as
``recall[class=cat]``, which names the metric's values everywhere: in curves, tables, studies, logs, records.
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
"""When a metric can be measured first: after each epoch, once the network exists, once it is exported."""


@dataclass(frozen=True)
class Predictions:
    """A network's outputs, float32 ``[N, K]``, and the codes ``[N, ...]`` of the same items, on one split."""

    outputs: np.ndarray
    codes: np.ndarray
    task: Task


@dataclass(frozen=True)
class NetworkFacts:
    """What is known of a network before it is trained; see `models.profile.Profile` for units."""

    parameters: int
    flops: int
    size_mb: float


@dataclass(frozen=True)
class BundleFacts:
    """What can be measured of an exported network; `latency_ms()` measures when it is called."""

    latency_ms: Callable[[], float]


class Metric(ABC):
    """One figure to judge a network by.

    Subclasses set `goal`, `unit`, `when`, and in `value` take `Predictions` (``epoch``), `NetworkFacts`
    (``network``) or `BundleFacts` (``bundle``).
    """

    name: ClassVar[str] = ""
    Config: ClassVar[type[PluginConfig]] = PluginConfig
    goal: Goal = "maximize"
    unit: str = ""
    """Unit of the value, for tables: ms, MB; empty for a plain number."""
    when: When = "epoch"
    digits: int = 4
    """Digits after the point in tables."""
    tasks: ClassVar[frozenset[str]] = frozenset()
    """Names of the tasks that it can score, with those derived from them; empty: all."""
    always: ClassVar[bool] = False
    """Whether it is measured of every network, asked for or not."""
    also: ClassVar[tuple[str, ...]] = ()
    """Other names that people know it by; they are no spelling of it, only a hint where one is tried."""

    def __init__(self, config: Any) -> None:
        self.config = config

    @classmethod
    def can_score(cls, task: Task | type[Task]) -> bool:
        """Return whether it can score a task, judging by `tasks`."""
        kind = task if isinstance(task, type) else type(task)
        names = {vars(base).get("name") for base in kind.__mro__}
        return not cls.tasks or bool(cls.tasks & names)

    def check(self, task: Task) -> None:
        """Raise ConfigError where the metric's options do not fit the task, such as a class it does not have."""
        del task

    @abstractmethod
    def value(self, facts: Any) -> float:
        """Return the metric's value of `Predictions`, `NetworkFacts` or `BundleFacts`, as `when` says."""


METRICS: Registry[Metric] = Registry("metric", "paddle_automl.tasks.metrics", "search.objectives")
