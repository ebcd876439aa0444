"""The interface of losses."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import paddle
from paddle import Tensor, nn

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.registry import Registry
from paddle_automl.core.schema import PluginConfig
from paddle_automl.tasks.base import Task

TINY = 1e-30
"""Least sum of weights that a mean is divided by, so that the mean of items of weight 0 is 0."""


class Loss(nn.Layer):
    """Maps a batch's raw outputs, features and targets to one number, the mean over the batch.

    Shapes: outputs [N, K], features [N, F], targets [N, K] from `Task.dense`; rows of probabilities if classes are
    mixed. `class_weights` [K], if given, weight each class's term of the loss.
    """

    class Config(PluginConfig):
        """Options of the loss."""

    name: ClassVar[str] = ""
    tasks: ClassVar[frozenset[str]] = frozenset()
    """Names of the tasks that it can train, including tasks derived from them."""
    takes_class_weights: ClassVar[bool] = False
    """Whether it supports `class_weights`."""

    def __init__(self, config: Any, *, task: Task, feature_dim: int, class_weights: Tensor | None = None) -> None:
        super().__init__()
        self.config = config
        self.task = task
        self.feature_dim = feature_dim
        self.class_weights = class_weights

    @classmethod
    def trains(cls, task: Task) -> bool:
        """Return whether it can train `task`; a task may also name a loss itself (`Task.losses`)."""
        return bool(cls.tasks & {vars(base).get("name") for base in type(task).__mro__})

    def attach(self, network: nn.Layer) -> None:
        """Take what the loss needs from the network that it trains; called once, before the first step.

        Raises ConfigError for a network whose outputs it cannot judge.
        """

    @abstractmethod
    def forward(self, outputs: Tensor, features: Tensor, targets: Tensor) -> Tensor:
        """Return the loss, shape []."""

    def after_step(self) -> None:
        """Update the loss's own state; called once after each step of the optimizer."""


class Pointwise(Loss):
    """Mean over items and outputs of a cost of the difference between output and target."""

    tasks: ClassVar[frozenset[str]] = frozenset({"regression"})

    @classmethod
    def trains(cls, task: Task) -> bool:
        """Return whether it can train `task`: not if one target has several outputs, as with an interval."""
        return super().trains(task) and task.outputs == len(task.names)

    def forward(self, outputs: Tensor, features: Tensor, targets: Tensor) -> Tensor:  # noqa: D102
        return self.cost(outputs - targets).mean()

    @abstractmethod
    def cost(self, difference: Tensor) -> Tensor:
        """Return the cost of each difference, both [N, K]."""


LOSSES: Registry[Loss] = Registry("loss", "paddle_automl.training.losses", "training.loss")


def loss_for(options: PluginConfig | None, task: Task) -> PluginConfig:
    """Return the options of the loss for `task`: `options`, or those of the task's default loss.

    Options without a name, such as ``loss: {label_smoothing: 0.1}``, are left out if their loss cannot train it.

    Raises ConfigError for a loss that cannot train the task, and for a task without a default loss.
    """
    fits = options is not None and (options.name in task.losses or LOSSES[options.name].trains(task))
    if options is None or (not fits and "name" not in options.model_fields_set):
        if not task.losses:
            raise ConfigError(f"training.loss: the task {task.name} has no default loss; name one")
        name = task.losses[0]
        return LOSSES[name].Config(name=name)
    if not fits:
        fitting = [name for name in LOSSES.names() if name in task.losses or LOSSES[name].trains(task)]
        raise ConfigError(
            f"training.loss: '{options.name}' cannot train the task {task.name}; valid: "
            f"{', '.join(['auto', *fitting])}"
        )
    return options


def smoothed(targets: Tensor, smoothing: float) -> Tensor:
    """Return (1 - smoothing) targets + smoothing / K (Szegedy et al. 2016, section 7)."""
    return targets if smoothing == 0 else targets * (1.0 - smoothing) + smoothing / targets.shape[1]


def mean_over_classes(terms: Tensor, targets: Tensor, class_weights: Tensor | None) -> Tensor:
    """Return the batch's mean of sum_k targets_k terms_k, both [N, K].

    With weights w it is sum_nk w_k t_nk terms_nk / sum_nk w_k t_nk, like `paddle.nn.CrossEntropyLoss` with hard
    labels; 0 if all of these weights are 0.
    """
    if class_weights is None:
        return (targets * terms).sum(axis=-1).mean()
    weighted = targets * class_weights
    return (weighted * terms).sum() / weighted.sum().clip(min=TINY)


def log_probabilities(logits: Tensor) -> Tensor:
    """Return the logarithm of the softmax of logits [N, K]."""
    return paddle.nn.functional.log_softmax(logits, axis=-1)
