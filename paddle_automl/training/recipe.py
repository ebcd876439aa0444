"""From the options of the recipe to the objects of one training run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import paddle
from paddle import Tensor, nn

from paddle_automl.core.errors import ConfigError
from paddle_automl.models.kinds import BESIDE_OPTIMIZER, Kind, kind_of, parameter_kinds, scale_free_kernels
from paddle_automl.tasks.base import Task
from paddle_automl.training.config import TrainingConfig
from paddle_automl.training.losses.base import LOSSES, Loss, loss_for
from paddle_automl.training.optimizers.base import OPTIMIZERS, OptimizerConfig, ParameterGroup


def build_optimizer(
    model: nn.Layer,
    config: TrainingConfig,
    *,
    loaded: Mapping[str, float] | None = None,
    beside: Iterable[Tensor] = (),
) -> paddle.optimizer.Optimizer | NoOptimizer:
    """Return Paddle's optimizer for `model` and for the parameters `beside`, which are not part of it.

    `loaded` are factors of the learning rate of parameters by name, in addition to those of `config.rates` by
    kind. Weight decay applies to parameters with two axes or more: kernels and weights, not
    biases and scales. Raises ConfigError if the optimizer's options do not fit the network.
    """
    kinds, scale_free, loaded = parameter_kinds(model), scale_free_kernels(model), loaded or {}
    groups: dict[tuple[float, bool], list[tuple[str, Tensor]]] = {}
    for name, parameter in model.named_parameters():
        if parameter.stop_gradient or kinds.get(name) in BESIDE_OPTIMIZER:
            # Running statistics, which Paddle counts as parameters; tables; what is not learned in steps.
            continue
        groups.setdefault((loaded.get(name, 1.0), parameter.ndim > 1), []).append((name, parameter))
    for parameter in beside:
        groups.setdefault((1.0, parameter.ndim > 1), []).append(("", parameter))
    options: OptimizerConfig = config.optimizer  # type: ignore[assignment]
    options.check(set(kinds.values()))
    parameter_groups = []
    for (rate, decayed), named in groups.items():
        own: list[Kind] = [kinds.get(name) or kind_of(parameter) for name, parameter in named]
        parameter_groups.append(
            ParameterGroup(
                [parameter for _, parameter in named],
                rate=rate,
                decayed=decayed,
                kinds=own,
                scale_free=[name in scale_free for name, _ in named],
                factors=[getattr(config.rates, kind) * options.unit(kind, config.batch_size) for kind in own],
            )
        )
    if not parameter_groups:
        return NoOptimizer(options.learning_rate)
    clip = None if config.clip_global_norm is None else paddle.nn.ClipGradByGlobalNorm(config.clip_global_norm)
    return OPTIMIZERS[config.optimizer.name](options).build(parameter_groups, clip)


class NoOptimizer:
    """Stands for the optimizer of a network that has nothing for it to update; Paddle's need a parameter."""

    def __init__(self, rate: float) -> None:
        self._rate = rate

    def get_lr(self) -> float:
        """Return the learning rate."""
        return self._rate

    def set_lr(self, value: float) -> None:
        """Set the learning rate."""
        self._rate = value

    def step(self) -> None:
        """Update nothing."""

    def clear_grad(self, set_to_zero: bool = True) -> None:
        """Clear nothing."""


def build_loss(config: TrainingConfig, *, task: Task, codes: np.ndarray, feature_dim: int) -> Loss:
    """Return the loss for `task`, with class weights from `codes` [N, ...] of the training items if configured.

    Raises ConfigError for a loss that cannot train the task.
    """
    options = loss_for(config.loss, task)
    kind = LOSSES[options.name]
    weights = class_weights(config, task, codes)
    if weights is not None and not kind.takes_class_weights:
        raise ConfigError(f"training.class_weights: the loss '{options.name}' does not use them; leave them out")
    return kind(
        options,
        task=task,
        feature_dim=feature_dim,
        class_weights=None if weights is None else paddle.to_tensor(weights, dtype="float32"),
    )


def class_weights(config: TrainingConfig, task: Task, codes: np.ndarray) -> np.ndarray | None:
    """Return the weight of each class or label, float64 [K], or None without any.

    Balanced weights of classes are n / (K n_class), so that all classes have the same total weight. Balanced
    weights of labels are (n - n_label) / n_label: the items with a label have the same total weight as those
    without it. Raises ConfigError for a task without classes, and for weights that do not fit them.
    """
    if config.class_weights is None:
        return None
    strata = task.strata(codes)
    if strata is None or len(strata.names) != task.outputs:
        raise ConfigError(f"training.class_weights: the task {task.name} has no classes; leave them out")
    kind, count = ("classes" if strata.values.ndim == 1 else "labels"), len(strata.names)
    if config.class_weights == "balanced":
        if kind == "classes":
            counts = np.bincount(strata.values, minlength=count)
            return np.asarray(len(codes) / (count * np.maximum(counts, 1)))
        counts = strata.values.sum(axis=0, dtype=np.int64)
        return np.asarray((len(codes) - counts) / np.maximum(counts, 1))
    if len(config.class_weights) != count:
        raise ConfigError(
            f"training.class_weights: needs one number for each of the {count} {kind}, "
            f"got {len(config.class_weights)}"
        )
    if not any(config.class_weights):
        raise ConfigError("training.class_weights: at least one weight must be above 0")
    return np.asarray(config.class_weights, dtype=np.float64)


def check_sampling(config: TrainingConfig, task: Task, codes: np.ndarray) -> None:
    """Raise ConfigError if `config.sampling` cannot be done for items with these codes [N, ...]."""
    strata = task.strata(codes)
    if config.sampling == "balanced" and (strata is None or strata.values.ndim != 1):
        raise ConfigError(
            f"training.sampling: balanced needs one class per item, which the task {task.name} does not have; use "
            "shuffled"
        )
