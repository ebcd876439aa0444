"""Choice of the format to run, and check that the packages of formats are installed."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from functools import lru_cache

from paddle_automl.core.errors import ConfigError, UnsupportedError
from paddle_automl.core.schema import PluginConfig
from paddle_automl.deployment.bundle import Bundle
from paddle_automl.deployment.exporters.base import EXPORTERS

logger = logging.getLogger(__name__)

RUNTIMES = ("auto", "paddle", "onnx", "openvino")


def require_formats(configs: Iterable[PluginConfig]) -> None:
    """Raise UnsupportedError that names the extra if a package for one of the formats is missing."""
    for config in configs:
        EXPORTERS[config.name].require()


def choose_format(bundle: Bundle, runtime: str, device: str) -> str:
    """Return the name of the format to run; see `Predictor`."""
    first = bundle.info.exporter.name
    if runtime == "auto":
        return _fastest(bundle) if device == "cpu" else first
    candidates = [name for name in bundle.formats if name == runtime]
    if runtime in RUNTIMES and not candidates:
        candidates = [name for name in bundle.formats if EXPORTERS[name].runtime == runtime]
    if not candidates:
        raise ConfigError(
            f"runtime: the bundle has no file for '{runtime}'; valid: auto, {', '.join(bundle.formats)}; other "
            "formats come with deployment.formats and a new export"
        )
    chosen = candidates[0]
    EXPORTERS[chosen].require(to_run=True)
    return chosen


def _fastest(bundle: Bundle) -> str:
    first = bundle.info.exporter.name
    chosen = bundle.info.fastest or first
    missing = _missing(chosen)
    if missing is None:
        return chosen
    # Without the packages of the fastest format the first one is run, and without Paddle any other.
    verified = [item.exporter.name for item in bundle.info.formats if item.verified]
    for other in (first, *verified):
        if _missing(other) is None:
            _warn_once(f"the bundle's fastest format is {chosen}, but {other} is run: {missing}")
            return other
    raise missing


def _missing(name: str) -> UnsupportedError | None:
    """Return why a format cannot be run here, or None if it can."""
    try:
        EXPORTERS[name].require(to_run=True)
    except UnsupportedError as error:
        return error
    return None


@lru_cache(maxsize=64)
def _warn_once(text: str) -> None:
    logger.warning("%s", text)
