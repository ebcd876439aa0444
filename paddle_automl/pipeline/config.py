"""The root of the configuration: it composes the sections and checks their combination."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from paddle_automl.compression.config import CompressionConfig
from paddle_automl.compression.distillation import TeachingConfig
from paddle_automl.core.errors import ConfigError
from paddle_automl.core.paths import located
from paddle_automl.core.schema import Duration, Plugin, PluginConfig, Section, Sequence
from paddle_automl.data.augment.base import AUGMENTATIONS
from paddle_automl.data.config import DataConfig
from paddle_automl.deployment.config import DeploymentConfig
from paddle_automl.models.config import ModelConfig
from paddle_automl.pipeline.weights import with_input_of_weights
from paddle_automl.search.config import SearchConfig
from paddle_automl.tasks.base import TASKS
from paddle_automl.tasks.metrics.spelling import (
    MetricKey,
    epoch_metrics,
    epoch_part,
    goal_of,
    unfit_to_optimize,
    when_of,
)
from paddle_automl.training.config import TrainingConfig
from paddle_automl.training.fine_tuning.base import RECIPES

_DEVICE = re.compile(r"auto|cpu|gpu(:\d+(,\d+)*)?")


class Budget(Section):
    """Limit of a command's time."""

    time: Duration | None = None
    """Time for the whole command, from its start to the verified bundle: 90s, 3min, 1h30min.
    None: no limit."""


class Refit(Section):
    """The refit: the winner is trained again, from scratch, before it is exported."""

    epochs: Annotated[int, Field(ge=1)] | Literal["auto"] | None = None
    """Epochs of the refit. None: as many as a trial. auto: as many as fit into three fifths of budget.time, at
    most eight times those of a trial, for recipes that gain from a longer schedule; without a budget as many
    as a trial."""
    most_epochs: Annotated[int, Field(ge=1)] | None = None
    """Most epochs of auto where more of them no longer help; a trial may have more. None: no further limit. With
    search.first: auto it follows from the number of images unless it is stated, and so does rate_power."""
    rate_power: float = Field(0.0, ge=0, le=1)
    """How the learning rate follows the length: that of the trial times (epochs of the trial / epochs of the
    refit)^rate_power, if the refit has more. The best rate falls as a power of the length in
    language models (Bjorck et al. 2024, arXiv:2409.19913). 0: the same rate."""
    data: Literal["train", "train+validation"] = "train"
    """Data of the refit. With train+validation there is no validation split left to choose the best epoch by: all
    epochs are trained, and the scores shown are those of the trial, measured before."""
    progressive: bool = False
    """Whether it begins with the cheap epochs of training.progressive, as the trials do; otherwise it uses all data
    at full size from its first epoch."""


class FineTuning(Section):
    """Fine-tuning of the winner's whole network after a search of heads on pretrained features."""

    recipes: Sequence[Annotated[PluginConfig, Plugin(RECIPES)]] = ()
    """Recipes that are tried in this order, from the winner's network on, where the time allows; none: no
    fine-tuning. With a budget three fifths of what is left of it after 220 s is reserved for them; a budget of 220
    s or less leaves them out."""
    augment: Sequence[Annotated[PluginConfig, Plugin(AUGMENTATIONS)]] = ()
    """Augmentations of the training items, in place of data.augment: features of a frozen backbone have none."""
    standard_errors: float = Field(1.64, ge=0)
    """The best recipe is kept if it gains anything on validation, and at least so many standard errors of the
    difference over the same items. With 1.64 chance alone gains as much once in twenty times."""


class Ensemble(Section):
    """An ensemble of the best trials in one network, kept only where validation gains."""

    size: int = Field(3, ge=2)
    """Most members, the winner included. Answers take as many times as long, and the network as much space. Where
    the winner is trained again, the others are too: up to a quarter of budget.time is kept back for it."""
    candidates: int = Field(10, ge=2)
    """Number of best trials from which the members are chosen; the weights of so many trials are kept."""
    standard_errors: float = Field(1.64, ge=0)
    """The ensemble is kept if it gains anything over the winner on validation, and at least so many standard errors
    of the difference over the same items. With 1.64 chance alone gains as much once in twenty times."""


