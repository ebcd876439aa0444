"""Resizing of images to a fixed size, whatever their aspect ratio."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from PIL import Image

Fit = Literal["crop", "pad", "stretch"]
Interpolation = Literal["bilinear", "bicubic"]
Grid = Literal["whole", "box"]
Box = tuple[float, float, float, float]
FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


@dataclass(frozen=True)
class Resizing:
    """Resizes images to `width` x `height` pixels; see `Decoder` for the options."""

    width: int
    height: int
    fit: Fit
    interpolation: Interpolation
    grid: Grid

    def __call__(self, image: Image.Image, size: tuple[int, int]) -> Image.Image:
        """Return the resized image; `size` is its width and height in the file, before it was decoded smaller."""
        if image.size == (self.width, self.height):
            return image
        whole: Box = (0, 0, image.width, image.height)
        if self.fit == "pad":
            ratio = min(self.width / image.width, self.height / image.height)
            width = min(self.width, max(1, round(image.width * ratio)))
            height = min(self.height, max(1, round(image.height * ratio)))
            canvas = Image.new(image.mode, (self.width, self.height))
            inner = self._resize(image, width, height, whole)
            canvas.paste(inner, ((self.width - width) // 2, (self.height - height) // 2))
            return canvas
        if self.fit == "crop":
            whole = self._centre(image, size) if self.grid == "whole" else self._exact_centre(image)
        return self._resize(image, self.width, self.height, whole)

    def _resize(self, image: Image.Image, width: int, height: int, box: Box) -> Image.Image:
        gap = 8.0 if self.grid == "whole" else 3.0
        return image.resize((width, height), FILTERS[self.interpolation], box=box, reducing_gap=gap)

    def _exact_centre(self, image: Image.Image) -> Box:
        """Return the centre of `image` that has the aspect ratio of the result."""
        ratio = max(self.width / image.width, self.height / image.height)
        left = max(0.0, (image.width - self.width / ratio) / 2)
        top = max(0.0, (image.height - self.height / ratio) / 2)
        return (left, top, image.width - left, image.height - top)

    def _centre(self, image: Image.Image, size: tuple[int, int]) -> Box:
        """Return the box of `image` that becomes the centre cut out of the resized whole image.

        Its edges are whole pixels of the image after it was resized from `size` so that it covers the result;
        `image` may already be smaller than `size`.
        """
        ratio = max(self.width / size[0], self.height / size[1])
        columns, rows = max(self.width, round(size[0] * ratio)), max(self.height, round(size[1] * ratio))
        left, top = (columns - self.width) // 2, (rows - self.height) // 2
        x, y = image.width / columns, image.height / rows
        right, bottom = min(image.width, (left + self.width) * x), min(image.height, (top + self.height) * y)
        return (left * x, top * y, right, bottom)
