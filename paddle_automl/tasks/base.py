"""The interface of tasks: from the targets of a data set to numbers for the loss, and from outputs to answers.

A target has three forms. A data set provides `RawTargets`. `Task.encode` turns them into *codes*, one compact row
per item (class ids, 0/1 labels, numbers in the user's unit). `Task.dense` turns the codes of a batch into the
float32 targets ``[B, K]`` that a loss compares with the network's K raw outputs.

*Raw outputs* are those of the network's last layer; *outputs* are those of the exported network, after `Task.final`
(softmax, sigmoid, or scaling into the user's unit). Scores, answers and parity checks use outputs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from paddle_automl.core.registry import Registry
from paddle_automl.core.schema import PluginConfig
from paddle_automl.tasks.answers import Answer, Evaluation, Mistake, Row, Table
from paddle_automl.tasks.targets import RawTargets, Strata, describe_targets, spread

__all__ = [
    "TASKS",
    "TIE",
    "Activation",
    "Answer",
    "Evaluation",
    "Final",
    "FittedTask",
    "Mistake",
    "RawTargets",
    "Row",
    "Strata",
    "Table",
    "Task",
    "TaskConfig",
    "by_name",
    "check_readable",
    "default_task",
    "describe_targets",
    "restore",
    "spread",
]

Activation = Literal["softmax", "sigmoid", "identity"]
TIE = 2e-5
"""Two outputs closer than this are a tie: float32 rounding may order them either way."""


@dataclass(frozen=True)
class Final:
    """The last step of an exported network: the activation, then ``scale * x + shift`` per output.

    Raw outputs are divided by the `temperature` before a softmax. Paddle's versions of this step are in
    `training.final` and `deployment.network`.
    """

    activation: Activation
    scale: tuple[float, ...] | None = None
    shift: tuple[float, ...] | None = None
    temperature: float = 1.0

    def __call__(self, raw: np.ndarray) -> np.ndarray:
        """Return the outputs, float32 ``[N, K]``, of raw outputs ``[N, K]``, computed in NumPy."""
        raw = np.asarray(raw, dtype=np.float64)
        if self.activation == "softmax":
            raw = np.exp((raw - raw.max(axis=1, keepdims=True)) / self.temperature)
            raw /= raw.sum(axis=1, keepdims=True)
        elif self.activation == "sigmoid":
            raw = 1 / (1 + np.exp(-np.clip(raw, -60, 60)))
        if self.scale is not None:
            raw = raw * np.asarray(self.scale)
        if self.shift is not None:
            raw = raw + np.asarray(self.shift)
        return raw.astype(np.float32)


class TaskConfig(PluginConfig):
    """Options of a task (``task``)."""


class FittedTask(PluginConfig):
    """The state that a task needs to turn outputs into answers; ``task`` in ``bundle.yaml``."""


class Task(ABC):
    """One kind of prediction task, fitted to the data or restored from a bundle; immutable."""

    name: ClassVar[str] = ""
    Config: ClassVar[type[TaskConfig]] = TaskConfig
    Fitted: ClassVar[type[FittedTask]] = FittedTask
    reads: ClassVar[frozenset[str]] = frozenset()
    """Kinds of `RawTargets` that it can encode; empty: any."""
    needs: ClassVar[str] = ""
    """What it can encode, in words for messages; empty: the kinds in `reads`."""
    default_for: ClassVar[str] = ""
    """Kind of `RawTargets` for which ``task: auto`` chooses it."""
    metrics: ClassVar[tuple[str, ...]] = ("loss",)
    """Metrics that every training measures after each epoch: the first is the main one, and ``loss`` is
    included."""
    final_metrics: tuple[str, ...] = ()
    """Further metrics of the finished network, which `calibrated` changes."""
    calibrates_on_folds: bool = False
    """Whether `calibrated` is for the validation items of all folds, where there are several, with the outputs of
    each fold's network: the items of one are few for it."""
    losses: tuple[str, ...] = ()
    """Losses that can train it; the first is the default. An instance may have fewer than its class."""

    def __init__(self, fitted: Any) -> None:
        self.fitted = fitted

    # -- fitting ---------------------------------------------------------------------------------------------------
    @classmethod
    def can_read(cls, raw: RawTargets) -> bool:
        """Return whether it can encode these targets."""
        return not cls.reads or raw.kind in cls.reads

    @classmethod
    @abstractmethod
    def fit(cls, config: Any, raw: RawTargets) -> Task:
        """Return the task of these options for all targets of the data, before they are split.

        Raises ConfigError or DataError if the data contradict the task.
        """

    def with_training(self, codes: np.ndarray) -> Task:
        """Return the task fitted to the training split, whose items have these `codes`."""
        del codes
        return self

    def tuned(self, outputs: np.ndarray, codes: np.ndarray) -> Task:
        """Return the task after a training, with values chosen on validation, such as thresholds."""
        del outputs, codes
        return self

    def calibrated(self, outputs: np.ndarray, codes: np.ndarray) -> Task:
        """Return the task with probabilities, or intervals, that match the frequencies on these items.

        It is called once after a training, with outputs ``[N, K]`` for the validation items. Answers stay the same,
        apart from their intervals.
        """
        del outputs, codes
        return self

    def tuned_like(self, other: Any) -> Any:
        """Return what this task was fitted to, with the values that were chosen on validation for `other`.

        `other` is the `Fitted` of a task with the same names, fitted to another part of the data.
        """
        return other

    # -- names and sizes -------------------------------------------------------------------------------------------
    @property
    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """The classes, labels or columns of an answer."""

    @property
    def outputs(self) -> int:
        """K: number of outputs of the network for one item."""
        return len(self.names)

    @property
    def levels(self) -> tuple[float, ...] | None:
        """The quantile that each output predicts, 0.5 for a number itself; None: outputs are no quantiles."""
        return None

    @property
    @abstractmethod
    def final(self) -> Final:
        """The last step from raw outputs to outputs."""

    @property
    def scale(self) -> float:
        """Scale by which differences of outputs are judged: 1 for probabilities, the targets' scale for numbers."""
        return 1.0

    @property
    def scales(self) -> np.ndarray:
        """`scale` per output, float64 ``[K]``, for outputs of different sizes."""
        return np.full(self.outputs, self.scale)

    # -- targets ---------------------------------------------------------------------------------------------------
    @abstractmethod
    def encode(self, raw: RawTargets) -> np.ndarray:
        """Return the codes of raw targets, ``[N]`` or ``[N, ...]``; raises DataError for names unknown to it."""

    @abstractmethod
    def dense(self, codes: np.ndarray) -> np.ndarray:
        """Return the loss's targets, float32 ``[B, K]``, of codes ``[B, ...]``."""

    def strata(self, codes: np.ndarray) -> Strata | None:
        """Return what splits and samples keep in proportion, or None if they need not be stratified."""
        del codes
        return None

    # -- scores ----------------------------------------------------------------------------------------------------
    @abstractmethod
    def loss(self, outputs: np.ndarray, codes: np.ndarray) -> float:
        """Return the loss metric of outputs ``[N, K]``: the same for every loss that the training may minimize."""

    @abstractmethod
    def agree(self, expected: np.ndarray, got: np.ndarray) -> np.ndarray:
        """Return for which items two sets of outputs ``[N, K]`` give the same answer (ties agree), bool ``[N]``."""

    # -- answers ---------------------------------------------------------------------------------------------------
    @abstractmethod
    def answer(self, row: np.ndarray) -> Answer:
        """Return the answer for one item's outputs ``[K]``."""

    @abstractmethod
    def truth(self, code: Any) -> str:
        """Return one item's code in words."""

    @abstractmethod
    def evaluation(self, outputs: np.ndarray, codes: np.ndarray) -> Evaluation:
        """Return the tables of an evaluation."""

    @abstractmethod
    def worst(self, outputs: np.ndarray, codes: np.ndarray, count: int) -> list[Mistake]:
        """Return the `count` worst mistakes, worst first."""

    def mistakes(self, found: Sequence[Mistake], places: Sequence[str], word: str = "item") -> Table:
        """Return mistakes as a table; `places` name the items, `word` is the word for one item (image, text)."""
        details = tuple(dict.fromkeys(name for item in found for name in item.detail))
        rows = tuple(
            (place, item.truth, item.answer, *(item.detail.get(name) for name in details))
            for item, place in zip(found, places, strict=True)
        )
        return Table("worst mistakes", (word, "is", "predicted", *details), rows)

    def columns(self, other: Task) -> list[int] | None:
        """Return for each output its column in the outputs of `other`, or None if the two cannot be compared."""
        if type(self) is not type(other) or sorted(self.names) != sorted(other.names):
            return None
        return [other.names.index(name) for name in self.names]


