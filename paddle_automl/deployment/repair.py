"""Repair of 8-bit networks: layers that cost accuracy go back to float, the most damaging first.

As the accuracy control of NNCF does (Kozlov et al., Neural Network Compression Framework, 2020): layers are ranked
by the damage that each of them does alone; as many as needed are left in float.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from paddle_automl.core.errors import UnsupportedError

SMALLEST = 1e-12


class BeyondRepairError(UnsupportedError):
    """No layer of a network can be in 8 bits within the allowed loss."""


@dataclass(frozen=True)
class Repaired:
    """What a repair has done: names of the layers left in float, and of how many."""

    layers: tuple[str, ...] = ()
    of: int = 0

    def describe(self) -> str:
        """Return a phrase for tables, such as ``2 of 11 layers in float32: stem, head``; empty without a repair."""
        if not self.layers:
            return ""
        return f"{len(self.layers)} of {self.of} layers in float32: {', '.join(self.layers)}"


def fewest(most: int, works: Callable[[int], bool]) -> int | None:
    """Return a small count, from 1 to `most`, for which `works` is true; None if it is not even for `most`.

    Doubled until it works, then halved between: `works` is called about 2 log2(most) times. It is the smallest
    count if `works` stays true for all larger ones.
    """
    tried, count = 0, 1
    while not works(min(count, most)):
        if count >= most:
            return None
        tried, count = count, count * 2
    low, high = tried, min(count, most)
    while high - low > 1:
        middle = (low + high) // 2
        if works(middle):
            high = middle
        else:
            low = middle
    return high


def damage(before: np.ndarray, after: np.ndarray, *, probabilities: bool) -> float:
    """Return how far outputs [N, K] are from those before: the mean over items.

    KL(before || after) of probabilities of classes, otherwise the mean square difference.
    """
    if not probabilities:
        return float(np.square(before.astype(np.float64) - after).mean())
    logs = [np.log(np.maximum(outputs.astype(np.float64), SMALLEST)) for outputs in (before, after)]
    return max(0.0, float((before * (logs[0] - logs[1])).sum(axis=1).mean()))


def ranked(names: Sequence[str], damages: Sequence[float]) -> list[str]:
    """Return the names by falling damage, those of equal damage in the given order."""
    order = sorted(range(len(names)), key=lambda index: -damages[index])
    return [names[index] for index in order]
