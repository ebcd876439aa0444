"""The contract of fine-tuning recipes."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from paddle_automl.models.config import ModelConfig
from paddle_automl.testing.options import check_options, config_of
from paddle_automl.training.config import TrainingConfig
from paddle_automl.training.fine_tuning.base import FineTuningRecipe


class FineTuningRecipeContract:
    """Tests of a recipe: parametrize `plugin` with its class; `options` are its required options, if any."""

    options: ClassVar[dict[str, Any]] = {}

    @pytest.fixture
    def recipe(self, plugin: type[FineTuningRecipe]) -> FineTuningRecipe:
        """Return the recipe with its options."""
        return plugin(config_of(plugin, self.options))

    def test_options_are_described(self, plugin: type[FineTuningRecipe]) -> None:
        """Class and options have a docstring."""
        check_options(plugin)

    def test_the_network_stays_and_starts_from_the_winner(self, recipe: FineTuningRecipe) -> None:
        """The backbone is trained too, and layers are those that the search has chosen."""
        searched = ModelConfig.model_validate(
            {
                "backbone": {"name": "resnet", "width": 8},
                "head": {"name": "mlp", "hidden": 5},
                "pretrained": "start.pdparams",
                "freeze": "backbone",
                "feature_norm": "standard",
            }
        )
        found = recipe.model(searched, "output/winner")
        assert (found.pretrained, found.freeze) == ("output/winner", None)
        for name in ("backbone", "head", "activation", "norm", "feature_norm"):
            assert getattr(found, name) == getattr(searched, name), name

    def test_the_training_is_the_recipe_s_with_the_loss_of_the_search(self, recipe: FineTuningRecipe) -> None:
        """What a recipe does not state stays."""
        loss = {"name": "cross_entropy", "label_smoothing": 0.2}
        searched = TrainingConfig.model_validate({"epochs": 77, "patience": 3, "loss": loss, "l1": 1e-6})
        found = recipe.training(searched)
        assert found.epochs == recipe.config.epochs
        assert found.batch_size == recipe.config.batch_size
        assert getattr(found.optimizer, "learning_rate", None) == recipe.config.learning_rate
        assert found.l1 == searched.l1
        assert found.loss is not None
        assert found.loss.name == "cross_entropy"

    @pytest.mark.parametrize("epochs", [1, 2, 30])
    def test_there_is_a_schedule_for_any_number_of_epochs(self, recipe: FineTuningRecipe, epochs: int) -> None:
        """Where time is short, few epochs are left."""
        found = TrainingConfig.model_validate({"epochs": epochs, "lr_schedule": recipe.schedule(epochs)})
        assert found.lr_schedule.name == recipe.schedule(epochs)["name"]

    def test_it_changes_nothing_that_it_is_given(self, recipe: FineTuningRecipe) -> None:
        """The configuration of the search is used again."""
        model, training = ModelConfig(), TrainingConfig()
        before = model.model_dump(), training.model_dump()
        recipe.model(model, "output/winner")
        recipe.training(training)
        assert (model.model_dump(), training.model_dump()) == before
