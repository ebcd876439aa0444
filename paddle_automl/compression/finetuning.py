"""Fine-tuning a network for a few epochs, optionally with a teacher, and with weights that must not change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from paddle_automl.compression.context import Context
from paddle_automl.core.schema import Section
from paddle_automl.models.network import Network
from paddle_automl.training.callback import Callback
from paddle_automl.training.config import TrainingConfig
from paddle_automl.training.kinds import Ends
from paddle_automl.training.loop import Keep, TrainingResult, train
from paddle_automl.training.progressive import Progressive

AVERAGES = ("ema", "average_epochs", "soup")
"""Options of a training that average its weights."""


class FineTuning(Section):
    """Training after a change, with the recipe of the network's training."""

    epochs: int = Field(5, ge=0)
    """Passes over the training items; 0 for no training."""
    rate: float = Field(0.2, gt=0)
    """Factor of the recipe's learning rate, and of that of tables."""
    average: bool = True
    """Average the weights as in the recipe (training.ema, training.average_epochs, training.soup)."""

    def recipe(self, training: TrainingConfig) -> TrainingConfig:
        """Return the recipe of the fine-tuning."""
        schedule = training.lr_schedule
        if schedule.warmup_epochs >= self.epochs:  # type: ignore[attr-defined]
            schedule = schedule.model_copy(update={"warmup_epochs": 0.0})
        return training.at_rate(self.rate).model_copy(
            update={
                "epochs": max(self.epochs, 1),
                "patience": None,
                "progressive": Progressive(),
                "lr_schedule": schedule,
                **({} if self.average else dict.fromkeys(AVERAGES)),
                # Nothing is learned from the beginning here.
                "ends": Ends(),
            }
        )


def tune(
    model: Network,
    context: Context,
    config: TrainingConfig,
    *,
    purpose: str,
    callbacks: Sequence[Callback] = (),
    keep: Literal["best", "last"] = "best",
) -> TrainingResult:
    """Train `model` in place with the recipe `config` and leave it with the best epoch's weights, or the last.

    `purpose` names the training: its random numbers depend only on it and on the context's seed. The rest is as in
    `train`. Raises TrialError if the loss is not finite.
    """
    return train(
        model,
        context.data,
        config,
        context.goal,
        seed=context.seed,
        folder=None,
        augment=context.augment,
        report=context.report,
        device=context.device,
        callbacks=callbacks,
        keep=Keep(keep, f"compression: {purpose}"),
    )
