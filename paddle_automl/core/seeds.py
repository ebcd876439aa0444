"""Independent random generators from one seed and a name, so that no component changes another's draws."""

from __future__ import annotations

import hashlib

import numpy as np


def seed_sequence(seed: int, *names: str | int) -> np.random.SeedSequence:
    """Return the SeedSequence of a component: the same for the same seed and names, on every machine."""
    words = [seed]
    for name in names:
        digest = hashlib.sha256(str(name).encode("utf-8")).digest()
        words.append(int.from_bytes(digest[:8], "little"))
    return np.random.SeedSequence(words)


def generator(seed: int, *names: str | int) -> np.random.Generator:
    """Return the NumPy generator of a component, for example ``generator(7, "trial", 3)``."""
    return np.random.default_rng(seed_sequence(seed, *names))


def integer_seed(seed: int, *names: str | int) -> int:
    """Return a 31-bit seed for a library that takes an integer."""
    return int(seed_sequence(seed, *names).generate_state(1)[0] & 0x7FFFFFFF)
