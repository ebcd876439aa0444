"""Quantization-aware training: 8-bit weights that were trained in 8 bits."""

from __future__ import annotations

from typing import Any

from paddle_automl.compression.base import STEPS, Form, Outcome, Step
from paddle_automl.compression.context import Context
from paddle_automl.compression.copying import Zeros
from paddle_automl.compression.distillation import DistillationConfig, taught_by
from paddle_automl.compression.finetuning import FineTuning, tune
from paddle_automl.compression.int8_kernels import with_fast_layers
from paddle_automl.compression.int8_layers import layers_for_int8, observed_outputs, ready_for_int8, without
from paddle_automl.core.errors import ConfigError
from paddle_automl.core.schema import PluginConfig, Sequence
from paddle_automl.models.network import Network
from paddle_automl.paddle_compat.slim.quantization import AwareTraining


@STEPS.register("quantize_aware")
class QuantizeAware(Step):
    """Trains for a few epochs with weights and activations rounded to 8 bits, then stores 8-bit weights.

    Jacob et al., Quantization and Training of Neural Networks (2018). Meanwhile batch normalization uses its
    running statistics, as inference does, which folds them into the convolutions.
    """

    class Config(PluginConfig):
        """Options of quantization-aware training."""

        tune: FineTuning = FineTuning(epochs=3, rate=0.02, average=False)
        """The training; at least one epoch, which also measures the ranges of the activations."""
        skip: Sequence[str] = ()
        """Layers that stay float32, by name or pattern (backbone.stem*)."""
        teacher: DistillationConfig | None = DistillationConfig()
        """How the float network teaches the 8-bit one; none: it learns from the true targets alone."""

    config: Config
    accepts = frozenset({Form.DENSE, Form.SPARSE})
    leaves = Form.QUANTIZED

    def check(self, model: Network, context: Context) -> None:  # noqa: D102
        without(layers_for_int8(model), self.config.skip, "quantize_aware.skip")
        if self.config.tune.epochs < 1:
            raise ConfigError(
                "quantize_aware.tune.epochs: must be at least 1; quantize_post quantizes without training"
            )

    def apply(self, model: Network, context: Context) -> Outcome:  # noqa: D102
        config = self.config
        ready, names = ready_for_int8(model, context.specs)
        chosen = without(names, config.skip, "quantize_aware.skip")
        zeros = Zeros(ready)
        quantization = AwareTraining(ready, [*chosen.values(), *observed_outputs(ready)])
        student = quantization.model
        assert isinstance(student, Network)
        # Paddle's fake quantizers must see each map before other rounding: float32 throughout.
        recipe = config.tune.recipe(context.training).model_copy(update={"amp": None})
        result = tune(
            student,
            context,
            recipe,
            purpose=self.name,
            callbacks=[*taught_by(model, config.teacher, student, context), zeros],
        )
        converted = quantization.convert()
        assert isinstance(converted, Network)
        facts: dict[str, Any] = {
            "layers": list(chosen),
            "skipped": [name for name in names if name not in chosen],
            "tuning_seconds": round(result.seconds, 2),
        }
        return Outcome(with_fast_layers(converted), facts)
