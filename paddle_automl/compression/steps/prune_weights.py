"""Setting individual weights to zero."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from paddle_automl.compression.base import STEPS, Form, Gain, Outcome, Step
from paddle_automl.compression.context import Context
from paddle_automl.compression.copying import copy_of, sparsity
from paddle_automl.compression.distillation import DistillationConfig, taught_by
from paddle_automl.compression.finetuning import AVERAGES, FineTuning, tune
from paddle_automl.core.errors import ConfigError
from paddle_automl.core.schema import PluginConfig
from paddle_automl.models.network import Network
from paddle_automl.paddle_compat.slim.sparsity import SHORTEST_STEP, WeightPruning
from paddle_automl.training.callback import Callback
from paddle_automl.training.config import TrainingConfig

NO_SPEED = (
    "zeros are stored and multiplied like other numbers: the file does not get smaller, and Paddle Inference does "
    "not run faster; only a compressed archive of the file gets smaller"
)


class _Applied(Callback):
    """Callback that sets the chosen weights to zero before evaluations; PaddleSlim's hooks do so in training."""

    def __init__(self, pruning: WeightPruning) -> None:
        self.pruning = pruning

    def before_evaluation(self) -> None:
        self.pruning.apply()


class _Rising(_Applied):
    """Callback that chooses more and more weights during the training."""

    def after_step(self) -> None:
        self.pruning.step()


@STEPS.register("prune_weights")
class PruneWeights(Step):
    """Sets the weights of smallest magnitude to zero, at once or gradually while training (GMP).

    Zhu and Gupta, To Prune, or Not to Prune (2017), with PaddleSlim's unstructured pruners. With dense kernels it
    makes nothing faster, which the result states.
    """

    class Config(PluginConfig):
        """Options of weight pruning."""

        ratio: float = Field(0.5, gt=0, lt=1)
        """Fraction of the weights of convolutions, linear and recurrent layers that become zero; tables of vectors,
        such as those of tokens, stay as they are."""
        local: bool = False
        """The same fraction in every layer; false: the smallest weights of the whole network."""
        gradual: bool = True
        """Raise the fraction step by step in the first two thirds of the training; false: all at once before it."""
        increases: int = Field(10, ge=1)
        """Number of times that the fraction is raised, if gradual."""
        tune: FineTuning = FineTuning(average=False)
        """Training while weights are set to zero, and afterwards, without averaged weights (they would mix zeros
        with earlier values)."""
        teacher: DistillationConfig | None = DistillationConfig()
        """How the network before pruning teaches the pruned one; none: it learns from the true targets alone."""

    config: Config
    takes = frozenset()
    accepts = frozenset({Form.DENSE, Form.SPARSE})
    leaves = Form.SPARSE
    gain: Gain = "sparsity"

    def check(self, model: Network, context: Context) -> None:  # noqa: D102
        config = self.config
        stated = [name for name in AVERAGES if getattr(context.training, name) is not None]
        if config.tune.average and stated:
            raise ConfigError(
                f"prune_weights.tune.average: must be false with training.{stated[0]}, an average of weights mixes "
                "zeros with old values"
            )
        rising = self._rising_epochs()
        if rising:
            self._check_increases(rising * self._recipe(context, rising).steps(len(context.data.train)))

    def apply(self, model: Network, context: Context) -> Outcome:  # noqa: D102
        config = self.config
        pruned = copy_of(model)
        epochs = config.tune.epochs
        rising = self._rising_epochs()
        if rising:
            steps = rising * self._recipe(context, rising).steps(len(context.data.train))
            pruning = WeightPruning(
                pruned, config.ratio, local=config.local, steps=steps, increases=config.increases
            )
            self._tune(pruned, context, rising, model, _Rising(pruning), keep="last")
            pruning.finish()
        pruning = WeightPruning(pruned, config.ratio, local=config.local, steps=None, increases=1)
        if epochs > rising:
            self._tune(pruned, context, epochs - rising, model, _Applied(pruning), keep="best")
        pruning.finish()
        pruned.eval()
        return Outcome(pruned, {"sparsity": sparsity(pruned), "note": NO_SPEED})

    def _rising_epochs(self) -> int:
        return -(-2 * self.config.tune.epochs // 3) if self.config.gradual else 0

    def _recipe(self, context: Context, epochs: int) -> TrainingConfig:
        return self.config.tune.model_copy(update={"epochs": epochs}).recipe(context.training)

    def _tune(
        self,
        pruned: Network,
        context: Context,
        epochs: int,
        teacher: Network,
        zeros: Callback,
        keep: Literal["best", "last"],
    ) -> None:
        callbacks = [*taught_by(teacher, self.config.teacher, pruned, context), zeros]
        recipe = self._recipe(context, epochs)
        tune(pruned, context, recipe, purpose=f"{self.name} {keep}", callbacks=callbacks, keep=keep)

    def _check_increases(self, steps: int) -> None:
        needed = self.config.increases * SHORTEST_STEP
        if steps < needed:
            raise ConfigError(
                f"prune_weights: the first two thirds of the training are {steps} steps, too few for "
                f"{self.config.increases} increases of at least {SHORTEST_STEP} steps; set more tune.epochs, fewer "
                "increases or gradual: false"
            )
