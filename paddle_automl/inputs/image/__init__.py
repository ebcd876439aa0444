"""Images: decoding, normalization, finding files."""

from paddle_automl.inputs.image.input import ImageInput
from paddle_automl.inputs.image.options import ImageConfig, ImageFitted

__all__ = ["ImageConfig", "ImageFitted", "ImageInput"]
