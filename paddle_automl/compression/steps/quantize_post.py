"""8-bit weights after training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from pydantic import Field

from paddle_automl.compression.base import STEPS, Form, Outcome, Repair, Step
from paddle_automl.compression.calibration import Calibrated, calibrate
from paddle_automl.compression.context import Context
from paddle_automl.compression.int8_layers import layers_for_int8, without
from paddle_automl.core.errors import DataError
from paddle_automl.core.schema import PluginConfig
from paddle_automl.core.schema import Sequence as Items
from paddle_automl.deployment.repair import ranked
from paddle_automl.models.network import Network
from paddle_automl.paddle_compat.slim.quantization import Observer

RANKING_IMAGES, RANKING_NUMBERS, LEAST_IMAGES = 32, 2_000_000, 8
"""Most images by which layers are ranked for a repair, and most numbers in all of them, but a least number of
images: with 8 images of 288 pixels the order was nearly that by 32."""


@STEPS.register("quantize_post")
class QuantizePost(Step):
    """Quantizes weights and activations to 8 bits after training, with ranges measured on some training images.

    Weights get a scale per output channel, activations one per layer. With oneDNN on a CPU the convolutions
    then run in 8-bit integers. If the accuracy falls by more than is allowed, the layers that do most damage go
    back to float32 (`compression.max_drop`).
    """

    class Config(PluginConfig):
        """Options of quantization after training."""

        observer: Observer = "abs_max"
        """How the range of activations is determined: abs_max (the largest magnitude), avg (the mean over images of
        that), hist (a percentile), or the range that distorts activations least: kl, mse, emd (slow)."""
        images: int = Field(256, ge=1)
        """Number of training images on which the ranges are measured."""
        skip: Items[str] = ()
        """Layers that stay float32, by name or pattern (backbone.stem*)."""
        analysis: bool = True
        """Also quantize each layer alone, to report which ones change the outputs most."""
        analysis_images: int = Field(128, ge=1)
        """Number of training images for that."""

    config: Config
    accepts = frozenset({Form.DENSE, Form.SPARSE})
    leaves = Form.QUANTIZED

    def check(self, model: Network, context: Context) -> None:  # noqa: D102
        without(layers_for_int8(model), self.config.skip, "quantize_post.skip")
        if not len(context.data.train):
            raise DataError(
                "quantize_post: there is no training image to calibrate with; give data.split a training fraction"
            )

    def apply(self, model: Network, context: Context) -> Outcome:  # noqa: D102
        config = self.config
        arrays, _ = context.sample(config.images, "calibration")
        calibrated = calibrate(
            model, context.specs, arrays, observer=config.observer, skip=config.skip, option="quantize_post.skip"
        )
        repair = _Repair(calibrated, context, config.analysis_images)
        facts: dict[str, Any] = {"layers": list(calibrated.names), "skipped": list(calibrated.skipped)}
        if config.analysis:
            facts["damage"] = repair.damage(config.analysis_images)
        return Outcome(calibrated.whole, facts, repair)


class _Repair(Repair):
    """Leaves layers of a calibrated network in float; `most` is the largest number of images to rank them by."""

    def __init__(self, calibrated: Calibrated, context: Context, most: int) -> None:
        self._calibrated, self._context, self._most = calibrated, context, most
        self._known: list[str] | None = None

    def layers_by_damage(self) -> list[str]:
        if self._known is None:
            item = sum(math.prod(size or 1 for size in spec.shape) for spec in self._context.specs)
            count = max(LEAST_IMAGES, min(RANKING_IMAGES, RANKING_NUMBERS // item))
            self.damage(min(count, self._most))
        assert self._known is not None
        return self._known

    def leaving(self, layers: Sequence[str]) -> Outcome:
        calibrated = self._calibrated
        kept = [name for name in calibrated.names if name not in layers]
        return Outcome(calibrated.leaving(layers), {"layers": kept, "skipped": [*calibrated.skipped, *layers]})

    def damage(self, images: int) -> list[list[Any]]:
        """Return (layer, damage) of all layers by their effect on the outputs for `images` images, worst first."""
        classes = self._context.task.final.activation == "softmax"
        probes, _ = self._context.sample(images, "analysis")
        found = self._calibrated.damage(probes, classes=classes)
        self._known = ranked(list(found), list(found.values()))
        return [[name, round(found[name], 8)] for name in self._known]
