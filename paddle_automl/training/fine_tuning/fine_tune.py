"""The recipe of fastai: the head first, then everything in one cycle, with rates that grow from stage to stage."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from paddle_automl.training.fine_tuning.base import RECIPES, FineTuningRecipe, RecipeConfig


@RECIPES.register("fine_tune")
class FineTune(FineTuningRecipe):
    """An epoch of the head alone, then one cycle in which earlier stages have smaller rates.

    Howard and Gugger, fastai: A Layered API for Deep Learning (2020), method `fine_tune`; rates that differ by
    stage are those of Howard and Ruder, Universal Language Model Fine-tuning (2018), section 3.2.
    """

    class Config(RecipeConfig):
        """Options of the recipe."""

        learning_rate: float = Field(3e-4, gt=0)
        """Largest step size, that of the head; AdamW uses it."""
        frozen_epochs: int = Field(1, ge=0)
        """Epochs at the start in which only the head is trained."""
        stage_decay: float = Field(0.7, gt=0, le=1)
        """Factor of the learning rate from each stage to the one before it."""
        thaw_epochs: int = Field(0, ge=0)
        """Epochs after which one more stage begins to change, the last one first; 0: all at once."""

    config: Config

    def start(self) -> dict[str, Any]:  # noqa: D102
        return {
            # The last epoch trains everything, however few there are.
            "frozen_epochs": min(self.config.frozen_epochs, self.config.epochs - 1),
            "stage_decay": self.config.stage_decay,
            "thaw_epochs": self.config.thaw_epochs,
        }

    def schedule(self, epochs: int) -> dict[str, Any]:  # noqa: D102
        del epochs
        return {"name": "one_cycle", "start": 0.2, "peak": 0.3}
