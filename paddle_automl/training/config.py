"""Options of the section `training`."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from paddle_automl.core.schema import Plugin, PluginConfig, Section, Sequence, default
from paddle_automl.tasks.base import Task
from paddle_automl.training.kinds import Ends, Rates
from paddle_automl.training.losses.base import LOSSES, loss_for
from paddle_automl.training.lr_schedules.base import LR_SCHEDULES, LrScheduleConfig
from paddle_automl.training.optimizers.base import OPTIMIZERS, OptimizerConfig
from paddle_automl.training.progressive import Progressive
from paddle_automl.training.tables import TablesConfig

SMALLEST_BATCH = 16
"""Fewest items of a step that `TrainingConfig.least_steps` may lead to."""


class Epoch(NamedTuple):
    """Extent of an epoch."""

    items: int
    """Items of a pass, drawn again for each."""
    passes: int
    """Most passes; the last ones are not needed where `steps` are fewer."""
    steps: int


class EmaConfig(Section):
    """Average of the weights over the steps; the average is evaluated, saved and exported."""

    decay: float = Field(0.999, gt=0, lt=1)
    """Fraction of the average that is kept in a step; the average reaches back about 1 / (1 - decay) steps."""
    warmup: bool = True
    """Start with a smaller decay, (1 + step) / (10 + step), so that the first weights do not dominate a short
    training."""


class AmpConfig(Section):
    """Mixed precision; on a CPU only bfloat16, if the processor supports it (avx512_bf16 or amx_bf16)."""

    dtype: Literal["bfloat16", "float16"] = "bfloat16"
    """Type of the fast operators; weights stay float32. With float16 the loss is scaled so that small gradients
    survive; float16 needs a GPU, otherwise training uses float32."""
    level: Literal["O1", "O2"] = "O1"
    """Only for a GPU. O1: operators that are safe in low precision; O2: the whole network except normalization."""


class TrainingConfig(Section):
    """The recipe: epochs, optimizer, schedule and loss."""

    epochs: int = Field(20, ge=1)
    """Most passes over the training data."""
    batch_size: int = Field(64, ge=1)
    """Items per step."""
    eval_batch_size: int = Field(256, ge=1)
    """Items per batch in evaluations; has no effect on results."""
    threads: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"
    """Threads of the fast layers and of Paddle's linear algebra in a training that runs alone: the refit, and
    tools/train.py. auto: one, or all cores where the time is limited and a few timed steps are faster with them.
    Results are the same within rounding. The cores of trials side by side are divided by the executor."""
    least_steps: int = Field(1, ge=1)
    """Fewest steps of an epoch where the items are too few for so many of `batch_size`: batches are smaller, but of
    16 at least, and then an epoch goes over the items several times."""
    steps_per_epoch: int | None = Field(None, ge=1)
    """Most steps of an epoch; the next epoch draws other items. None: an epoch goes over all training data."""
    sampling: Literal["shuffled", "balanced"] = "shuffled"
    """Items of an epoch. shuffled: each once; balanced: as many items, but each class equally often, so that small
    classes have theirs several times (one class per item only). See also class_weights, which acts on the loss."""
    optimizer: Annotated[PluginConfig, Plugin(OPTIMIZERS, "momentum")] = default("momentum")
    """Rule that updates the weights, with learning rate and weight decay."""
    tables: TablesConfig = TablesConfig()
    """Updates of tables of words and n-grams, of which a batch uses few rows, in place of the optimizer."""
    rates: Rates = Rates()
    """Factors of the learning rate by kind of parameter."""
    ends: Ends = Ends()
    """When a kind of parameter stops to change."""
    lr_schedule: Annotated[PluginConfig, Plugin(LR_SCHEDULES, "cosine")] = default("cosine")
    """How the learning rate changes over the steps."""
    loss: Annotated[PluginConfig | None, Plugin(LOSSES, "cross_entropy", optional=True)] = None
    """Loss to minimize; none or auto takes the default loss of the task. Options without a name are those of
    cross_entropy, and left out for tasks that it cannot train."""
    class_weights: Literal["balanced"] | Sequence[Annotated[float, Field(ge=0)]] | None = None
    """Weight of each class in the loss, in the order of the classes' names; balanced: n / (K n_class). For several
    labels per item: weight of each label where it applies; balanced: (n - n_label) / n_label."""
    ema: EmaConfig | None = None
    """Exponential moving average of the weights; none if left out."""
    average_epochs: int | None = Field(None, ge=2)
    """Epochs over whose ends the weights are averaged; the average of the last ones is evaluated, saved and
    exported. At the end cheap epochs (progressive) are no part of it; a training that is shortened averages as
    large a part of its epochs. None: no such average. See also ema, which averages over steps."""
    soup: int | None = Field(None, ge=2)
    """Greedy soup: after the last epoch the weights of so many epochs, the best on validation, are averaged one by
    one, with statistics of batch normalization computed anew; the mean is kept where it is better on validation
    than the best epoch. It costs as many evaluations, and does nothing where there is no validation split or the
    last epoch is kept. None: no soup. Networks that were trained independently cannot be averaged in this way."""
    l1: float | None = Field(None, gt=0)
    """Penalty on the sum of the magnitudes of kernels and weights, added to the loss, such as 1.0e-5; many weights
    become small. None: no penalty. Weight decay, a penalty on their squares, is an option of the optimizer."""
    clip_global_norm: float | None = Field(None, gt=0)
    """Largest norm of all gradients together; larger gradients are scaled down to it."""
    recalibrate: int | None = Field(None, ge=1)
    """Training batches over which mean and variance of batch normalization are computed anew before each
    evaluation, for the weights as they are then; none: the running ones are used."""
    gradient_centralization: bool = False
    """Subtract from the gradient of each output's weights its mean (Yong et al. 2020), before clipping."""
    amp: AmpConfig | None = None
    """Mixed precision; none if left out."""
    progressive: Progressive = Progressive()
    """Cheap epochs at the start, with less data or smaller images; none if left out."""
    patience: int | None = Field(None, ge=1)
    """Stop after this many epochs without a better validation metric."""

    def steps(self, items: int) -> int:
        """Return the number of steps in an epoch on `items` items: whole batches, at least one."""
        return self.for_items(items).epoch(items).steps

    def for_items(self, items: int) -> TrainingConfig:
        """Return the same with the batch size of a training on `items` items: smaller ones for `least_steps`."""
        size = min(self.batch_size, max(items // self.least_steps, SMALLEST_BATCH))
        return self.model_copy(update={"batch_size": size})

    def epoch(self, items: int, number: int | None = None) -> Epoch:
        """Return what an epoch on `items` items consists of, in batches of `batch_size` items (see `for_items`).

        `number` is its own, from 1; None: one that is not cheap. A cheap one (`progressive`) has its fraction of
        the items in each pass, and of `steps_per_epoch`.
        """
        passes = max(round(self.least_steps / max(items // self.batch_size, 1)), 1)
        used = items if number is None else self.progressive.count(number, items, self.batch_size)
        steps = max(used // self.batch_size, 1) * passes
        if self.steps_per_epoch is not None:
            most = max(round(self.steps_per_epoch * used / max(items, 1)), 1)
            steps, used = min(steps, most), min(used, most * self.batch_size)
        return Epoch(used, passes, steps)

    def of_epochs(self, epochs: int, cheap: Progressive | None = None) -> TrainingConfig:
        """Return the same for another training, of so many epochs; a warm-up that does not end in them is left out.

        `cheap` are its first epochs, by default as dear as the others. See also `fitting.with_epochs`, which makes
        the same training shorter.
        """
        schedule = self.lr_schedule
        if getattr(schedule, "warmup_epochs", 0) >= epochs:
            schedule = schedule.model_copy(update={"warmup_epochs": 0})
        update = {
            "epochs": epochs,
            "lr_schedule": schedule,
            "progressive": cheap or Progressive(),
            "average_epochs": self.averaged(epochs),
        }
        return self.model_copy(update=update)

    def averaged(self, epochs: int) -> int | None:
        """Return `average_epochs` for a training of so many epochs: of fewer ones, as large a part."""
        if self.average_epochs is None:
            return None
        return min(self.average_epochs, max(round(self.average_epochs * epochs / self.epochs), 2))

    def at_rate(self, factor: float) -> TrainingConfig:
        """Return the same with all learning rates times `factor`, those of tables too."""
        optimizer: OptimizerConfig = self.optimizer  # type: ignore[assignment]
        tables = self.tables.model_copy(update={"learning_rate": self.tables.learning_rate * factor})
        return self.model_copy(update={"optimizer": optimizer.scaled(factor), "tables": tables})

    def for_task(self, task: Task) -> TrainingConfig:
        """Return the same with an explicit loss; raises ConfigError for a loss that cannot train the task."""
        return self.model_copy(update={"loss": loss_for(self.loss, task)})

    @model_validator(mode="after")
    def _warmup_ends(self) -> TrainingConfig:
        schedule = self.lr_schedule
        if isinstance(schedule, LrScheduleConfig) and schedule.warmup_epochs >= self.epochs:
            raise PydanticCustomError(
                "stated",
                f"lr_schedule.warmup_epochs must be less than epochs={self.epochs}, got {schedule.warmup_epochs}",
            )
        return self

    @model_validator(mode="after")
    def _one_average(self) -> TrainingConfig:
        kinds = {
            "optimizer.name=schedule_free": self.optimizer.name == "schedule_free",
            "average_epochs": self.average_epochs is not None,
            "ema": self.ema is not None,
        }
        stated = [name for name, used in kinds.items() if used]
        if len(stated) > 1:
            found = ", ".join(stated)
            raise PydanticCustomError("stated", f"only one average of the weights is possible, got {found}")
        return self

    @model_validator(mode="after")
    def _cheap_epochs_end(self) -> TrainingConfig:
        if self.progressive.epochs >= self.epochs:
            raise PydanticCustomError(
                "stated",
                f"progressive.epochs must be less than epochs={self.epochs}, got {self.progressive.epochs}: "
                "the last epoch uses all data",
            )
        return self
