"""AugMix."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from paddle_automl.core.schema import PluginConfig
from paddle_automl.data.augment._operations import GEOMETRIC, STANDARD, apply
from paddle_automl.data.augment._pixels import rounded
from paddle_automl.data.augment.base import AUGMENTATIONS, Augmentation, Fill

OPERATIONS = ("autocontrast", "equalize", "posterize", "solarize", *GEOMETRIC)
"""Operations that are not among the corruptions in the paper's benchmarks."""


@AUGMENTATIONS.register("augmix")
class AugMix(Augmentation):
    """Blend each image with a mean of several chains of operations (Hendrycks et al., 2020, arXiv:1912.02781).

    Algorithm 1 without the Jensen-Shannon loss: x' = (1 - m) x + m sum_i w_i chain_i(x) with w ~ Dirichlet(alpha),
    m ~ Beta(alpha, alpha), and one to three operations in a chain, each with a strength drawn uniformly up to
    `severity`.
    """

    class Config(PluginConfig):
        """Number and strength of the operations."""

        severity: float = Field(default=3.0, gt=0, le=10)
        """Largest strength of an operation, 10 at most."""

        chains: int = Field(default=3, ge=1)
        """Chains that are averaged (k in the paper)."""

        alpha: float = Field(default=1.0, gt=0)
        """Parameter of both distributions."""

        fill: Fill = "zero"
        """Values of the empty corners: zero (black) or reflect (the mirrored image)."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def __call__(
        self, images: np.ndarray, targets: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return blended images ``[B, C, H, W]`` and the targets as they are."""
        config, count = self.config, len(images)
        weights = rng.dirichlet([config.alpha] * config.chains, count).astype(np.float32)
        mixed = rng.beta(config.alpha, config.alpha, count).astype(np.float32)
        total = images * (1 - mixed)[:, None, None, None]
        for chain in range(config.chains):
            total += self._chain(images, rng) * (mixed * weights[:, chain])[:, None, None, None]
        return rounded(total), targets

    def _chain(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        depths = rng.integers(1, 4, len(images))
        for depth in range(depths.max(initial=0)):
            names = np.array(OPERATIONS)[rng.integers(len(OPERATIONS), size=len(images))]
            names[depths <= depth] = "identity"
            strengths = rng.choice((-1.0, 1.0), len(images)) * rng.uniform(
                0.01, self.config.severity / 10, len(images)
            )
            images = apply(images, names, strengths, ranges=STANDARD, fill=self.config.fill)
        return images
