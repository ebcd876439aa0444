"""Training a network again for a few epochs, with a teacher, and with weights that must stay as they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from paddle import Tensor
from pydantic import Field

from paddle_automl.compression.context import Context
from paddle_automl.compression.distillation import Distillation
from paddle_automl.core.schema import Section
from paddle_automl.core.seeds import generator
from paddle_automl.models.classifier import Classifier
from paddle_automl.paddle_compat.device import seed_everything, set_device
from paddle_automl.training.config import TrainingConfig
from paddle_automl.training.learner import Learner

# The loop of `train` with another learner: `train` itself makes its own.
from paddle_automl.training.loop import TrainingResult, _Best, _Run


class FineTuning(Section):
    """Training after a change, with the recipe that the network was trained with."""

    epochs: int = Field(5, ge=0)
    """Passes over the training images; 0 trains nothing."""
    rate: float = Field(0.2, gt=0)
    """Factor of the recipe's learning rate."""
    average: bool = True
    """Average the weights as the recipe says (training.ema)."""

    def recipe(self, training: TrainingConfig) -> TrainingConfig:
        """Return the recipe of the fine-tuning."""
        optimizer, schedule = training.optimizer, training.lr_schedule
        slower = {"learning_rate": optimizer.learning_rate * self.rate}  # type: ignore[attr-defined]
        if schedule.warmup_epochs >= self.epochs:  # type: ignore[attr-defined]
            schedule = schedule.model_copy(update={"warmup_epochs": 0.0})
        return training.model_copy(
            update={
                "epochs": max(self.epochs, 1),
                "patience": None,
                "optimizer": optimizer.model_copy(update=slower),
                "lr_schedule": schedule,
                "ema": training.ema if self.average else None,
            }
        )


@dataclass(frozen=True)
class Hooks:
    """What else happens in a training; each is called without arguments."""

    after_step: Callable[[], None] | None = None
    before_evaluation: Callable[[], None] | None = None


class _TaughtLearner(Learner):
    """A learner whose loss may come from a teacher, and which calls hooks."""

    def __init__(
        self,
        model: Classifier,
        config: TrainingConfig,
        *,
        labels: np.ndarray[Any, Any],
        steps_per_epoch: int,
        device: str,
        distillation: Distillation | None,
        hooks: Hooks,
    ) -> None:
        super().__init__(
            model,
            config,
            labels=labels,
            steps_per_epoch=steps_per_epoch,
            frozen_epochs=0,
            loaded_rate=1.0,
            device=device,
        )
        self._distillation = distillation
        self._hooks = hooks

    def step(self, images: Tensor, targets: Tensor) -> Tensor:
        loss = super().step(images, targets)
        if self._distillation is not None:
            self._distillation.after_step()
        if self._hooks.after_step is not None:
            self._hooks.after_step()
        return loss

    def _forward(self, images: Tensor, targets: Tensor) -> Tensor:
        if self._distillation is None:
            return super()._forward(images, targets)
        with self.precision.context():
            features = self.model.features(images)
            logits = self.model.head(features)
        logits = logits.astype("float32")
        return self._distillation.loss(images, logits, self.loss(logits, features, targets))

    @contextmanager
    def evaluated(self) -> Iterator[Classifier]:
        if self._hooks.before_evaluation is not None:
            self._hooks.before_evaluation()
        with super().evaluated() as model:
            yield model


def tune(
    model: Classifier,
    context: Context,
    config: TrainingConfig,
    *,
    purpose: str,
    distillation: Distillation | None = None,
    hooks: Hooks | None = None,
    keep: Literal["best", "last"] = "best",
) -> TrainingResult:
    """Train `model` in place with the recipe `config` and leave it with the best epoch's weights, or the last.

    `purpose` names the training: its random numbers depend on it and on the context's seed alone. Raises
    TrialError if the loss is not finite.
    """
    set_device(context.device)
    seed_everything(context.seed, "compression", purpose)
    part = context.data.train
    learner = _TaughtLearner(
        model,
        config,
        labels=part.labels,
        steps_per_epoch=steps_per_epoch(context, config),
        device=context.device,
        distillation=distillation,
        hooks=hooks or Hooks(),
    )
    run = _Run(
        learner=learner,
        config=config,
        part=part,
        validation=context.data.validation if keep == "best" else None,
        best=_Best(context.metric, 1.0 if context.goal == "maximize" else -1.0),
        folder=None,
        augment=context.augment,
        random=generator(context.seed, "compression", purpose, "batches"),
    )
    with ExitStack() as stack:
        if distillation is not None:
            stack.enter_context(distillation.watching())
        return run.run(lambda epoch, metrics: context.report(epoch, metrics))


def steps_per_epoch(context: Context, config: TrainingConfig) -> int:
    """Return the number of training steps of an epoch."""
    return max(len(context.data.train) // config.batch_size, 1)
