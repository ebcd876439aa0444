"""The `search` section: controller, scheduler, executor, objectives and limits."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.schema import Plugin, PluginConfig, Section, Sequence, default
from paddle_automl.search.constraints import Constraint
from paddle_automl.search.controllers.base import CONTROLLERS
from paddle_automl.search.executors.base import EXECUTORS
from paddle_automl.search.objective import Objective
from paddle_automl.search.schedulers.base import SCHEDULERS
from paddle_automl.tasks.base import Task
from paddle_automl.tasks.metrics.spelling import MetricKey, parse_metric, unfit_to_optimize, when_of


class SearchConfig(Section):
    """A search over the keys of the configuration."""

    space: dict[str, Any] | Literal["auto"] | None = None
    """What may vary: dotted keys and their domains; auto: the domains that the chosen classes declare."""
    controller: Annotated[PluginConfig, Plugin(CONTROLLERS, "auto")] = default("auto")
    """Method that proposes the next trial."""
    cost_aware: bool = False
    """Seek gain per second instead of gain per trial; the controllers auto, gaussian_process and q_learning
    (factored) learn the time of a configuration from the trials."""
    scheduler: Annotated[PluginConfig, Plugin(SCHEDULERS, "none")] = default("none")
    """Method that stops trials early, judging by the objectives' values per epoch."""
    executor: Annotated[PluginConfig, Plugin(EXECUTORS, "local")] = default("local")
    """Where trials run."""
    objectives: Sequence[Objective] = default(({"metric": "accuracy"},))
    """Metrics to optimize; the exported model is the best in the first one among those within all limits. Left out:
    the main metric of the task."""
    constraints: Sequence[Constraint] = ()
    """Bounds on the network itself, such as [latency_ms <= 5, size_mb <= 2]: they are checked before a trial is
    trained, and a network beyond them is not trained and does not count as a trial."""
    metric: Annotated[str, MetricKey()] | None = None
    """Short for one objective: a metric, or one expression such as 0.7 * macro_f1 + 0.3 * recall[class=cat] or
    {metric: cost, matrix: {cat: {dog: 5}}}; the direction is that of the metric."""
    trials: int = Field(default=20, ge=1)
    """Number of trials. The configuration's own values, failed trials and final repeats count; proposals whose
    result is already known do not."""
    final_repeats: Annotated[int, Field(ge=0)] | Literal["auto"] = "auto"
    """How many trials at the end run the best few configurations again with new seeds; the mean of a
    configuration's runs then decides. auto: none up to 30 trials, a fifth from 100 on. They run within
    budget.time."""
    workers: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"
    """Trials that run in parallel; auto: as many as the cores allow."""
    keep_checkpoints: int = Field(default=5, ge=1)
    """Number of best trials whose weights are kept, and of the best of those that no scheduler or deadline cut
    short; the weights of the others are deleted at once."""
    first: Sequence[dict[str, Any]] | Literal["auto"] = ()
    """Configurations that are tried first, after the configuration's own values: each a mapping of dotted keys of
    the space to values, such as {model.backbone.width: 32}; for other keys the configuration's values hold.
    auto, for images: first trials for this kind of data, number of images and budget.time that were learned from
    earlier trainings and come with the package; they take the place of the configuration's own values in the space.
    training.epochs, training.batch_size, refit.most_epochs and refit.rate_power follow too, where the configuration
    does not state them."""
    warm_start: Sequence[str] = ()
    """Output folders of other searches, also on other data or spaces. Their best configurations (five, at most a
    quarter of the trials) are tried first, with the values of the options that both spaces have."""
    trial_timeout_s: float | None = Field(default=None, gt=0)
    """Longest time of one trial in seconds; a trial that takes longer fails."""
    trial_memory_mb: int | None = Field(default=None, ge=1)
    """Most memory of one trial in MB, including libraries and child processes; a trial that uses more fails."""
    stop_after: int | None = Field(default=None, ge=1)
    """End the search after this many trials in a row without improvement."""
    max_failures: int = Field(default=5, ge=1)
    """End the search with an error if its first trials all fail, this many in a row."""

    @property
    def listed_first(self) -> tuple[dict[str, Any], ...]:
        """Return the configurations to try first; none while they are still to be chosen (auto)."""
        return () if self.first == "auto" else tuple(self.first)

    @model_validator(mode="before")
    @classmethod
    def _one_expression(cls, data: Any) -> Any:
        """Replace the objectives by the one metric, so that no other code has to handle it."""
        if isinstance(data, dict) and data.get("objectives", ()) is None:
            data = {key: value for key, value in data.items() if key != "objectives"}
        if not isinstance(data, dict) or data.get("metric") is None:
            return data
        if "objectives" in data:
            raise PydanticCustomError(
                "stated",
                "metric: is short for one objective and cannot be combined with objectives; keep one of the two",
            )
        try:
            objective = {"metric": parse_metric(data["metric"])}
        except ConfigError:
            # The field's own validation reports what is wrong.
            return data
        return {**{key: value for key, value in data.items() if key != "metric"}, "objectives": [objective]}

    @field_validator("objectives")
    @classmethod
    def _different(cls, objectives: tuple[Objective, ...]) -> tuple[Objective, ...]:
        metrics = [objective.metric for objective in objectives]
        if not metrics:
            raise PydanticCustomError("stated", "needs at least one metric, such as [{metric: accuracy}]")
        for metric in metrics:
            if metrics.count(metric) > 1:
                raise PydanticCustomError("stated", f"the metric '{metric}' is given twice; keep one")
        for place, objective in enumerate(objectives):
            unfit = unfit_to_optimize(objective.metric)
            if unfit and (place == 0 or objective.limit is None):
                raise PydanticCustomError("stated", unfit)
        return objectives

    def for_task(self, task: Task | type[Task]) -> SearchConfig:
        """Return the configuration for a task: without objectives, the objective is the task's main metric."""
        if "objectives" in self.model_fields_set:
            return self
        return self.model_copy(update={"objectives": (Objective.model_validate({"metric": task.metrics[0]}),)})

    @model_validator(mode="after")
    def _scheduler_has_a_curve(self) -> SearchConfig:
        metrics = [objective.metric for objective in self.objectives]
        if self.scheduler.name != "none" and not any(when_of(metric) == "epoch" for metric in metrics):
            raise PydanticCustomError(
                "stated",
                f"the scheduler '{self.scheduler.name}' judges trials by their epochs, but none of the objectives "
                f"({', '.join(metrics)}) changes with the epochs; add one that does, such as loss, or use "
                "scheduler: none",
            )
        return self

    @model_validator(mode="after")
    def _controller_knows_seconds(self) -> SearchConfig:
        if not self.cost_aware:
            return self
        able = [name for name in CONTROLLERS.names() if CONTROLLERS[name].knows_seconds]
        metaqnn = getattr(self.controller, "variant", "") == "metaqnn"
        if self.controller.name not in able or metaqnn:
            name = f"{self.controller.name}{' (metaqnn)' if metaqnn else ''}"
            raise PydanticCustomError(
                "stated",
                f"cost_aware: the controller '{name}' does not take the time of trials into account; "
                f"use {', '.join(able)}, or cost_aware: false",
            )
        return self

    @model_validator(mode="after")
    def _repeats_something(self) -> SearchConfig:
        if self.final_repeats != "auto" and self.final_repeats >= self.trials:
            raise PydanticCustomError(
                "stated",
                f"final_repeats: {self.final_repeats} of {self.trials} trials leave none for the search; "
                "use fewer, or auto",
            )
        return self