class RunConfig(Section):
    """A whole configuration: without `search.space` it describes one training run, with it a search."""

    output: str = "output/run"
    """Folder of the results, relative to the working directory."""
    seed: int = Field(default=0, ge=0)
    """Seed of all random choices: splits, initial weights, order of items, augmentation, controllers."""
    device: str = "auto"
    """auto (a GPU where Paddle sees one), cpu, gpu, gpu:0 or gpu:0,1 (workers take these GPUs in turn)."""
    task: Annotated[PluginConfig | None, Plugin(TASKS, optional=True)] = None
    """What the network predicts; by default it follows from the data set's targets: one class (single_label),
    several labels (multi_label), numbers (regression)."""
    metric: Annotated[str, MetricKey()] | None = None
    """Validation metric that decides which epoch is best. None: the first objective if it is measured each epoch,
    else the main metric of the task."""
    plugins: Sequence[str] = ()
    """Modules and .py files with your own backbones, metrics, data sets or other plugins; they are imported before
    the configuration is checked, and in every process that runs a trial."""
    visualdl: bool = True
    """Write VisualDL logs to OUTPUT/visualdl."""
    report: Literal["auto", "en", "zh", "none"] = "auto"
    """Language of the report that a search ends with; auto: Chinese in a Chinese locale, else English; none: no
    report."""
    budget: Budget = Budget()
    """Limits of time."""
    data: DataConfig = DataConfig()
    """The data, its splits and its augmentation."""
    model: ModelConfig = ModelConfig()
    """The network."""
    training: TrainingConfig = TrainingConfig()
    """The recipe of training."""
    distillation: TeachingConfig | None = None
    """Teacher of every training in this configuration: a trained run, a bundle or a search's trials; none: training
    uses the targets alone."""
    search: SearchConfig = SearchConfig()
    """The search over the options of the other sections."""
    refit: Refit = Refit()
    """The refit of the winner."""
    fine_tuning: FineTuning = FineTuning()
    """Fine-tuning of the winner's whole network, kept only where validation gains."""
    ensemble: Ensemble | None = None
    """An ensemble of the best trials in one network, kept only where validation gains. Without this section there
    is none; an empty one, {}, has the defaults."""
    compression: CompressionConfig = CompressionConfig()
    """The chain of compression, after a search or in each of its trials; without steps there is none."""
    deployment: DeploymentConfig = DeploymentConfig()
    """How the final network is exported, compared with the trained one, and timed."""

    @model_validator(mode="before")
    @classmethod
    def _read_as_the_weights_were_learned(cls, values: Any) -> Any:
        """Let published weights decide how images are read; raises ValueError for an option that contradicts."""
        return with_input_of_weights(values)

    @field_validator("device")
    @classmethod
    def _check_device(cls, value: str) -> str:
        if not _DEVICE.fullmatch(value):
            raise ValueError("must be auto, cpu, gpu, gpu:N or gpu:N,M")
        return value

    @field_validator("metric")
    @classmethod
    def _check_metric(cls, value: str | None) -> str | None:
        if value is not None and when_of(value) != "epoch":
            raise ValueError("must change with the epochs, as metrics on the validation split do")
        if value is not None and unfit_to_optimize(value):
            raise ValueError(unfit_to_optimize(value))
        return value

    @field_validator("output")
    @classmethod
    def _check_output(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("must name a folder")
        return value

    @model_validator(mode="after")
    def _features_are_all_that_a_head_sees(self) -> RunConfig:
        if self.model.freeze and self.distillation is not None and self.distillation.active:
            raise ValueError("model.freeze: cannot be used with distillation: a teacher needs the items themselves")
        if self.model.freeze and self.training.progressive.shrink_factor(1) < 1:
            raise ValueError("model.freeze: cannot be used with training.progressive.resolution below 1")
        return self

    @model_validator(mode="after")
    def _fine_tuning_has_a_start(self) -> RunConfig:
        names = [recipe.name for recipe in self.fine_tuning.recipes]
        if names and self.model.pretrained is None:
            raise ValueError("fine_tuning.recipes: need model.pretrained: weights that are worth training further")
        if len(set(names)) < len(names):
            raise ValueError("fine_tuning.recipes: each recipe can be named once")
        if names and self.compression.in_trials:
            raise ValueError("fine_tuning.recipes: cannot be used with compression.in_trials")
        return self

    @model_validator(mode="after")
    def _members_are_whole_networks(self) -> RunConfig:
        if self.ensemble is not None and self.model.freeze:
            raise ValueError(
                "ensemble: cannot be used with model.freeze: each member would repeat the frozen backbone"
            )
        if self.ensemble is not None and self.compression.in_trials:
            raise ValueError("ensemble: cannot be used with compression.in_trials; compress it afterwards")
        return self

    @model_validator(mode="after")
    def _recipes_can_follow(self) -> RunConfig:
        for options in self.fine_tuning.recipes:
            try:
                RECIPES[options.name](options).training(self.training)
            except ConfigError as error:
                # Not after the search, when all of its time is spent.
                raise ValueError(f"fine_tuning.recipes: {options.name}: {'; '.join(error.issues)}") from None
        return self

    @model_validator(mode="after")
    def _validation_stays_unseen(self) -> RunConfig:
        if self.compression.in_trials and self.refit.data != "train":
            raise ValueError(
                "refit.data: must be train with compression.in_trials, which measures networks on validation"
            )
        return self

    @model_validator(mode="after")
    def _constraints_are_known_before_training(self) -> RunConfig:
        if self.compression.in_trials and self.search.constraints:
            raise ValueError(
                "search.constraints: are checked before training, but with compression.in_trials the network is "
                "known only after it; give objectives a limit: [{metric: latency_ms, limit: 5}]"
            )
        return self

    @model_validator(mode="after")
    def _folds_train_several_networks(self) -> RunConfig:
        if isinstance(self.data.folds, int) and self.compression.in_trials:
            raise ValueError(
                "data.folds: cannot be used with compression.in_trials: each fold has its own network, and a "
                "trial would compress all of them"
            )
        return self

    @model_validator(mode="after")
    def _maps_have_one_size(self) -> RunConfig:
        teaching, cheap = self.distillation, self.training.progressive
        if (
            teaching is not None
            and teaching.hints in ("fitnets", "attention")
            and cheap.epochs
            and cheap.resolution < 1
        ):
            raise ValueError(
                f"distillation.hints: {teaching.hints} compares maps of equal size, which a teacher lacks with "
                "training.progressive.resolution below 1; use hints: relations, or resolution: 1"
            )
        return self

    @property
    def folder(self) -> Path:
        """Return the output folder in the system's encoding."""
        return located(self.output)

    def epoch_metric(self) -> str:
        """Return the key of the validation metric by which epochs are compared."""
        if self.metric is not None:
            return epoch_part(self.metric)
        task = None if self.task is None else TASKS[self.task.name]
        search = self.search if task is None else self.search.for_task(task)
        first = search.objectives[0].metric
        if when_of(first) == "epoch":
            return epoch_part(first)
        return "accuracy" if task is None else task.metrics[0]

    def goal_of(self, metric: str) -> str:
        """Return the direction of a metric: maximize or minimize."""
        return goal_of(metric)

    def epoch_metrics(self) -> tuple[str, ...]:
        """Return the keys of the validation metrics that every training of this configuration measures."""
        task = TASKS["single_label" if self.task is None else self.task.name]
        return epoch_metrics(task, [self.epoch_metric(), *(item.metric for item in self.search.objectives)])

    def as_dict(self) -> dict[str, Any]:
        """Return the whole configuration, defaults included, as plain mappings, lists and scalars."""
        return self.model_dump(mode="json")
