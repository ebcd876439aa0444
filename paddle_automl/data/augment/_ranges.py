"""The check of options that are the two ends of a range."""

from __future__ import annotations

from typing import Protocol, TypeVar

from pydantic_core import PydanticCustomError


class Range(Protocol):
    """Options with the ends `low` and `high`."""

    low: float
    high: float


T = TypeVar("T", bound=Range)


def check_range(config: T) -> T:
    """Return the options; raises the error of a wrong option if `low` is above `high`."""
    if config.low > config.high:
        raise PydanticCustomError(
            "stated", f"low must not be above high, got low {config.low} and high {config.high}"
        )
    return config
