"""Image input: decoding to a fixed size, then normalization per channel."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from paddle_automl.core.errors import ConfigError, DataError
from paddle_automl.core.paths import readable
from paddle_automl.inputs.base import INPUTS, Arrays, Fitted, Input, InputConfig, Media, Statistics, TensorSpec
from paddle_automl.inputs.image.arrays import image_of
from paddle_automl.inputs.image.decoding import Decoder, look_at, pixels_of
from paddle_automl.inputs.image.files import expand
from paddle_automl.inputs.image.modes import DEEP
from paddle_automl.inputs.image.options import ImageConfig, ImageFitted
from paddle_automl.inputs.image.shrinking import shrink

log = logging.getLogger(__name__)

FILE_SIZE = 64
"""Pixels of a side for image files if the configuration does not set the size."""
SMALLEST = 32
"""Least pixels of a side for image files of different sizes, with ``size: auto``."""
SAMPLE = 64
"""Number of files, evenly spread, from which channels and range are determined."""
FEW_LEVELS = 8
"""Number of grey levels (of 256) in which a network sees almost nothing."""


@INPUTS.register("image")
class ImageInput(Input):
    """Images, from files in any common format or arrays, resized and normalized per channel."""

    Config: ClassVar[type[InputConfig]] = ImageConfig
    Fitted: ClassVar[type[Fitted]] = ImageFitted
    word: ClassVar[str] = "image"
    media: ClassVar[Media | None] = Media("file", ("image/*",), "pixels", 50_000_000)
    smaller: ClassVar[str] = "size"

    fitted: ImageFitted

    @classmethod
    def reader(cls, config: ImageConfig, *, sources: Sequence[Any] | None, items: np.ndarray | None) -> Decoder:
        """Return the decoder for image files, or for arrays ``[N, H, W, C]`` uint8."""
        if items is not None:
            if items.dtype != np.uint8 or items.ndim != 4:
                raise DataError(
                    f"data.dataset: images must be uint8 [N, H, W, C], got {items.dtype} {list(items.shape)}"
                )
            height, width = config.sides or items.shape[1:3]
            found = _Sample(grey=items.shape[3] == 1)
        else:
            found = _sample(config, sources or ())
            height, width = config.sides or found.size or (FILE_SIZE, FILE_SIZE)
        channels = (1 if found.grey else 3) if config.channels == "auto" else config.channels
        deep = found.range if config.range == "auto" else config.range
        sampled = config.range == "auto"
        return Decoder(
            height, width, config.fit, channels, deep, config.interpolation, config.grid, sampled=sampled
        )

    @classmethod
    def measure(cls, config: ImageConfig, reader: Decoder, batches: Iterable[np.ndarray]) -> Statistics:
        """Return mean and standard deviation of each channel, of pixels scaled to 0..1.

        Warns about images that are nearly constant.
        """
        counts = np.zeros((reader.channels, 256), dtype=np.int64)
        for images in batches:
            for channel in range(reader.channels):
                counts[channel] += np.bincount(images[:, channel].ravel(), minlength=256)
        values = np.arange(256) / 255
        fractions = counts / counts.sum(axis=1, keepdims=True)
        mean = fractions @ values
        # A constant channel has no deviation; one grey level is the smallest sensible value.
        std = np.maximum(np.sqrt(np.maximum(fractions @ values**2 - mean**2, 0)), 1 / 255)
        _warn_of_few_levels(counts, std)
        return {
            "mean": [round(float(value), 6) for value in mean],
            "std": [round(float(value), 6) for value in std],
        }

    @classmethod
    def fit(cls, config: ImageConfig, reader: Decoder, statistics: Statistics) -> ImageInput:
        """Return the input of this decoder, with the mean and the deviation that `measure` found unless given.

        Raises ConfigError for a given mean or deviation with another number of channels.
        """
        values = {key: _given(key, getattr(config, key), reader.channels) for key in ("mean", "std")}
        return cls(
            ImageFitted(
                name=cls.name,
                size=(reader.height, reader.width),
                fit=reader.fit,
                channels=1 if reader.channels == 1 else 3,
                mean=values["mean"] or tuple(statistics["mean"]),
                std=values["std"] or tuple(statistics["std"]),
                range=reader.range,
                interpolation=reader.interpolation,
                grid=reader.grid,
            )
        )

    @property
    def size(self) -> tuple[int, int]:
        """Return (height, width) in pixels."""
        return self.fitted.size

    @property
    def channels(self) -> int:
        """Return 1 for grey, 3 for RGB."""
        return self.fitted.channels

    @property
    def shape(self) -> tuple[int, int, int]:
        """Return (channels, height, width)."""
        return self.channels, *self.size

    @property
    def decoder(self) -> Decoder:
        """Return the decoder of these settings."""
        fitted = self.fitted
        return Decoder(*self.size, fitted.fit, self.channels, fitted.range, fitted.interpolation, fitted.grid)

    @property
    def specs(self) -> tuple[TensorSpec, ...]:
        """Return the only array that a network takes: ``image``, ``[C, H, W]``."""
        return (TensorSpec("image", self.shape),)

    def stated(self) -> ImageConfig:
        """Return the options with which other data are read in the same way."""
        fitted = self.fitted
        return ImageConfig(
            name=self.name,
            size=fitted.size,
            fit=fitted.fit,
            channels=fitted.channels,
            range=fitted.range,
            interpolation=fitted.interpolation,
            grid=fitted.grid,
        )

    def read(self, source: Any) -> np.ndarray:
        """Return the pixels of a file, of its bytes, of a Pillow image or of an array, ``[C, H, W]`` uint8.

        An array is uint8 ``[H, W]`` or ``[H, W, C]``, or already a result of this method. Raises DataError that
        names the file and the reason.
        """
        if isinstance(source, np.ndarray):
            if source.dtype == np.uint8 and source.shape == self.shape:
                return source
            source = image_of(source)
        return self.decoder(source)

    def extent(self, source: Any) -> int:
        """Return the pixels of an image by its header; nothing is decoded. Raises DataError."""
        return pixels_of(source)

    def normalize(self, images: np.ndarray) -> np.ndarray:
        """Return ``(images / 255 - mean) / std`` as float32, of uint8 images; both ``[N, C, H, W]``."""
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1] != self.channels:
            raise ValueError(
                f"images must be uint8 [N, {self.channels}, H, W], got {images.dtype} {list(images.shape)}"
            )
        std = np.asarray(self.fitted.std, dtype=np.float64).reshape(1, -1, 1, 1)
        mean = np.asarray(self.fitted.mean, dtype=np.float64).reshape(1, -1, 1, 1)
        result = np.empty(images.shape, dtype=np.float32)
        np.multiply(images, (1 / (255 * std)).astype(np.float32), out=result, casting="unsafe")
        result -= (mean / std).astype(np.float32)
        return result

    def batch(self, items: np.ndarray) -> dict[str, np.ndarray]:
        """Return the normalized images, float32, of uint8 images; both ``[B, C, H, W]``."""
        return {"image": self.normalize(items)}

    def shrink(self, arrays: Arrays, factor: float) -> dict[str, np.ndarray]:
        """Return the images at `factor` of their height and width, each at least one pixel."""
        if factor == 1:
            return dict(arrays)
        images = arrays["image"]
        height, width = images.shape[2:]
        return {"image": shrink(images, (max(1, round(height * factor)), max(1, round(width * factor))))}

    def find(self, paths: Iterable[str | Path]) -> list[Path]:
        """Return the image files named by files, folders and ``.txt`` lists; raises DataError if there are none."""
        return expand(paths)

    def describe(self, source: Any) -> str:
        """Return a file's path, or "image" for bytes, Pillow images and arrays."""
        return readable(os.fspath(source)) if isinstance(source, str | os.PathLike) else "image"

    def write(self, item: np.ndarray, stem: Path) -> Path:
        """Write pixels, ``[C, H, W]`` uint8 with C 1 or 3, as a PNG file; returns its path."""
        path = stem.with_name(f"{stem.name}.png")
        pixels = item[0] if item.shape[0] == 1 else item.transpose(1, 2, 0)
        Image.fromarray(np.ascontiguousarray(pixels)).save(path, "PNG")
        return path

    def example(self, count: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Return images of standard normal values, float32 ``[count, C, H, W]``."""
        return {"image": rng.standard_normal((count, *self.shape), dtype=np.float32)}

    def facts(self, items: np.ndarray) -> dict[str, np.ndarray]:
        """Return brightness and contrast of each image: mean and deviation of its pixels scaled to 0..1."""
        pixels = items.reshape(len(items), -1)
        return {"brightness": pixels.mean(axis=1) / 255, "contrast": pixels.std(axis=1) / 255}


def _given(key: str, values: Any, channels: int) -> tuple[float, ...] | None:
    if values == "auto":
        return None
    if len(values) != channels:
        raise ConfigError(
            f"data.input.{key}: needs one number for each of the {channels} channels, got {len(values)}"
        )
    return tuple(values)


@dataclass(frozen=True)
class _Sample:
    """Facts of a sample of the files: whether all are grey, the range of values deeper than 8 bits, and the size
    that ``data.input.size: auto`` stands for."""

    grey: bool
    range: tuple[float, float] | None = None
    size: tuple[int, int] | None = None


def _sample(config: ImageConfig, files: Sequence[Any]) -> _Sample:
    if config.channels != "auto" and config.range != "auto" and config.size != "auto":
        return _Sample(grey=False)
    # Files that cannot be read are ignored here; they are reported when all files are read.
    looks = [look for look in map(look_at, files[:: max(1, len(files) // SAMPLE)]) if look is not None]
    deep = [look.deepest for look in looks if look.deepest is not None]
    grey = bool(looks) and all(look.grey for look in looks)
    size = _size_of([look.size for look in looks]) if looks and config.size == "auto" else None
    return _Sample(grey, _range_of(deep) if deep and config.range == "auto" else None, size)


def _size_of(sizes: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Return the common size of small images, else a square about as large as most of them, within limits."""
    if len(set(sizes)) == 1 and max(sizes[0]) <= FILE_SIZE:
        return sizes[0]
    side = int(median(min(size) for size in sizes))
    return (min(max(side, SMALLEST), FILE_SIZE),) * 2


def _range_of(deep: Sequence[tuple[int, int]]) -> tuple[float, float] | None:
    """Return 0 and the largest number of as many bits as the values have; None for 16 bits and for others."""
    low, high = min(values[0] for values in deep), max(values[1] for values in deep)
    if low < 0 or high > DEEP:
        return None
    top = 2 ** max(8, high.bit_length()) - 1
    if (high - low) * 256 < FEW_LEVELS * top:
        log.warning(
            "the grey images of more than 8 bits have values from %d to %d, nearly one grey level of 0 to %d; "
            "set the range that matters, as in data.input.range: [%d, %d]",
            low, high, top, low, max(high, low + 1),
        )  # fmt: skip
    return None if top == DEEP else (0.0, float(top))


def _warn_of_few_levels(counts: np.ndarray, std: np.ndarray) -> None:
    """Warn if the training images are nearly of one grey level, or nearly black."""
    used = np.flatnonzero(counts.sum(axis=0))
    if used[-1] >= FEW_LEVELS and (std > 1 / 255).any():
        return
    log.warning(
        "the training images are nearly of one grey level after reading: values from %d to %d of 0 to 255, "
        "deviation %.1f; a network sees almost nothing in them. If the files have more than 8 bits, set the "
        "range that matters with data.input.range: [lowest, highest]; otherwise check the files",
        used[0], used[-1], float(std.max() * 255),
    )  # fmt: skip
