"""Random changes of color."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from paddle_automl.core.schema import PluginConfig
from paddle_automl.data.augment._pixels import LUMA, grey_means, rounded, stretched
from paddle_automl.data.augment.base import AUGMENTATIONS, Augmentation

_YIQ = np.array([LUMA, [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
"""From red, green and blue to luma and two chroma axes (YIQ of NTSC)."""


@AUGMENTATIONS.register("color_jitter")
class ColorJitter(Augmentation):
    """Change brightness, contrast, saturation and hue of each image, as in Howard, 2013, arXiv:1312.5402.

    All four at once, as one matrix per image: x' = c b S H x + (1 - c) b m 1, with the mean grey value m; b, c and
    s uniform in 1 -+ the option; S = s I + (1 - s) 1 l', l the weights of the grey value; and H a rotation of the
    two chroma axes of YIQ by an angle uniform up to `hue` turns. Values are clipped to 0..255 once, at the end.
    Images without three channels have neither saturation nor hue.
    """

    class Config(PluginConfig):
        """How much."""

        brightness: float = Field(default=0.2, ge=0, le=1)
        """Largest relative change of brightness."""

        contrast: float = Field(default=0.2, ge=0, le=1)
        """Largest relative change of the distance from the mean grey value."""

        saturation: float = Field(default=0.2, ge=0, le=1)
        """Largest relative change of the distance from grey."""

        hue: float = Field(default=0.02, ge=0, le=0.5)
        """Largest rotation of the hue, in full turns."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def __call__(
        self, images: np.ndarray, targets: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return changed images ``[B, C, H, W]`` and the targets as they are."""
        config, count = self.config, len(images)
        draws = rng.uniform(-1, 1, (4, count))
        bright, contrast, saturation = 1 + draws[:3] * [
            [config.brightness],
            [config.contrast],
            [config.saturation],
        ]
        offsets = ((1 - contrast) * bright * grey_means(images)).astype(np.float32)
        if images.shape[1] != len(LUMA):
            return stretched(images, contrast * bright, offsets), targets
        matrices = _colors(saturation, 2 * np.pi * config.hue * draws[3]) * (contrast * bright)[:, None, None]
        flat = images.reshape(count, len(LUMA), -1).astype(np.float32)
        values = np.matmul(matrices.astype(np.float32), flat)
        values += offsets[:, None, None]
        return rounded(values).reshape(images.shape), targets


def _colors(saturation: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """Return the matrices ``[B, 3, 3]`` of saturation and hue; both keep the grey value."""
    turn = np.zeros((len(angles), 3, 3))
    turn[:, 0, 0] = 1
    turn[:, 1, 1] = turn[:, 2, 2] = saturation * np.cos(angles)
    turn[:, 2, 1] = saturation * np.sin(angles)
    turn[:, 1, 2] = -turn[:, 2, 1]
    return np.asarray(np.linalg.inv(_YIQ) @ turn @ _YIQ)
