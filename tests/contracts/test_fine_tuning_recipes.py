"""Every fine-tuning recipe against its contract."""

import pytest

from paddle_automl.testing.fine_tuning_recipes import FineTuningRecipeContract
from paddle_automl.testing.options import config_of
from paddle_automl.training.config import TrainingConfig
from paddle_automl.training.fine_tuning.base import RECIPES


@pytest.mark.parametrize("plugin", [RECIPES[name] for name in RECIPES.names()], ids=lambda plugin: plugin.name)
class TestFineTuningRecipes(FineTuningRecipeContract):
    @pytest.mark.parametrize(
        ("name", "smoothed"), [("cross_entropy", True), ("center_loss", True), ("binary_cross_entropy", False)]
    )
    def test_classes_are_smoothed_but_not_labels(self, recipe, name, smoothed):
        """Each of several labels would be likelier than most are."""
        searched = TrainingConfig.model_validate({"loss": name})
        expected = recipe.config.label_smoothing if smoothed else 0.0
        assert recipe.training(searched).loss.label_smoothing == expected

    def test_a_mean_of_epochs_is_that_of_as_large_a_part_of_its_own(self, plugin):
        recipe = plugin(config_of(plugin, {"epochs": 8, "ema": None}))
        searched = TrainingConfig.model_validate({"epochs": 40, "average_epochs": 20})
        assert recipe.training(searched).average_epochs == 4
