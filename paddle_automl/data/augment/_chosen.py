"""Augmentations that change a random fraction of the images."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import numpy as np
from pydantic import Field

from paddle_automl.core.schema import PluginConfig
from paddle_automl.data.augment.base import Augmentation


class ChosenConfig(PluginConfig):
    """How often."""

    probability: float = Field(default=0.5, ge=0, le=1)
    """Probability that an image is changed."""


class ChosenImages(Augmentation):
    """Changes a random fraction of the images; the targets stay."""

    Config: ClassVar[type[PluginConfig]] = ChosenConfig

    def __init__(self, config: ChosenConfig) -> None:
        self.config = config

    @abstractmethod
    def changed(
        self, images: np.ndarray, targets: np.ndarray, chosen: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray:
        """Return images ``[B, C, H, W]`` of which those are changed for which `chosen` ``[B]`` is True."""

    def __call__(
        self, images: np.ndarray, targets: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return images ``[B, C, H, W]``, some of them changed, and the targets as they are."""
        chosen = rng.random(len(images)) < self.config.probability
        return self.changed(images, targets, chosen, rng), targets
