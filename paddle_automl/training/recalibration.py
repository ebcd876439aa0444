"""Statistics of batch normalization for the weights that are evaluated."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import paddle
from paddle import nn

from paddle_automl.core.seeds import generator
from paddle_automl.models.kernels.layers.normalization import set_momentum
from paddle_automl.models.network import Network
from paddle_automl.paddle_compat.modes import evaluating
from paddle_automl.training.config import TrainingConfig

if TYPE_CHECKING:
    from paddle_automl.data.augment.base import Augmenter
    from paddle_automl.data.splits import Split

BATCHES = 8
"""Training batches for the statistics of a mean of weights, where the recipe does not say how many."""
_NORMS = nn.BatchNorm1D | nn.BatchNorm2D


@dataclass(frozen=True)
class Recalibration:
    """Replaces running mean and variance by their plain means over `batches` batches of training items.

    As in stochastic weight averaging (Izmailov et al. 2018, arXiv:1803.05407, section 3.2). Running statistics are
    those of earlier weights; they are noisy where little of them is kept in a step, and averaged weights have none
    of their own. The batches have `batch_size` items of `split`, changed by `augment` as in training, and `random`
    draws them.
    """

    split: Split
    batches: int
    batch_size: int
    augment: Augmenter | None
    random: np.random.Generator

    @classmethod
    def of(
        cls, config: TrainingConfig, split: Split, augment: Augmenter | None, *, seed: int, purpose: str = ""
    ) -> Recalibration:
        """Return that of a training; trainings of another `purpose` draw other items."""
        random = generator(seed, "recalibration", *((purpose,) if purpose else ()))
        return cls(split, config.recalibrate or BATCHES, config.batch_size, augment, random)

    @paddle.no_grad()
    def __call__(self, model: Network) -> None:
        """Do it for the normalizations of `model` that are in training mode; the others keep their statistics."""
        norms = [layer for layer in model.sublayers() if isinstance(layer, _NORMS) and layer.training]
        if not norms:
            return
        items = self.split.batches(
            self.batch_size,
            rng=self.random,
            augment=self.augment,
            drop_last=True,
            count=self.batches * self.batch_size,
        )
        # Everything else as in evaluation: without dropout.
        with evaluating(model), _without_views(model), _updating(norms):
            for number, batch in enumerate(items):
                for layer in norms:
                    # 0, 1/2, 2/3, ... make the running mean the plain mean.
                    set_momentum(layer, number / (number + 1))
                model.backbone(*(paddle.to_tensor(array) for array in batch.inputs.values()))


@contextmanager
def _without_views(model: Network) -> Iterator[None]:
    """Let each network, also those of an ensemble, see each item once: a view would count as another batch."""
    networks = [layer for layer in model.sublayers(include_self=True) if isinstance(layer, Network)]
    kept = [network.test_time_augmentation for network in networks]
    for network in networks:
        network.test_time_augmentation = "none"
    try:
        yield
    finally:
        for network, views in zip(networks, kept, strict=True):
            network.test_time_augmentation = views


@contextmanager
def _updating(norms: list[nn.Layer]) -> Iterator[None]:
    kept = [layer._momentum for layer in norms]
    for layer in norms:
        layer.train()
    try:
        yield
    finally:
        for layer, momentum in zip(norms, kept, strict=True):
            set_momentum(layer, momentum)
