"""Every fine-tuning recipe against its contract."""

import pytest

from paddle_automl.testing.fine_tuning_recipes import FineTuningRecipeContract
from paddle_automl.training.fine_tuning.base import RECIPES


@pytest.mark.parametrize("plugin", [RECIPES[name] for name in RECIPES.names()], ids=lambda plugin: plugin.name)
class TestFineTuningRecipes(FineTuningRecipeContract):
    pass
