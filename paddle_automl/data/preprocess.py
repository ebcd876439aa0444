"""The way from an image to the network's input; part of a bundle, so that prediction repeats it exactly."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field, Strict, model_validator
from pydantic_core import PydanticCustomError

from paddle_automl.core.schema import Section, Sequence
from paddle_automl.inputs.image.decoding import Decoder, Fit, Source


class Preprocess(Section):
    """Decoding to a fixed size, then normalization per channel."""

    image_size: Annotated[tuple[int, int], Strict(False)]
    """Height and width in pixels."""

    fit: Fit = "crop"
    """How an image of another shape is met: crop, pad or stretch."""

    channels: Literal[1, 3] = 3
    """1 for grey, 3 for RGB."""

    mean: Sequence[float] = Field(min_length=1)
    """Mean of each channel, of pixels scaled to 0..1."""

    std: Sequence[Annotated[float, Field(gt=0)]] = Field(min_length=1)
    """Standard deviation of each channel, of pixels scaled to 0..1."""

    @model_validator(mode="after")
    def _one_value_per_channel(self) -> Preprocess:
        if len(self.mean) != self.channels or len(self.std) != self.channels:
            raise PydanticCustomError(
                "stated",
                f"mean and std need {self.channels} values, one per channel, "
                f"got {len(self.mean)} and {len(self.std)}",
            )
        return self

    @property
    def decoder(self) -> Decoder:
        """Return the decoder of these settings."""
        return Decoder(self.image_size[0], self.image_size[1], self.fit, self.channels)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Return (channels, height, width)."""
        return self.decoder.shape

    def decode(self, source: Source) -> np.ndarray:
        """Return the pixels of a file, of its bytes or of a Pillow image, ``[C, H, W]`` uint8.

        Raises DataError that names the file and the reason.
        """
        return self.decoder(source)

    def normalize(self, images: np.ndarray) -> np.ndarray:
        """Return ``(images / 255 - mean) / std`` as float32, of uint8 images; both ``[N, C, H, W]``."""
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1] != self.channels:
            raise ValueError(
                f"images must be uint8 [N, {self.channels}, H, W], got {images.dtype} {list(images.shape)}"
            )
        std = np.asarray(self.std, dtype=np.float64).reshape(1, -1, 1, 1)
        mean = np.asarray(self.mean, dtype=np.float64).reshape(1, -1, 1, 1)
        result = np.empty(images.shape, dtype=np.float32)
        np.multiply(images, (1 / (255 * std)).astype(np.float32), out=result, casting="unsafe")
        result -= (mean / std).astype(np.float32)
        return result
