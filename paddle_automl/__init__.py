"""paddle_automl: from a folder of images to a small, fast, verified Paddle Inference model."""

__version__ = "0.1.0"
