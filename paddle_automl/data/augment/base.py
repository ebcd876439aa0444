"""The augmentation plugin, and the chain that applies a list of them to whole batches."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np

from paddle_automl.core.registry import Registry
from paddle_automl.core.schema import PluginConfig

Fill = Literal["zero", "reflect"]


class Augmentation(ABC):
    """A random change of a whole batch; its inputs are never modified.

    `stage` says when it runs: ``image`` on uint8 pixels ``[B, C, H, W]`` before normalization, ``batch`` on
    float32 images after it.
    """

    name: ClassVar[str]
    stage: ClassVar[Literal["image", "batch"]] = "image"
    Config: ClassVar[type[PluginConfig]] = PluginConfig

    @abstractmethod
    def __init__(self, config: PluginConfig) -> None: ...

    @abstractmethod
    def __call__(
        self, images: np.ndarray, targets: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return images of the same shape and type, and targets ``[B, K]`` float32 with rows of sum 1."""


AUGMENTATIONS: Registry[Augmentation] = Registry("augmentation", "paddle_automl.data.augment", "data.augment")


class Augmenter:
    """A list of augmentations, applied in its order: those of images first, those of batches afterwards."""

    def __init__(self, augmentations: Sequence[Augmentation]) -> None:
        self.augmentations = tuple(augmentations)

    def pixels(
        self, images: np.ndarray, targets: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Apply the image stage to uint8 images ``[B, C, H, W]`` and targets ``[B, K]``."""
        return self._apply("image", images, targets, rng)

    def batch(
        self, images: np.ndarray, targets: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Apply the batch stage to normalized float32 images ``[B, C, H, W]`` and targets ``[B, K]``."""
        return self._apply("batch", images, targets, rng)

    def _apply(
        self, stage: str, images: np.ndarray, targets: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        for augmentation in self.augmentations:
            if augmentation.stage == stage:
                images, targets = augmentation(images, targets, rng)
        return images, targets


def build_augmenter(configs: Sequence[PluginConfig]) -> Augmenter | None:
    """Return the chain for `data.augment`, or None for an empty list."""
    if not configs:
        return None
    return Augmenter([AUGMENTATIONS[config.name](config) for config in configs])
