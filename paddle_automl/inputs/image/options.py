"""Options of the image input, and its fitted state."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, Strict, model_validator
from pydantic_core import PydanticCustomError

from paddle_automl.core.schema import Sequence as Tuple
from paddle_automl.inputs.base import Fitted, InputConfig
from paddle_automl.inputs.image.resizing import Fit, Grid, Interpolation


def _size(value: Any) -> Any:
    sides = [value, value] if isinstance(value, int) else value
    if value is None or value == "auto":
        return value
    if (
        not isinstance(sides, list | tuple)
        or len(sides) != 2
        or not all(isinstance(side, int) and not isinstance(side, bool) and side >= 1 for side in sides)
    ):
        raise PydanticCustomError(
            "stated", f"must be a number of pixels, or [height, width], each at least 1, or auto, got {value!r}"
        )
    return value


def _range(value: Any) -> Any:
    if value is None or value == "auto":
        return value
    numbers = isinstance(value, list | tuple) and all(
        isinstance(bound, int | float) and not isinstance(bound, bool) for bound in value
    )
    if not numbers or len(value) != 2 or not value[0] < value[1]:
        raise PydanticCustomError("stated", f"must be [lowest, highest], two rising numbers, got {value!r}")
    return tuple(float(bound) for bound in value)


Range = Annotated[tuple[float, float], Strict(False)]
ImageSize = Annotated[
    int | Annotated[tuple[int, int], Strict(False)] | Literal["auto"] | None, BeforeValidator(_size)
]


class ImageConfig(InputConfig):
    """Size and channels of the images that the network sees."""

    size: ImageSize = None
    """Pixels of a side, or [height, width]; null takes the arrays' own size, and 64 for image files. auto takes the
    arrays' own size too; for files their own if a sample of them have the same size of at most 64 pixels, else a
    square with the median of their short sides, at least 32 and at most 64."""

    fit: Fit = "crop"
    """How an image with another aspect ratio is resized: crop resizes the short side and cuts the centre out, pad
    resizes the long side and fills up with black, stretch resizes both sides."""

    channels: Literal["auto", 1, 3] = "auto"
    """1 for grey, 3 for color; auto takes 1 for grey arrays, and for files if all files of a sample are grey."""

    range: Annotated[Range | Literal["auto"] | None, BeforeValidator(_range)] = "auto"
    """[lowest, highest]: values of grey files with more than 8 bits that become black and white. auto takes 0 and
    the largest number of the bits that a sample of the files uses, such as 4095; null takes 0 and 65535."""

    interpolation: Interpolation = "bilinear"
    """Filter with which images are resized. Published weights bring their own."""

    grid: Grid = "whole"
    """Where the pixels of a cut centre lie (fit: crop): whole gives those of the resized whole image, as PaddleX
    and PaddleClas do; box resizes the exact centre, as versions before 0.2 did."""

    mean: Literal["auto"] | Tuple[float] = "auto"
    """Mean of each channel, of pixels scaled to 0..1, which is subtracted; auto measures the training images.
    Published weights bring their own."""

    std: Literal["auto"] | Tuple[Annotated[float, Field(gt=0)]] = "auto"
    """Standard deviation of each channel, of pixels scaled to 0..1, by which it is divided; auto measures the
    training images. Published weights bring their own."""

    @property
    def sides(self) -> tuple[int, int] | None:
        """Return (height, width), or None if the data determine the size."""
        if self.size == "auto":
            return None
        return (self.size, self.size) if isinstance(self.size, int) else self.size


class ImageFitted(Fitted):
    """How an image is turned into the network's input."""

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

    range: Annotated[Range | None, BeforeValidator(_range)] = None
    """Values of grey files of more than 8 bits that become black and white; null for 0 and 65535."""

    interpolation: Interpolation = "bilinear"
    """Filter with which images are resized."""

    grid: Grid = "box"
    """Where the pixels of a cut centre lie; records before version 0.2 have no entry."""

    @model_validator(mode="after")
    def _one_value_per_channel(self) -> ImageFitted:
        if len(self.mean) != self.channels or len(self.std) != self.channels:
            raise PydanticCustomError(
                "stated",
                f"mean and std need {self.channels} values, one per channel, "
                f"got {len(self.mean)} and {len(self.std)}",
            )
        return self
