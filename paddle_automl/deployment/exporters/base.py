"""What an export format must do: write a network's files, and run them again."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol

import numpy as np

from paddle_automl.core.registry import Registry
from paddle_automl.core.schema import PluginConfig

Runtime = Literal["paddle", "onnx"]


class Session(Protocol):
    """An exported network, loaded and ready; calls from several threads are safe."""

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Return probabilities, float32 [N, K], of normalized images, float32 [N, C, H, W]."""
        ...


class Exporter(ABC):
    """Writes a classifier, softmax included, in one file format, and loads what it wrote.

    A bundle names its exporter, so that prediction finds the loader that fits the files.
    """

    class Config(PluginConfig):
        """Options of the exporter."""

    name: str = ""
    runtime: ClassVar[Runtime] = "paddle"
    """Who runs the files: Paddle Inference or ONNX Runtime."""
    exact: ClassVar[bool] = True
    """Whether the files answer as the network they were made from, up to rounding; false: they are made
    from it in 8 bits, and may name another class now and then."""

    def __init__(self, config: PluginConfig) -> None:
        self.config = config

    @classmethod
    def require(cls, *, to_run: bool = False) -> None:
        """Raise UnsupportedError, naming the extra, if a package is missing that exporting needs (or running)."""
        del to_run

    @abstractmethod
    def export(
        self, model: Any, folder: Path, *, input_shape: tuple[int, int, int], images: np.ndarray | None = None
    ) -> None:
        """Write the network's files into the existing `folder`.

        `model` is a Paddle layer from images, float32 [N, C, H, W], to logits, float32 [N, K];
        `input_shape` is (C, H, W); the batch size stays open. The layer is exported in evaluation mode
        and handed back in the modes that it came in. `images` are normalized training images, float32
        [M, C, H, W], which a format that is not exact looks at. Raises UnsupportedError for a network that
        the format cannot hold, OutputError where the folder cannot be written.
        """

    @abstractmethod
    def session(self, folder: Path, *, device: str = "cpu", threads: int = 1) -> Session:
        """Load what `export` wrote; raises BundleError for files that cannot be loaded."""


EXPORTERS: Registry[Exporter] = Registry("exporter", "paddle_automl.deployment.exporters", "deployment.exporter")
