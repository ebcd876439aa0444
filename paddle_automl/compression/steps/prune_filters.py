"""Removing whole filters."""

from __future__ import annotations

import math
import time
from typing import Annotated, Any

import paddle
from paddle import nn
from pydantic import Field, model_validator

from paddle_automl.compression.base import STEPS, Form, Outcome, Step
from paddle_automl.compression.context import Context, tensors
from paddle_automl.compression.copying import copy_of
from paddle_automl.compression.distillation import DistillationConfig, taught_by
from paddle_automl.compression.finetuning import FineTuning, tune
from paddle_automl.compression.ratios import LARGEST, Ratios, rounded, search, tolerated
from paddle_automl.core.errors import UnsupportedError
from paddle_automl.core.schema import PluginConfig, Sequence
from paddle_automl.deployment.config import LatencyConfig
from paddle_automl.deployment.latency import measure_model_latency
from paddle_automl.models.network import Network
from paddle_automl.models.profile import profile
from paddle_automl.paddle_compat.slim.filters import Criterion, FilterPruning
from paddle_automl.training.evaluation import evaluate
from paddle_automl.training.final import final_tensor

Fraction = Annotated[float, Field(gt=0, lt=1)]
LATENCY_BATCH = 8
LATENCY_STEPS = 8


@STEPS.register("prune_filters")
class PruneFilters(Step):
    """Removes filters of convolutions, with the channels that depend on them, then trains the rest.

    Filters are chosen by their L1 or L2 norm (Li et al., Pruning Filters for Efficient ConvNets, 2017) or by their
    distance to the others (FPGM: He et al., Filter Pruning via Geometric Median, 2019), with PaddleSlim. The number
    per layer is the same fraction of all layers, or depends on each layer's sensitivity so that a target is
    reached.
    """

    class Config(PluginConfig):
        """Options of filter pruning."""

        criterion: Criterion = "l1"
        """Which filters are removed: those of small l1 or l2 norm, or (fpgm) those most like the others."""
        ratio: Fraction | None = None
        """Fraction of the filters removed from every layer."""
        flops: Fraction | None = None
        """Target: fraction of the FLOPs that may remain; 0.5 if ratio, flops and latency are all left out."""
        latency: Fraction | None = None
        """Target: fraction of the time of one run in Paddle Inference that may remain."""
        sensitivity: bool = True
        """Remove more from layers with low sensitivity; false: the same fraction from every layer."""
        sensitivity_ratios: Sequence[Fraction] = Field((0.25, 0.5, 0.75), min_length=1)
        """Fractions at which each layer's sensitivity is measured."""
        sensitivity_images: int = Field(128, ge=1)
        """Number of training images on which the sensitivity is measured."""
        align: int = Field(8, ge=1)
        """The number of remaining filters is a multiple of this, which runs faster; small layers are excepted."""
        tune: FineTuning = FineTuning(epochs=10, rate=1.0)
        """Training afterwards."""
        teacher: DistillationConfig | None = DistillationConfig()
        """How the network before pruning teaches the pruned one; none: it learns from the true targets alone."""

        @model_validator(mode="after")
        def _one_target(self) -> PruneFilters.Config:
            given = [key for key in ("ratio", "flops", "latency") if getattr(self, key) is not None]
            if len(given) > 1:
                raise ValueError(f"give only one of ratio, flops and latency, got {' and '.join(given)}")
            return self

    config: Config
    accepts = frozenset({Form.DENSE})
    leaves = Form.DENSE

    def apply(self, model: Network, context: Context) -> Outcome:  # noqa: D102
        if not isinstance(model.fc, nn.Linear):
            raise UnsupportedError(
                f"{self.name}: removes inputs of a linear head only; use model.head: linear, or leave this step out"
            )
        pruned = copy_of(model)
        pruning = FilterPruning(pruned, self.config.criterion, context.input_shape)
        filters = pruning.layers
        if not filters:
            raise UnsupportedError(_nothing_to_prune(pruning))
        search_start = time.perf_counter()
        facts = self._choose(pruning, pruned, context)
        facts["search_seconds"] = round(time.perf_counter() - search_start, 2)
        pruning.finish()
        pruned.feature_dim = int(pruned.fc.weight.shape[0])
        facts["filters"] = {name: [before, pruning.layers[name]] for name, before in filters.items()}
        key = context.task.metrics[0]
        facts[f"{key}_before_tuning"] = evaluate(pruned, context.data.validation, [key])[key]
        if self.config.tune.epochs:
            callbacks = taught_by(model, self.config.teacher, pruned, context)
            recipe = self.config.tune.recipe(context.training)
            result = tune(pruned, context, recipe, purpose=self.name, callbacks=callbacks)
            facts["tuning_seconds"] = round(result.seconds, 2)
        pruned.eval()
        return Outcome(pruned, facts)

    def _choose(self, pruning: FilterPruning, model: Network, context: Context) -> dict[str, Any]:
        """Prune according to the options; return the facts about it."""
        filters, specs, config = pruning.layers, context.specs, self.config
        whole = profile(model, specs).flops

        def prune(ratios: Ratios) -> None:
            pruning.prune(rounded(ratios, filters, config.align))

        if config.ratio is not None:
            prune(dict.fromkeys(filters, config.ratio))
            return {"flops_left": profile(model, specs).flops / whole}
        curves = self._sensitivity(pruning, model, context) if config.sensitivity else None
        kind, target = ("latency", config.latency) if config.latency else ("flops", config.flops or 0.5)
        whole_ms = _latency(model, context) if kind == "latency" else 0.0

        def cost(ratios: Ratios) -> float:
            prune(ratios)
            return _latency(model, context) / whole_ms if kind == "latency" else profile(model, specs).flops / whole

        def ratios_at(level: float) -> Ratios:
            if curves is None:
                return dict.fromkeys(filters, level)
            # Small losses matter most: the cube of the level resolves them better in the search.
            return tolerated(curves, level**3)

        steps = {"steps": LATENCY_STEPS} if kind == "latency" else {}
        ratios, reached = search(ratios_at, cost, target, upper=LARGEST if curves is None else 1.1, **steps)
        if reached > target:
            raise UnsupportedError(
                f"prune_filters.{kind}: {target:g} cannot be reached, pruning everything that can be pruned leaves "
                f"{reached:.3f}; set a larger value{_obstacles(pruning)}"
            )
        prune(ratios)
        facts: dict[str, Any] = {"target": {kind: target}, "reached": reached}
        facts["flops_left"] = profile(model, specs).flops / whole
        if curves is not None:
            facts["sensitivity"] = {name: [list(point) for point in curve] for name, curve in curves.items()}
        return facts

    def _sensitivity(
        self, pruning: FilterPruning, model: Network, context: Context
    ) -> dict[str, list[tuple[float, float]]]:
        """Return the cost of pruning each layer alone at each of the fractions: (fraction, cost).

        For classes the cost is 1 - p / p0, where p is the mean probability of the right class and p0 that before
        pruning: finer than accuracy, which has steps of a hundredth with a hundred images. For other tasks it is 1
        - exp(l0 - l), where l is the task's loss and l0 that before pruning; 0 if the loss does not rise.
        """
        arrays, codes = context.sample(self.config.sensitivity_images, "sensitivity")
        inputs, task = tensors(arrays), context.task
        of_classes = task.final.activation == "softmax" and codes.ndim == 1
        classes = paddle.to_tensor(codes).unsqueeze(1) if of_classes else None

        def measured() -> float:
            with paddle.no_grad():
                found = final_tensor(model(*inputs), task.final)
                if classes is None:
                    return task.loss(found.numpy(), codes)
                return float(paddle.take_along_axis(found, classes, axis=1).mean())

        before = measured()

        def cost(after: float) -> float:
            if classes is not None:
                return 1 - after / before
            return 1 - math.exp(min(before - after, 0.0)) if math.isfinite(after) else 1.0

        curves: dict[str, list[tuple[float, float]]] = {}
        for name in pruning.layers:
            curves[name] = []
            for ratio in sorted(self.config.sensitivity_ratios):
                pruning.prune({name: ratio})
                curves[name].append((ratio, round(cost(measured()), 5)))
        pruning.undo()
        return curves


def _latency(model: Network, context: Context) -> float:
    config = LatencyConfig(batch_sizes=(LATENCY_BATCH,), warmup=3, runs=30)
    return measure_model_latency(model, context.data.input, context.task.final, config, lock=context.lock)


def _nothing_to_prune(pruning: FilterPruning) -> str:
    return (
        "prune_filters: the network has no convolution whose filters can be removed"
        f"{_obstacles(pruning) or ': it has only the last one'}; use another step, or another network"
    )


def _obstacles(pruning: FilterPruning) -> str:
    names = ", ".join(sorted(set(pruning.obstacles)))
    return f" (PaddleSlim cannot follow channels through: {names})" if names else ""
