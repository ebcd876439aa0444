"""The typed ``result.json`` that a training writes to its folder."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from statistics import fmean, stdev
from typing import Annotated, Any, Literal

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
"""A measured number; a metric that is undefined for some data is NaN."""


class TrainResult(Section):
    """The result of one training."""

    metrics: dict[str, Figure]
    """Validation metrics of the best epoch, and the network's costs; those of the compressed network if the
    configuration compresses it. With cross-validation they are means over the folds."""
    standard_errors: dict[str, Figure] = Field(default_factory=dict)
    """With cross-validation the standard error of each mean: the deviation over the folds divided by the root of
    their number."""
    best_epoch: int
    """The epoch whose weights were kept; of a soup, a mean over several epochs, the best one by itself."""
    epochs_run: int
    """Epochs that were trained."""
    stopped: str = ""
    """Why it ended before its last epoch: patience or report; empty if it did not."""
    seconds: float
    """Time of the training itself."""
    solved_s: float = 0.0
    """Time before that for weights that are computed from all items at once, of all folds."""
    only_solved: bool = False
    """Whether all weights were computed so: nothing was learned in steps."""
    skipped_files: Sequence[Sequence[str]] = ()
    """Items that could not be read and were left out: name and reason."""
    on: Literal["train", "train+validation"] = "train"
    """Data of the training: train, or train+validation."""
    fold: int | None = None
    """With cross-validation the fold on which the kept weights were validated."""
    folds: int | None = None
    """With cross-validation the number of folds that were judged: all, or 1 if the training was stopped."""
    all_epochs: int | None = None
    """With cross-validation the epochs of these folds together: later ones may have more than the first."""
    compression: dict[str, Any] | None = None
    """Facts reported by each step of a compression in the trial."""
    task: Annotated[PluginConfig, FittedPlugin(TASKS)]
    """The task, including values chosen on validation, such as thresholds."""
    input: Annotated[PluginConfig, FittedPlugin(INPUTS)]
    """The input, including statistics of the training items."""
    frozen: str = ""
    """SHA-256 of the pretrained weights of a frozen backbone; empty if the backbone was trained."""
    notes: Sequence[str] = ()
    """Warnings of the training, each once."""

    def fitted_task(self) -> Task:
        """Return the task, ready to use."""
        return restore_task(self.task)

    def fitted_input(self, folder: RunFolder) -> Input:
        """Return the input, ready to use; `folder` is that of the training."""
        return restore_input(self.input, folder.input(self.input))


def read_record(folder: RunFolder) -> TrainResult:
    """Return the result of the training in a folder; records of earlier versions are also read.

    Raises BundleError if there is no record, or one without the network's input or task.
    """
    try:
        recorded = _converted(json.loads(folder.result.read_text(encoding="utf-8")))
        return validate(TrainResult, {key: recorded[key] for key in TrainResult.model_fields if key in recorded})
    except (OSError, ValueError, TypeError, ConfigError):
        raise BundleError(
            f"{folder.result}: does not contain the network's input and task; train the run again"
        ) from None


def _converted(recorded: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record in the current format: versions before 0.2 only had images with one class each."""
    result = dict(recorded)
    if "task" not in result and "classes" in result:
        result["task"] = {"name": "single_label", "names": result["classes"]}
    preprocess = result.get("preprocess")
    if "input" not in result and isinstance(preprocess, dict):
        renamed = {"size" if key == "image_size" else key: value for key, value in preprocess.items()}
        result["input"] = {"name": "image", **renamed}
    return result


def mean_and_error(found: list[dict[str, float]]) -> tuple[dict[str, float], dict[str, float]]:
    """Return the mean of each metric over the folds, and its standard error."""
    values = {key: [metrics[key] for metrics in found] for key in found[0]}
    means = {key: fmean(numbers) for key, numbers in values.items()}
    return means, {key: stdev(numbers) / math.sqrt(len(numbers)) for key, numbers in values.items()}
