"""Orders in which an epoch goes over the items."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

BUCKET = 16
"""Batches within which items are sorted by length."""


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


def bucketed(batches: Sequence[np.ndarray], lengths: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    """Return the same positions in batches of the same sizes, each with items of about one length.

    Items are sorted by their `lengths` ``[n]`` within 16 batches, and the batches are shuffled: little padding, and
    an epoch in nearly random order.
    """
    result: list[np.ndarray] = []
    for start in range(0, len(batches), BUCKET):
        group = batches[start : start + BUCKET]
        order = np.concatenate(group)
        order = order[np.argsort(lengths[order], kind="stable")]
        result += np.split(order, np.cumsum([len(batch) for batch in group])[:-1])
    return [result[number] for number in rng.permutation(len(result))]
