"""Images: decoding, normalization, finding files."""

from paddle_automl.inputs.image.input import ImageConfig, ImageFitted, ImageInput

__all__ = ["ImageConfig", "ImageFitted", "ImageInput"]
