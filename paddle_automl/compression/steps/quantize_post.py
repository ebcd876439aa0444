"""8-bit weights after training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import paddle
from paddle import nn
from paddle.nn import functional as F
from pydantic import Field

from paddle_automl.compression.base import STEPS, Form, Outcome, Step
from paddle_automl.compression.context import Context, tensors
from paddle_automl.compression.int8_layers import layers_for_int8, observed_outputs, ready_for_int8, without
from paddle_automl.core.errors import DataError
from paddle_automl.core.schema import PluginConfig
from paddle_automl.core.schema import Sequence as Items
from paddle_automl.data.running import fitting_batch
from paddle_automl.inputs.base import Arrays
from paddle_automl.models.network import Network
from paddle_automl.paddle_compat.layers import replace_layer
from paddle_automl.paddle_compat.slim.quantization import Observer, PostTraining

BATCH = 64
RANKING_IMAGES = 32
"""Most images by which layers are ranked for a repair: with these a layer of EfficientNet-Lite at 288 pixels takes
two seconds."""


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
        ready, names = ready_for_int8(model, context.specs)
        chosen = without(names, config.skip, "quantize_post.skip")
        facts: dict[str, Any] = {"layers": list(chosen), "skipped": [name for name in names if name not in chosen]}
        if config.analysis:
            facts["damage"] = self._damage(model, context, arrays, chosen, config.analysis_images)
        converted = _quantized(ready, [*chosen.values(), *observed_outputs(ready)], config.observer, arrays)
        return Outcome(converted, facts)

    def layers_by_damage(self, model: Network, context: Context, facts: dict[str, Any]) -> list[str]:  # noqa: D102
        if "damage" not in facts:
            arrays, _ = context.sample(self.config.images, "calibration")
            _, names = ready_for_int8(model, context.specs)
            chosen = without(names, self.config.skip, "quantize_post.skip")
            count = min(RANKING_IMAGES, self.config.analysis_images)
            facts["damage"] = self._damage(model, context, arrays, chosen, count)
        return [name for name, _ in facts["damage"]]

    def leaving(self, layers: Sequence[str]) -> QuantizePost:  # noqa: D102
        options = {"skip": (*self.config.skip, *layers), "analysis": False}
        return QuantizePost(self.config.model_copy(update=options))

    def _damage(
        self, model: Network, context: Context, arrays: Arrays, chosen: dict[str, str], count: int
    ) -> list[list[Any]]:
        """Return (layer, damage) by `count` images, worst first.

        For classes damage is KL(float || 8-bit) of the predictions when that layer alone is quantized, mean over
        items; for other tasks the mean square difference of raw outputs.
        """
        probes, _ = context.sample(count, "analysis")
        classes = context.task.final.activation == "softmax"
        before = _raw_outputs(model, probes, classes)
        # Ranges are those of float layers, so that one pass over the images measures them for every layer.
        ready, _ = ready_for_int8(model, context.specs)
        converted = dict(_quantized(ready, [*chosen.values()], self.config.observer, arrays).named_sublayers())
        alone, _ = ready_for_int8(model, context.specs)
        floats = dict(alone.named_sublayers())
        found = []
        for name, inner in chosen.items():
            replace_layer(alone, inner, converted[inner])
            after = _raw_outputs(alone, probes, classes)
            replace_layer(alone, inner, floats[inner])
            if classes:
                damage = float((np.exp(before) * (before - after)).sum(axis=1).mean())
            else:
                damage = float(np.square(before - after).mean())
            found.append([name, round(max(damage, 0.0), 8)])
        return sorted(found, key=lambda item: -item[1])


def _quantized(ready: Network, layers: list[str], observer: Observer, arrays: Arrays) -> Network:
    quantization = PostTraining(ready, layers, observer)
    with paddle.no_grad():
        for batch in _batches(arrays):
            quantization.model(*tensors(batch))
    converted = quantization.convert()
    assert isinstance(converted, Network)
    return converted


def _raw_outputs(model: nn.Layer, arrays: Arrays, classes: bool) -> np.ndarray:
    """Return raw outputs [N, K], for classes the logarithms of their softmax."""
    model.eval()
    found = []
    with paddle.no_grad():
        for batch in _batches(arrays):
            raw = model(*tensors(batch))
            found.append((F.log_softmax(raw, axis=-1) if classes else raw).numpy())
    return np.concatenate(found).astype(np.float64)


def _batches(arrays: Arrays) -> Iterator[Arrays]:
    """Yield the items in parts that take little memory: fewer of large ones."""
    shapes = [array.shape[1:] for array in arrays.values()]
    size = fitting_batch(shapes, BATCH)
    for start in range(0, len(next(iter(arrays.values()))), size):
        yield {name: array[start : start + size] for name, array in arrays.items()}
