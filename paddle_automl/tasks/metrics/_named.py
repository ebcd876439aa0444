"""What the metrics of classes and labels share."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from paddle_automl.core.errors import ConfigError, did_you_mean
from paddle_automl.core.schema import PluginConfig
from paddle_automl.tasks.base import Task
from paddle_automl.tasks.classification import Counts, NamedTask
from paddle_automl.tasks.metrics.base import Predictions

NAMED = frozenset({"single_label", "multi_label"})
"""The tasks that choose among names."""


def _name_text(value: Any) -> Any:
    if isinstance(value, bool):
        raise PydanticCustomError("stated", "is a boolean in YAML; put the name into quotes")
    return str(value) if isinstance(value, int | float) else value


Name = Annotated[str, BeforeValidator(_name_text)]
"""Name of a class, label or column; in YAML it may be a number if the names are numbers."""


class OneClass(PluginConfig):
    """Options of a metric of one class."""

    class_: Name | None = Field(None, alias="class")
    """Class or label to measure."""


def named(task: Task) -> NamedTask:
    """Return a task of `NAMED` with its type."""
    assert isinstance(task, NamedTask)
    return task


def counts_of(facts: Predictions) -> Counts:
    """Return how often each name was found, predicted and true."""
    return named(facts.task).counts(facts.outputs, facts.codes)


def check_name(task: Task, name: str | None, option: str = "class") -> None:
    """Raise ConfigError for a name that the task does not have."""
    if name is not None and name not in task.names:
        shown = ", ".join(task.names[:20]) + (", ..." if len(task.names) > 20 else "")
        hint = did_you_mean(name, task.names) or ";"
        raise ConfigError(f"{option}: the data have no '{name}'{hint} valid: {shown}")
