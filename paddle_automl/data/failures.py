"""Items that cannot be read: a reason to stop, or left out and listed."""

from __future__ import annotations

import logging
from typing import Any

from paddle_automl.core.errors import DataError
from paddle_automl.data.config import DataConfig
from paddle_automl.data.samples import Samples
from paddle_automl.inputs.base import Input

log = logging.getLogger(__name__)


def stop_or_warn(config: DataConfig, samples: Samples, failures: dict[int, str], word: str) -> None:
    """Stop with a DataError that lists the failures, or warn of them, as `data.on_error` says."""
    total = len(samples)
    origins = samples.origins
    lines = [f"{origins[row]}: {reason}" if origins else reason for row, reason in failures.items()]
    listing = "\n".join(f"  {line}" for line in lines[:20])
    if len(lines) > 20:
        listing += f"\n  and {len(lines) - 20} more"
    summary = f"{len(lines)} of {total} {word}s cannot be read"
    if len(lines) == total:
        raise DataError(f"data.dataset: none of the {total} {word}s can be read:\n{listing}")
    if config.on_error == "stop":
        raise DataError(
            f"data.dataset: {summary}:\n{listing}\nrepair or remove them, or ignore them with data.on_error: skip"
        )
    more = f", and {len(lines) - 3} more" if len(lines) > 3 else ""
    log.warning("%s and are left out: %s%s", summary, "; ".join(lines[:3]), more)


def skipped(given: Input, samples: Samples, failures: dict[int, str]) -> tuple[tuple[Any, str], ...]:
    """Return the sources that were left out, each with the reason."""
    sources = samples.sources or ()
    return tuple(
        (sources[row], reason.removeprefix(f"{given.describe(sources[row])}: ")) for row, reason in failures.items()
    )
