"""Expected improvement, and the search for the rows that maximize it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import ndtr

from paddle_automl.search.learning.columns import Array
from paddle_automl.search.learning.encoding import Encoding
from paddle_automl.search.learning.moves import mutate, neighbours
from paddle_automl.search.learning.observations import Observations

ENUMERATED = 20_000
"""Largest space in which every member is evaluated."""
RANDOM, PARENTS, CHILDREN, STARTS, STEPS = 1000, 6, 60, 4, 12
SCALES = ((0.2, 0.08, 0.02), (0.1, 0.04, 0.01), (0.05, 0.02, 0.005))

Score = Callable[[Array], Array]


def log_expected_improvement(mean: Array, deviation: Array, best: float) -> Array:
    """Return the logarithm of the expected improvement [M] over `best`.

    EI = s (phi(z) + z Phi(z)), z = (best - mean) / s (Jones et al. 1998, eq. 15). The logarithm has a useful slope
    even where EI itself underflows to 0 (Ament et al. 2023, arXiv 2310.20708).
    """
    z = (best - mean) / deviation
    near = np.maximum(z, -25.0)
    density = np.exp(-0.5 * near * near) / np.sqrt(2.0 * np.pi)
    improvement = np.log(np.maximum(density + near * ndtr(near), 1e-300))
    # For very negative z: phi(z) + z Phi(z) -> phi(z) / z^2.
    far = -0.5 * z * z - 2.0 * np.log(np.maximum(-z, 1e-9)) - 0.5 * np.log(2.0 * np.pi)
    return np.where(z < -25.0, far, improvement) + np.log(deviation)


class Maximizer:
    """Finds the untried row with the highest score."""

    def __init__(self, encoding: Encoding) -> None:
        self.encoding = encoding
        self._all = encoding.everything(ENUMERATED)
        self._all_keys = None if self._all is None else encoding.keys(self._all)

    def __call__(self, score: Score, seen: Observations, rng: np.random.Generator) -> Array | None:
        """Return the row [D], or None if all rows that were considered have been tried.

        Small spaces are enumerated. In others 1,000 random rows and 60 mutations of each of the best six trials are
        scored; the best of them and the best two trials start 12 steps of local search.
        """
        if self._all is not None and self._all_keys is not None:
            scores = score(self._all)
            untried = np.array([key not in seen.seen for key in self._all_keys])
            return self._all[int(np.argmax(np.where(untried, scores, -np.inf)))] if untried.any() else None
        parents = seen.rows[seen.best[:PARENTS]]
        rows = np.vstack([self.encoding.sample(RANDOM, rng), self._children(parents, rng), parents])
        scores = score(rows)
        order = np.argsort(-scores, kind="stable")
        first = len(rows) - len(parents)
        starts = [*order[: STARTS - 2], *range(first, min(first + 2, len(rows)))]
        found, found_scores = self._climb(rows[starts], scores[starts], score, rng)
        found = np.vstack([found, rows[order[:20]]])
        found_scores = np.concatenate([found_scores, scores[order[:20]]])
        keys = self.encoding.keys(found)
        for place in np.argsort(-found_scores, kind="stable"):
            if keys[place] not in seen.seen:
                return found[place]
        return None

    def _children(self, parents: Array, rng: np.random.Generator) -> Array:
        rows = np.repeat(parents, CHILDREN, axis=0)
        counts = np.minimum(4, rng.geometric(0.5, len(rows)))
        return mutate(self.encoding, rows, counts, rng.choice([0.02, 0.08, 0.25], len(rows)), rng)

    def _climb(self, starts: Array, scores: Array, score: Score, rng: np.random.Generator) -> tuple[Array, Array]:
        """Return all rows [M, D] of hill climbing (starts, ends, best neighbours), with their scores."""
        rows, best = starts.copy(), scores.copy()
        alive = np.ones(len(rows), dtype=bool)
        met, met_scores = [starts], [scores]
        for step in range(STEPS):
            climbing = np.flatnonzero(alive)
            if not len(climbing):
                break
            scales = SCALES[min(2, step // 4)]
            near, counts = neighbours(self.encoding, rows[climbing], rng, scales)
            judged = score(near)
            borders = np.cumsum(counts)
            for place, end, count in zip(climbing, borders, counts, strict=True):
                top = end - count + int(np.argmax(judged[end - count : end]))
                met.append(near[[top]])
                met_scores.append(judged[[top]])
                if judged[top] > best[place] + 1e-9:
                    rows[place], best[place] = near[top], judged[top]
                elif step >= 8 or self.encoding.discrete:
                    # Real numbers use all steps: later ones are smaller.
                    alive[place] = False
        return np.vstack(met), np.concatenate(met_scores)
