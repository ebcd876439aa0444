"""The contract of fine-tuning recipes."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from paddle_automl.models.config import ModelConfig
from paddle_automl.testing.options import check_options, config_of
from paddle_automl.training.config import TrainingConfig
from paddle_automl.training.fine_tuning.base import FineTuningRecipe
from paddle_automl.training.kinds import Ends, Rates

SEARCHED: dict[str, Any] = {
    "epochs": 77,
    "batch_size": 5,
    "eval_batch_size": 7,
    "threads": 2,
    "least_steps": 3,
    "steps_per_epoch": 4,
    "sampling": "balanced",
    "optimizer": "schedule_free",
    "tables": {"learning_rate": 0.5, "mixup": 0.2},
    "rates": {"norm_bias": 64.0},
    "ends": {"whitening_bias": 0.3},
    "lr_schedule": {"name": "triangle", "warmup_epochs": 70},
    "loss": "focal",
    "class_weights": "balanced",
    "ema": {"decay": 0.5},
    "average_epochs": 60,
    "soup": 3,
    "l1": 1e-6,
    "clip_global_norm": 9.0,
    "recalibrate": 2,
    "gradient_centralization": True,
    "amp": {"dtype": "bfloat16"},
    "progressive": {"epochs": 70, "resolution": 0.5},
    "patience": 70,
}
"""A value of each option of `training` other than its default, as a search may have it."""
AVERAGES = ("optimizer", "ema", "average_epochs")
"""Options of which a training can have one only."""


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

    @pytest.mark.parametrize("option", TrainingConfig.model_fields)
    def test_any_option_of_the_search_can_precede_it(self, plugin: type[FineTuningRecipe], option: str) -> None:
        """A search may have any valid training, and is over by the time that the recipe follows."""
        searched = TrainingConfig.model_validate({"epochs": 77, option: SEARCHED[option]})
        assert getattr(searched, option) != TrainingConfig.model_fields[option].get_default(), "not another value"
        for changes in ({}, {"epochs": 1}, {"ema": None}):
            recipe = plugin(config_of(plugin, {**self.options, **changes}))
            assert recipe.training(searched).epochs == recipe.config.epochs

    @pytest.mark.parametrize("average", AVERAGES)
    def test_all_options_of_the_search_can_precede_it(self, recipe: FineTuningRecipe, average: str) -> None:
        """Also several at once; factors and ends that were chosen for another optimizer do not apply to its own."""
        given = {key: value for key, value in SEARCHED.items() if key == average or key not in AVERAGES}
        searched = TrainingConfig.model_validate(given)
        found = recipe.training(searched)
        if found.optimizer.name != searched.optimizer.name:
            assert (found.rates, found.ends) == (Rates(), Ends())

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