TASKS: Registry[Task] = Registry("task", "paddle_automl.tasks", "task")


def restore(fitted: Any) -> Task:
    """Return the task of a validated `Fitted` from a bundle or a run's record."""
    return TASKS[fitted.name](fitted)


def default_task(kind: str) -> str:
    """Return the name of the default task for targets of `kind`; raises ConfigError if there is none."""
    from paddle_automl.core.errors import ConfigError

    for name in TASKS.names():
        if TASKS[name].default_for == kind:
            return name
    raise ConfigError(
        f"task: no task is known for targets of the kind '{kind}'; name one of {', '.join(TASKS.names())}"
    )


def check_readable(task: type[Task], raw: RawTargets) -> None:
    """Raise ConfigError if `task` cannot read these targets; it says what they are and which task reads them."""
    if task.can_read(raw):
        return
    from paddle_automl.core.errors import ConfigError

    able = [name for name in TASKS.names() if TASKS[name].can_read(raw)]
    advice = f"use task: {' or '.join(able)}" if able else "no task is known for them"
    raise ConfigError(
        f"task: {task.name} needs {task.needs or ' or '.join(sorted(task.reads))} as targets, but the data have "
        f"{describe_targets(raw)}; {advice}, or name other columns or another data set"
    )


def by_name(names: Sequence[str], row: np.ndarray) -> dict[str, float]:
    """Return outputs ``[K]`` as floats by name."""
    return dict(zip(names, row.tolist(), strict=True))
