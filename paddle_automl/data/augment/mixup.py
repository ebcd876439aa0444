"""Mixup of pairs of items and of their targets."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from paddle_automl.core.schema import PluginConfig
from paddle_automl.data.augment.base import AUGMENTATIONS, Augmentation


@AUGMENTATIONS.register("mixup")
class Mixup(Augmentation):
    """Blend each item, and its target, with those of a random partner from the same batch.

    Zhang et al., 2018, arXiv:1710.09412: x = l x_i + (1 - l) x_j, y = l y_i + (1 - l) y_j with
    l ~ Beta(alpha, alpha). As in the authors' code, one l is drawn for a whole batch.
    """

    stage: ClassVar[Literal["item", "batch"]] = "batch"
    takes: ClassVar[frozenset[str]] = frozenset()

    class Config(PluginConfig):
        """Strength and frequency."""

        alpha: float = Field(default=0.2, gt=0)
        """Both parameters of the Beta distribution; the larger they are, the more even is the blend."""

        probability: float = Field(default=1.0, ge=0, le=1)
        """Probability that a batch is mixed."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def __call__(
        self, values: np.ndarray, targets: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return blended arrays ``[B, ...]`` and targets ``[B, K]``, both float32."""
        if rng.random() >= self.config.probability:
            return values, targets
        weight = np.float32(rng.beta(self.config.alpha, self.config.alpha))
        partners = rng.permutation(len(values))
        return _blend(values, partners, weight), _blend(targets, partners, weight)


def _blend(values: np.ndarray, partners: np.ndarray, weight: np.float32) -> np.ndarray:
    result: np.ndarray = values[partners]
    result *= 1 - weight
    result += weight * values
    return result
