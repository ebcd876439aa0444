"""The kinds of plugins and the sections that ``describe`` knows, each with its registry or class."""

from __future__ import annotations

from typing import Any

from paddle_automl.core.registry import Registry
from paddle_automl.core.schema import Section


def registries() -> dict[str, Registry[Any]]:
    """Return the registries by the name of their kind."""
    from paddle_automl.compression.base import STEPS
    from paddle_automl.data.augment.base import AUGMENTATIONS
    from paddle_automl.data.datasets.base import DATASETS
    from paddle_automl.deployment.exporters.base import EXPORTERS
    from paddle_automl.deployment.rejection.base import SCORES
    from paddle_automl.inputs.base import INPUTS
    from paddle_automl.models.activations import ACTIVATIONS
    from paddle_automl.models.backbones.base import BACKBONES
    from paddle_automl.models.heads.base import HEADS
    from paddle_automl.models.initializers import INITIALIZERS
    from paddle_automl.models.norms import NORMS
    from paddle_automl.search.controllers.base import CONTROLLERS
    from paddle_automl.search.executors.base import EXECUTORS
    from paddle_automl.search.schedulers.base import SCHEDULERS
    from paddle_automl.tasks.base import TASKS
    from paddle_automl.tasks.metrics.base import METRICS
    from paddle_automl.training.fine_tuning.base import RECIPES
    from paddle_automl.training.losses.base import LOSSES
    from paddle_automl.training.lr_schedules.base import LR_SCHEDULES
    from paddle_automl.training.optimizers.base import OPTIMIZERS

    found = (
        CONTROLLERS,
        SCHEDULERS,
        EXECUTORS,
        METRICS,
        TASKS,
        INPUTS,
        DATASETS,
        AUGMENTATIONS,
        BACKBONES,
        HEADS,
        ACTIVATIONS,
        NORMS,
        INITIALIZERS,
        OPTIMIZERS,
        LR_SCHEDULES,
        LOSSES,
        RECIPES,
        STEPS,
        EXPORTERS,
        SCORES,
    )
    return {_word(registry): registry for registry in found}


def _word(registry: Registry[Any]) -> str:
    """Return one word for a kind: itself, or the configuration key of a kind of two words."""
    return registry.section.rsplit(".", 1)[-1] if " " in registry.kind else registry.kind


def sections() -> dict[str, type[Section]]:
    """Return the sections of the configuration by name; ``config`` is the root."""
    from paddle_automl.pipeline.config import RunConfig

    names = {"config": RunConfig}
    for name, field in RunConfig.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            names[name] = field.annotation  # type: ignore[assignment]
    return names  # type: ignore[return-value]
