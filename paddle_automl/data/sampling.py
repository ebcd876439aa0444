"""Orders in which an epoch goes over the items."""

from __future__ import annotations

import numpy as np


def balanced_order(classes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return as many positions as there are items, in random order, each class equally often.

    `classes` are the items' classes ``[n]``. A large class is a random part of its items, a small one has them
    several times, none more than once more often than another. The numbers of two classes differ by one at most.
    """
    found, groups = np.unique(classes, return_inverse=True)
    if not len(found):
        return np.arange(0)
    quotas = np.full(len(found), len(classes) // len(found))
    quotas[rng.permutation(len(found))[: len(classes) % len(found)]] += 1
    chosen = []
    for group, quota in enumerate(quotas):
        members = np.flatnonzero(groups.reshape(-1) == group)
        rounds = [rng.permutation(members) for _ in range(-(-int(quota) // len(members)))]
        chosen.append(np.concatenate([*rounds, members[:0]])[:quota])
    return np.asarray(rng.permutation(np.concatenate(chosen)))
