"""From the options of the recipe to the objects of one training run."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import numpy as np
import paddle
from paddle import Tensor, nn

from paddle_automl.core.errors import ConfigError
from paddle_automl.training.config import TrainingConfig
from paddle_automl.training.losses.base import LOSSES, Loss
from paddle_automl.training.optimizers.base import OPTIMIZERS, ParameterGroup


def build_optimizer(
    model: nn.Layer,
    config: TrainingConfig,
    *,
    loaded: Collection[str] = (),
    loaded_rate: float = 1.0,
    beside: Iterable[Tensor] = (),
) -> paddle.optimizer.Optimizer:
    """Return Paddle's optimizer of `model` and of the parameters `beside` it.

    Parameters named in `loaded` learn at `loaded_rate` times the rate of the others. Weight decay applies to
    parameters with two axes or more: kernels and weights, not biases and scales.
    """
    groups: dict[tuple[bool, bool], list[Tensor]] = {}
    for name, parameter in model.named_parameters():
        if parameter.stop_gradient:
            # Running statistics, which Paddle counts among the parameters.
            continue
        groups.setdefault((name in loaded, parameter.ndim > 1), []).append(parameter)
    for parameter in beside:
        groups.setdefault((False, parameter.ndim > 1), []).append(parameter)
    parameter_groups = [
        ParameterGroup(parameters, rate=loaded_rate if is_loaded else 1.0, decayed=decayed)
        for (is_loaded, decayed), parameters in groups.items()
    ]
    clip = None if config.clip_global_norm is None else paddle.nn.ClipGradByGlobalNorm(config.clip_global_norm)
    return OPTIMIZERS[config.optimizer.name](config.optimizer).build(parameter_groups, clip)  # type: ignore[arg-type]


def build_loss(config: TrainingConfig, *, labels: np.ndarray[Any, Any], num_classes: int, feature_dim: int) -> Loss:
    """Return the loss with class weights from `labels` [N] of the training images, if they are asked for."""
    weights = class_weights(config, labels, num_classes)
    return LOSSES[config.loss.name](
        config.loss,
        num_classes=num_classes,
        feature_dim=feature_dim,
        class_weights=None if weights is None else paddle.to_tensor(weights, dtype="float32"),
    )


def class_weights(
    config: TrainingConfig, labels: np.ndarray[Any, Any], num_classes: int
) -> np.ndarray[Any, Any] | None:
    """Return the weight of each class [K]; balanced is n / (K n_class), which weighs all classes alike."""
    if config.class_weights is None:
        return None
    if config.class_weights == "balanced":
        counts = np.bincount(labels, minlength=num_classes)
        return len(labels) / (num_classes * np.maximum(counts, 1))
    if len(config.class_weights) != num_classes:
        raise ConfigError(
            f"training.class_weights: needs one number for each of the {num_classes} classes, "
            f"got {len(config.class_weights)}"
        )
    if not any(config.class_weights):
        raise ConfigError("training.class_weights: at least one weight must be above 0")
    return np.asarray(config.class_weights, dtype=np.float64)
