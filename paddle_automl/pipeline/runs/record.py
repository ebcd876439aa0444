"""What a training leaves in its folder beside the weights: the typed ``result.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from paddle_automl.core.errors import BundleError, ConfigError
from paddle_automl.core.fitted import FittedPlugin
from paddle_automl.core.loading import validate
from paddle_automl.core.schema import PluginConfig, Section, Sequence
from paddle_automl.inputs.base import INPUTS, Input
from paddle_automl.inputs.base import restore as restore_input
from paddle_automl.pipeline.runs.folder import RunFolder
from paddle_automl.tasks.base import TASKS, Task
from paddle_automl.tasks.base import restore as restore_task

Figure = Annotated[float, Field(allow_inf_nan=True)]
"""A measured number; a metric that is not defined on some data is NaN."""


class TrainResult(Section):
    """What one training came to."""

    metrics: dict[str, Figure]
    """Those of the best epoch on validation, and what the network costs; of the compressed network where the
    configuration compresses it. With cross validation they are means over the folds."""
    standard_errors: dict[str, Figure] = Field(default_factory=dict)
    """With cross validation the standard error of each mean: the deviation over the folds by the root of their
    number."""
    best_epoch: int
    """The epoch whose weights were kept."""
    epochs_run: int
    """Epochs that were trained."""
    stopped: str = ""
    """Why it ended before its last epoch: patience, report; empty: it did not."""
    seconds: float
    """Time of the training itself."""
    skipped_files: Sequence[Sequence[str]] = ()
    """Items that could not be read and were left out: name and reason."""
    on: str = "train"
    """What it was trained on: train, or train+validation."""
    fold: int | None = None
    """With cross validation the fold that the kept weights were validated on."""
    compression: dict[str, Any] | None = None
    """What each step of a compression in the trial reported."""
    task: Annotated[PluginConfig, FittedPlugin(TASKS)]
    """The task, with what was chosen on validation, such as thresholds."""
    input: Annotated[PluginConfig, FittedPlugin(INPUTS)]
    """The input, with what was measured of the training items."""
    notes: Sequence[str] = ()
    """Warnings of the training, each once."""

    def fitted_task(self) -> Task:
        """Return the task, ready to use."""
        return restore_task(self.task)

    def fitted_input(self) -> Input:
        """Return the input, ready to use."""
        return restore_input(self.input)


def read_record(folder: RunFolder) -> TrainResult:
    """Return what the training of a folder came to; records of earlier versions are read, too.

    Raises BundleError where there is no record, or one that does not say what the network takes and answers.
    """
    try:
        recorded = _converted(json.loads(folder.result.read_text(encoding="utf-8")))
        return validate(TrainResult, {key: recorded[key] for key in TrainResult.model_fields if key in recorded})
    except (OSError, ValueError, TypeError, ConfigError):
        raise BundleError(
            f"{folder.result}: does not say which input the network takes and which task it has; "
            "train the run again"
        ) from None


def _converted(recorded: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record in today's terms: versions before 0.2 knew images with one class each alone."""
    result = dict(recorded)
    if "task" not in result and "classes" in result:
        result["task"] = {"name": "single_label", "names": result["classes"]}
    preprocess = result.get("preprocess")
    if "input" not in result and isinstance(preprocess, dict):
        renamed = {"size" if key == "image_size" else key: value for key, value in preprocess.items()}
        result["input"] = {"name": "image", **renamed}
    return result
