"""The recipe of AutoGluon: everything at once with a small rate, warm-up and layer-wise decay."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from paddle_automl.training.fine_tuning.base import RECIPES, FineTuningRecipe, RecipeConfig


@RECIPES.register("low_rate")
class LowRate(FineTuningRecipe):
    """A small rate for all stages that are trained, after a warm-up, down to zero along a cosine.

    Tang et al., AutoGluon-Multimodal (2024): AdamW at 1e-4, layer-wise decay of 0.9, a tenth of the steps warm-up,
    gradients clipped at a norm of 1.
    """

    class Config(RecipeConfig):
        """Options of the recipe."""

        stage_decay: float = Field(0.9, gt=0, le=1)
        """Factor of the learning rate from each stage to the one before it."""
        warmup: float = Field(0.1, ge=0, lt=1)
        """Fraction of the epochs in which the rate grows to its full value."""

    config: Config

    def start(self) -> dict[str, Any]:  # noqa: D102
        return {"stage_decay": self.config.stage_decay}

    def schedule(self, epochs: int) -> dict[str, Any]:  # noqa: D102
        return {"name": "cosine", "warmup_epochs": self.config.warmup * epochs}
