"""Image input: decoding to a fixed size, then normalization per channel."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from PIL import Image
from pydantic import BeforeValidator, Field, Strict, model_validator
from pydantic_core import PydanticCustomError

from paddle_automl.core.errors import DataError
from paddle_automl.core.paths import readable
from paddle_automl.core.schema import Sequence as Tuple
from paddle_automl.inputs.base import INPUTS, Arrays, Fitted, Input, InputConfig, Statistics, TensorSpec
from paddle_automl.inputs.image.decoding import Decoder, Fit, is_grey
from paddle_automl.inputs.image.files import expand
from paddle_automl.inputs.image.shrinking import shrink

FILE_SIZE = 64
"""Pixels of a side of image files when the configuration leaves the size open."""
GREY_SAMPLE = 64


def _size(value: Any) -> Any:
    sides = [value, value] if isinstance(value, int) else value
    if value is None:
        return value
    if (
        not isinstance(sides, list | tuple)
        or len(sides) != 2
        or not all(isinstance(side, int) and not isinstance(side, bool) and side >= 1 for side in sides)
    ):
        raise PydanticCustomError(
            "stated", f"must be a number of pixels, or [height, width], each at least 1, got {value!r}"
        )
    return value


ImageSize = Annotated[int | Annotated[tuple[int, int], Strict(False)] | None, BeforeValidator(_size)]


class ImageConfig(InputConfig):
    """Size and channels of the images that the network sees."""

    size: ImageSize = None
    """Pixels of a side, or [height, width]; null takes the arrays' own size, and 64 for image files."""

    fit: Fit = "crop"
    """How an image with another aspect ratio is resized: crop resizes the short side and cuts the centre out, pad
    resizes the long side and puts black around, stretch resizes both sides."""

    channels: Literal["auto", 1, 3] = "auto"
    """1 for grey, 3 for colour; auto takes 1 for grey arrays, and for files when all of a sample are grey."""

    @property
    def sides(self) -> tuple[int, int] | None:
        """Return (height, width), or None where the size is left to the data."""
        return (self.size, self.size) if isinstance(self.size, int) else self.size


class ImageFitted(Fitted):
    """How an image becomes the network's input."""

    size: Annotated[tuple[int, int], Strict(False)]
    """Height and width in pixels."""

    fit: Fit = "crop"
    """How an image with another aspect ratio is resized: crop, pad or stretch."""

    channels: Literal[1, 3] = 3
    """1 for grey, 3 for RGB."""

    mean: Tuple[float] = Field(min_length=1)
    """Mean of each channel, of pixels scaled to 0..1."""

    std: Tuple[Annotated[float, Field(gt=0)]] = Field(min_length=1)
    """Standard deviation of each channel, of pixels scaled to 0..1."""

    @model_validator(mode="after")
    def _one_value_per_channel(self) -> ImageFitted:
        if len(self.mean) != self.channels or len(self.std) != self.channels:
            raise PydanticCustomError(
                "stated",
                f"mean and std need {self.channels} values, one per channel, "
                f"got {len(self.mean)} and {len(self.std)}",
            )
        return self


@INPUTS.register("image")
class ImageInput(Input):
    """Images: files in any common format or arrays, resized and normalized per channel."""

    Config: ClassVar[type[InputConfig]] = ImageConfig
    Fitted: ClassVar[type[Fitted]] = ImageFitted
    word: ClassVar[str] = "image"

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
            auto = 1 if items.shape[3] == 1 else 3
        else:
            height, width = config.sides or (FILE_SIZE, FILE_SIZE)
            auto = 3
            if config.channels == "auto":
                files = sources or ()
                step = max(1, len(files) // GREY_SAMPLE)
                auto = 1 if all(is_grey(file) for file in files[::step]) else 3
        return Decoder(height, width, config.fit, auto if config.channels == "auto" else config.channels)

    @classmethod
    def measure(cls, config: ImageConfig, reader: Decoder, batches: Iterable[np.ndarray]) -> Statistics:
        """Return mean and standard deviation of each channel, of pixels scaled to 0..1."""
        counts = np.zeros((reader.channels, 256), dtype=np.int64)
        for images in batches:
            for channel in range(reader.channels):
                counts[channel] += np.bincount(images[:, channel].ravel(), minlength=256)
        values = np.arange(256) / 255
        share = counts / counts.sum(axis=1, keepdims=True)
        mean = share @ values
        # A constant channel has no deviation; one grey level is the smallest that makes sense.
        std = np.maximum(np.sqrt(np.maximum(share @ values**2 - mean**2, 0)), 1 / 255)
        return {
            "mean": [round(float(value), 6) for value in mean],
            "std": [round(float(value), 6) for value in std],
        }

    @classmethod
    def fit(cls, config: ImageConfig, reader: Decoder, statistics: Statistics) -> ImageInput:
        """Return the input of this decoder with the mean and the deviation that `measure` found."""
        return cls(
            ImageFitted(
                name=cls.name,
                size=(reader.height, reader.width),
                fit=reader.fit,
                channels=1 if reader.channels == 1 else 3,
                mean=tuple(statistics["mean"]),
                std=tuple(statistics["std"]),
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
        return Decoder(*self.size, self.fitted.fit, self.channels)

    @property
    def specs(self) -> tuple[TensorSpec, ...]:
        """Return the one array that a network takes: ``image``, ``[C, H, W]``."""
        return (TensorSpec("image", self.shape),)

    def stated(self) -> ImageConfig:
        """Return the options with which other data are read as this input's were."""
        return ImageConfig(name=self.name, size=self.size, fit=self.fitted.fit, channels=self.fitted.channels)

    def read(self, source: Any) -> np.ndarray:
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
        """Return the image files that files, folders and ``.txt`` lists stand for; raises DataError for none."""
        return expand(paths)

    def describe(self, source: Any) -> str:
        """Return a file's path, or "image" for bytes and Pillow images."""
        return "image" if isinstance(source, bytes | Image.Image) else readable(source)

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
