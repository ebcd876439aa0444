"""Filling in the options of a configuration that depend on the task."""

from __future__ import annotations

import tempfile
from pathlib import Path

from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.jobs.base import call, job_of
from paddle_automl.pipeline.jobs.settle import SettleRequest, SettleResult
from paddle_automl.pipeline.portfolio.applying import with_first_trials
from paddle_automl.pipeline.runs.starting import with_input_of_run
from paddle_automl.search.executors.base import Executor
from paddle_automl.tasks.base import TASKS, restore
from paddle_automl.tasks.metrics.spelling import check_metrics


def settled(config: RunConfig, executor: Executor, *, searching: bool = False, fresh: bool = False) -> RunConfig:
    """Return the configuration with the task of the data, the default objective of the task, and the loss.

    The folds of cross-validation are those for the size of the data, where they are left to it, and so are the
    first trials (`search.first`; those of an earlier search in the folder unless it is `fresh`). Without
    `searching` only epochs, batch size and the refit's options follow them, and other values stay as they are. If
    it starts from the weights of another run, items are read as there.

    Raises ConfigError if the data contradict the configured task, or if a metric or the loss does not fit it, and
    DataError if the data cannot be found.
    """
    with tempfile.TemporaryDirectory() as scratch:
        job = job_of("settle", SettleRequest(config), Path(scratch) / "settle.log", config)
        found = call(executor, job, SettleResult)
    task = restore(found.task)
    options = config.task or TASKS[task.name].Config(name=task.name)
    search = config.search.for_task(task)
    check_metrics([objective.metric for objective in search.objectives], task)
    if config.metric is not None:
        check_metrics([config.metric], task, "metric")
    config = with_input_of_run(config)
    if config.data.folds == "auto":
        folds = None if config.compression.in_trials else found.folds
        config = config.model_copy(update={"data": config.data.model_copy(update={"folds": folds})})
    changes = {"task": options, "search": search, "training": config.training.for_task(task)}
    return with_first_trials(config.model_copy(update=changes), found, searching=searching, fresh=fresh)
