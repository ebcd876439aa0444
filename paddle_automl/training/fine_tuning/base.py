"""The interface of fine-tuning recipes: options of model and training that replace those of a search of heads."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from pydantic import Field

from paddle_automl.core.loading import validate
from paddle_automl.core.registry import Registry
from paddle_automl.core.schema import PluginConfig
from paddle_automl.models.config import ModelConfig
from paddle_automl.training.config import TrainingConfig
from paddle_automl.training.losses.base import LOSSES


class RecipeConfig(PluginConfig):
    """Options that every recipe has."""

    epochs: int = Field(8, ge=1)
    """Most passes over the training items; fewer where the time is short."""
    batch_size: int = Field(32, ge=1)
    """Items per step."""
    learning_rate: float = Field(1e-4, gt=0)
    """Largest step size, that of the head; AdamW uses it."""
    weight_decay: float = Field(0.01, ge=0)
    """Pull of kernels and weights towards zero."""
    trained_stages: int | None = Field(4, ge=1)
    """Only so many of the backbone's last stages are trained, which is what little time allows on a CPU; null:
    all."""
    frozen_norm: bool = True
    """Whether the running statistics of batch normalization stay: few and small batches would only spoil them."""
    label_smoothing: float = Field(0.1, ge=0, lt=1)
    """Smoothing of the targets, where the loss is cross entropy over classes; that of several labels stays."""
    ema: float | None = Field(0.98, gt=0, lt=1)
    """Decay of the moving average of the weights that is evaluated and exported; null: none."""


class FineTuningRecipe(ABC):
    """Gives a configuration whose head was found by a search the options with which all of it is trained."""

    name: ClassVar[str] = ""

    class Config(RecipeConfig):
        """Options of the recipe."""

    def __init__(self, config: Any) -> None:
        self.config = config

    @abstractmethod
    def start(self) -> dict[str, Any]:
        """Return the options of `model` by which loaded layers are frozen, and their rates."""

    @abstractmethod
    def schedule(self, epochs: int) -> dict[str, Any]:
        """Return the options of `training.lr_schedule` for a training of this many epochs."""

    def model(self, model: ModelConfig, pretrained: str) -> ModelConfig:
        """Return the options of the network, which starts from the run `pretrained`."""
        stages = {"trained_stages": self.config.trained_stages, "frozen_norm": self.config.frozen_norm}
        found = {**model.model_dump(), "pretrained": pretrained, "freeze": None, **stages, **self.start()}
        return ModelConfig.model_validate(found)

    def training(self, training: TrainingConfig) -> TrainingConfig:
        """Return the recipe of the training; what it does not state is that of `training`, such as the loss.

        Rates and ends by kind of parameter were chosen for the optimizer of `training`, so they do not apply.
        Raises ConfigError if what both state together is no valid training.
        """
        options = self.config
        changes: dict[str, Any] = {
            "epochs": options.epochs,
            "batch_size": options.batch_size,
            "optimizer": {
                "name": "adamw",
                "learning_rate": options.learning_rate,
                "weight_decay": options.weight_decay,
            },
            "rates": {},
            "ends": {},
            "lr_schedule": self.schedule(options.epochs),
            "ema": None if options.ema is None else {"decay": options.ema},
            "average_epochs": training.averaged(options.epochs) if options.ema is None else None,
            "progressive": training.progressive.fitting(options.epochs).model_dump(),
            "clip_global_norm": 1.0,
            "patience": None,
        }
        loss = training.loss
        if loss is not None and _is_cross_entropy(loss):
            changes["loss"] = {**loss.model_dump(), "label_smoothing": options.label_smoothing}
        return validate(TrainingConfig, {**training.model_dump(exclude=set(changes)), **changes})


def _is_cross_entropy(loss: PluginConfig) -> bool:
    """Return whether it is cross entropy over classes; smoothed labels would all be likelier than most are."""
    return "label_smoothing" in type(loss).model_fields and "single_label" in LOSSES[loss.name].tasks


RECIPES: Registry[FineTuningRecipe] = Registry(
    "fine-tuning recipe", "paddle_automl.training.fine_tuning", "fine_tuning.recipes"
)
