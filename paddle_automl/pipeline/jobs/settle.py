"""The first job of a command: find the data's targets and the task for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from paddle_automl.core.fitted import FittedPlugin
from paddle_automl.core.schema import PluginConfig, Section
from paddle_automl.data.prepare import find_task
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.jobs.base import enter
from paddle_automl.search.executors.base import Worker
from paddle_automl.tasks.base import TASKS


@dataclass(frozen=True)
class SettleRequest:
    """Find the task of the data of `config`."""

    config: RunConfig


class SettleResult(Section):
    """The task of the data, and the folds that fit their size."""

    task: Annotated[PluginConfig, FittedPlugin(TASKS)]
    """The task, fitted to all targets."""
    folds: int | None = None
    """Folds that `data.folds: auto` stands for."""


def run(request: SettleRequest, worker: Worker) -> SettleResult:
    """Find the task, without reading the items; raises ConfigError if the targets contradict the given one."""
    enter(worker)
    task, folds = find_task(request.config.data, request.config.task)
    return SettleResult(task=task.fitted, folds=folds)
