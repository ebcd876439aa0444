"""What the weights of ``paddle.vision`` have in common: where they are, and how images are read for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from paddle_automl.models.published import IMAGENET, PaddleWeights, Published, Renaming

ADDRESS = "https://paddle-hapi.bj.bcebos.com/models/"
"""Folder of the files, as in ``paddle.vision.models``."""
INPUT: Mapping[str, Any] = {
    "channels": 3,
    "mean": (0.485, 0.456, 0.406),
    "std": (0.229, 0.224, 0.225),
    "interpolation": "bilinear",
}
"""Options of `data.input`: mean and deviation of ImageNet-1k in RGB."""
BATCH_NORM: Mapping[str, Any] = {"name": "batch_norm"}


def of_paddle(
    file: str, md5: str, *, activation: str, renamed: Renaming, norm: Mapping[str, Any] = BATCH_NORM
) -> dict[str, Published]:
    """Return the weights in this file of ``paddle.vision`` under the name that `model.pretrained` takes."""
    return {
        IMAGENET: PaddleWeights(
            url=f"{ADDRESS}{file}.pdparams",
            md5=md5,
            input=INPUT,
            activation=activation,
            norm=norm,
            renamed=renamed,
        )
    }
