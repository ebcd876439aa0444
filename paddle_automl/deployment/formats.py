"""Choice of the format to run, and check that the packages of formats are installed."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from functools import lru_cache

from paddle_automl.core.errors import ConfigError, UnsupportedError
from paddle_automl.core.paths import readable
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


def warn_unless_verified(bundle: Bundle, name: str, *, chosen: bool) -> None:
    """Log one warning if a format failed its parity check, or, where it was `chosen` by itself, never had one."""
    record = bundle.record_of(name)
    if record.verified or (record.parity is None and not chosen):
        return
    if record.parity is None:
        text = "was never compared with the trained network; export the bundle again"
    else:
        text = f"may give other answers than the trained network: {record.parity.describe()}"
    _warn_once(f"{readable(bundle.folder)}: the format {name} {text}")


def _fastest(bundle: Bundle) -> str:
    """Return the fastest verified format that can be run here; the first one if none is verified."""
    first = bundle.info.exporter.name
    names = dict.fromkeys([bundle.info.fastest or first, *bundle.formats])
    candidates = [name for name in names if bundle.record_of(name).verified]
    fastest, *others = dict.fromkeys([*candidates, first])
    missing = _missing(fastest)
    if missing is None:
        return fastest
    # Without the packages of the fastest format the first one is run, and without Paddle any other.
    for other in others:
        if _missing(other) is None:
            _warn_once(f"the bundle's fastest format is {fastest}, but {other} is run: {missing}")
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
