"""Distillation: training with a teacher."""

from __future__ import annotations

from pydantic import Field

from paddle_automl.compression.base import STEPS, Form, Gain, Outcome, Step
from paddle_automl.compression.context import Context
from paddle_automl.compression.copying import copy_of
from paddle_automl.compression.distillation import DistillationConfig, distillation_of
from paddle_automl.compression.finetuning import FineTuning, tune
from paddle_automl.compression.teachers import ORIGINAL, find_teacher
from paddle_automl.core.schema import PluginConfig, Sequence
from paddle_automl.models.config import ModelConfig
from paddle_automl.models.network import Network, build_network


@STEPS.register("distill")
class Distill(Step):
    """Trains the network, or a new one, on a teacher's outputs as soft targets (distillation).

    Soft labels (Hinton et al. 2015), for several labels and for numbers too; middle layers (FitNets: Romero et al.
    2015; attention transfer: Zagoruyko and Komodakis 2017; relations: Park et al. 2019). Several teachers teach as
    an ensemble.
    """

    class Config(PluginConfig):
        """Options of distillation."""

        teacher: Sequence[str] = (ORIGINAL,)
        """The teachers: original (the network before compression), folders of bundles or of trained runs; several
        teach as an ensemble."""
        best_trials: int = Field(0, ge=0)
        """Number of the study's best trials that are teachers as well; with teacher: [] they are the only ones."""
        student: ModelConfig | None = None
        """A new network that is trained from the start; none: the network itself is trained further."""
        tune: FineTuning | None = None
        """The training. None: 10 epochs at a fifth of the recipe's learning rate; for a new network the whole
        recipe."""
        method: DistillationConfig = DistillationConfig()
        """How the student learns from the teacher."""

    config: Config
    takes = frozenset()
    accepts = frozenset({Form.DENSE})
    leaves = Form.DENSE
    gain: Gain = "metric"

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        if config.student is not None:
            # A new network is meant to be cheaper than the old one.
            self.gain = "cost"

    def check(self, model: Network, context: Context) -> None:  # noqa: D102
        teacher = find_teacher(self.config.teacher, self.config.best_trials, context)
        student = model if self.config.student is None else self._new(self.config.student, context)
        distillation_of(self.config.method, teacher, student, context)

    def apply(self, model: Network, context: Context) -> Outcome:  # noqa: D102
        config = self.config
        teacher = find_teacher(config.teacher, config.best_trials, context)
        student = copy_of(model) if config.student is None else self._new(config.student, context)
        distillation = distillation_of(config.method, teacher, student, context)
        result = tune(
            student,
            context,
            self._tuning(context).recipe(context.training),
            purpose=self.name,
            callbacks=[distillation],
        )
        student.eval()
        return Outcome(student, {"best_epoch": result.best_epoch, "tuning_seconds": round(result.seconds, 2)})

    def _tuning(self, context: Context) -> FineTuning:
        if self.config.tune is not None:
            return self.config.tune
        if self.config.student is None:
            return FineTuning(epochs=10)
        return FineTuning(epochs=context.training.epochs, rate=1.0)

    def _new(self, config: ModelConfig, context: Context) -> Network:
        return build_network(config, context.data.input, context.task.outputs, seed=context.seed)
