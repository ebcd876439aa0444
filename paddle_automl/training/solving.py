"""Weights that are computed from all training items at once, before the steps of a training or in place of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import paddle
from paddle import Tensor, nn

from paddle_automl.core.errors import ConfigError
from paddle_automl.models.kinds import BESIDE_OPTIMIZER, parameter_kinds
from paddle_automl.models.network import Network
from paddle_automl.models.problem import Problem
from paddle_automl.training.config import TrainingConfig
from paddle_automl.training.recipe import class_weights

if TYPE_CHECKING:
    from paddle_automl.data.splits import Split


def learns(model: nn.Layer) -> bool:
    """Return whether the network has weights that are learned in steps."""
    kinds = parameter_kinds(model)
    return any(
        kinds.get(name) not in BESIDE_OPTIMIZER or kinds[name] == "table"
        for name, parameter in model.named_parameters()
        if not parameter.stop_gradient
    )


def solved_parameters(model: nn.Layer) -> list[Tensor]:
    """Return the weights that are computed at once, and that steps leave as they are."""
    kinds = parameter_kinds(model)
    return [
        parameter
        for name, parameter in model.named_parameters()
        if kinds.get(name) == "solved" and not parameter.stop_gradient
    ]


def solve(model: Network, split: Split, config: TrainingConfig, seed: int) -> None:
    """Compute the weights of a network that follow from the items of `split` as a whole.

    Nothing happens to other networks, and to one that is solved already, here or in its checkpoint. Weights of
    another training (`model.pretrained`) are computed again from the items of this one. Raises ConfigError for an
    option of the recipe that cannot be used for them.
    """
    if not model.needs_solution:
        return
    if config.sampling != "shuffled":
        raise ConfigError(
            f"training.sampling: {config.sampling} has no effect on weights that are computed from all items at "
            "once; use class_weights: balanced"
        )
    task = split.task
    with paddle.no_grad():
        model.solve(
            Problem(
                read=split.ragged,
                targets=task.dense(split.codes),
                activation=task.final.activation,
                weights=class_weights(config, task, split.codes),
                seed=seed,
                levels=task.levels,
            )
        )
