"""Confidence intervals of fractions."""

from __future__ import annotations

import math

Z = 1.96
"""Quantile of the normal distribution for a 95 % interval."""


def interval(fraction: float, count: int) -> tuple[float, float]:
    """Return the 95 % interval of a fraction of `count` items.

    Wilson 1927, "Probable inference", JASA 22; it stays within 0 and 1.
    """
    middle = fraction + Z * Z / (2 * count)
    spread = Z * math.sqrt(fraction * (1 - fraction) / count + Z * Z / (4 * count * count))
    scale = 1 + Z * Z / count
    return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)
