"""The first job of a command: find the data's targets and the task for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from paddle_automl.core.fitted import FittedPlugin
from paddle_automl.core.schema import PluginConfig, Section, Sequence
from paddle_automl.data.facts import find_facts
from paddle_automl.models.kernels.library import processor_flags
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.jobs.base import enter
from paddle_automl.pipeline.runs.trials import split_seed
from paddle_automl.search.executors.base import Worker
from paddle_automl.tasks.base import TASKS


@dataclass(frozen=True)
class SettleRequest:
    """Find the task of the data of `config`."""

    config: RunConfig


class SettleResult(Section):
    """The task of the data, the folds that fit their size, and what first trials are chosen by."""

    task: Annotated[PluginConfig, FittedPlugin(TASKS)]
    """The task, fitted to all targets."""
    folds: int | None = None
    """Folds that `data.folds: auto` stands for."""
    items: int = 0
    """About the number of training items."""
    shape: Sequence[int] | None = None
    """Shape of an item, if `search.first` is auto."""
    processor: Sequence[str] = ()
    """What the processor can do, by the operating system's names."""


def run(request: SettleRequest, worker: Worker) -> SettleResult:
    """Find the task, without reading the items; raises ConfigError if the targets contradict the given one."""
    enter(worker)
    config = request.config
    found = find_facts(config.data, config.task, seed=split_seed(config))
    return SettleResult(
        task=found.task.fitted,
        folds=found.folds,
        items=found.training_items,
        # Files are looked at for it.
        shape=found.shape(config.data) if config.search.first == "auto" else None,
        processor=tuple(sorted(processor_flags())),
    )
